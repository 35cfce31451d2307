"""Batches -> pictures of the lanes that play, side by side, without empty tiles."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from evdet.data import Batch, ClipInfo
from evdet.draw import draw_caption, image_grid
from evdet.evaluation.detecting import Found
from evdet.evaluation.shown import Image, ShowFrame, activity_of, draw_shown, select_shown

__all__ = ["LaneGrid"]

_SHAPE = 16 / 9
# Up to this factor a grid may be wider or narrower than `_SHAPE`.
_MAX_STRETCH = 2.1
_DIMMED = 0.45  # brightness of a recording that has ended


class LaneGrid:
    """Draws the lanes that play in its first batch; a lane that has ended keeps its last picture.

    A grid has no empty tile: of 5 lanes it shows 4, of 7 lanes 6.

    Args:
        label_map: class names, background first.
        show_frame: turns a frame into an RGB picture.
        nms_thresh: of two boxes with a higher IoU, whatever their classes, the better is shown.
        factor: enlargement of the frames.
    """

    def __init__(
        self,
        label_map: Sequence[str],
        show_frame: ShowFrame,
        *,
        nms_thresh: float,
        factor: int = 2,
    ) -> None:
        self._label_map = label_map
        self._show_frame = show_frame
        self._nms_thresh = nms_thresh
        self._factor = factor
        self._tiles: dict[int, Image] = {}
        self._lanes: list[int] | None = None
        self._ncols = 1

    def draw(self, batch: Batch, found: Found) -> Iterator[Image]:
        """Draw each time bin of a batch, up to the last in which a lane plays.

        Args:
            batch: frames and labels.
            found: the detections `out[t][b]`.

        Yields:
            One picture per time bin; ground truth is white.
        """
        num_bins = len(found)
        for t in range(num_bins):
            playing = [
                b for b, info in enumerate(batch["video_infos"]) if _plays(info, t, num_bins)
            ]
            if self._lanes is None:
                self._choose(playing, batch["inputs"].shape[3:])
            chosen = self._lanes or []
            if not set(chosen) & set(playing):
                continue
            yield image_grid(
                [self._tile(batch, found, t, b, plays=b in playing) for b in chosen], self._ncols
            )

    def draw_moments(self, batch: Batch, found: Found) -> Image | None:
        """Draw one picture of a batch: of each lane the time bin with the most events on objects.

        Args:
            batch: frames and labels.
            found: the detections `out[t][b]`.

        Returns:
            The picture; None where no lane plays.
        """
        num_bins = len(found)
        moments = {}
        for b, info in enumerate(batch["video_infos"]):
            times = [t for t in range(num_bins) if _plays(info, t, num_bins)]
            if times:
                moments[b] = max(times, key=partial(_interest, batch, b))
        self._choose(list(moments), batch["inputs"].shape[3:])
        if not self._lanes:
            return None
        tiles = [self._tile(batch, found, moments[b], b, plays=True) for b in self._lanes]
        return image_grid(tiles, self._ncols)

    def _choose(self, playing: Sequence[int], size: Sequence[int]) -> None:
        num_lanes, self._ncols = _grid_of(len(playing), size[1] / size[0])
        self._lanes = list(playing[:num_lanes])

    def _tile(self, batch: Batch, found: Found, t: int, b: int, *, plays: bool) -> Image:
        if plays:
            self._tiles[b] = draw_shown(
                self._show_frame(batch["inputs"][t, b]),
                select_shown(found[t][b], self._nms_thresh),
                batch["labels"][t][b],
                self._label_map,
                factor=self._factor,
            )
            return self._tiles[b]
        dimmed = (self._tiles[b] * _DIMMED).astype(np.uint8)
        return draw_caption(dimmed, "ended")


def _plays(info: ClipInfo, t: int, num_bins: int) -> bool:
    return info.index >= 0 and t < num_bins - info.num_padding


def _interest(batch: Batch, b: int, t: int) -> tuple[int, float]:
    truth = batch["labels"][t][b]
    return min(len(truth), 1), activity_of(batch["inputs"][t, b], truth)


def _grid_of(num_lanes: int, ratio: float) -> tuple[int, int]:
    """The largest number of tiles that fill a grid of about 16:9, and its columns.

    Args:
        num_lanes: the lanes that there are.
        ratio: width of a tile over its height.
    """
    for number in range(num_lanes, 0, -1):
        columns = [n for n in range(1, number + 1) if number % n == 0]
        stretch = {n: abs(math.log(n * ratio / (number / n) / _SHAPE)) for n in columns}
        best = min(columns, key=lambda n: stretch[n])
        if number == 1 or stretch[best] <= math.log(_MAX_STRETCH):
            return number, best
    return 0, 1
