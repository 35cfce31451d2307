"""Frames, detections and ground truth -> the pictures of an evaluation."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from evdet.boxes import to_box_events
from evdet.data import Batch
from evdet.draw import draw_detections_and_truth, image_grid
from evdet.evaluation.detecting import Found
from evdet.metrics import FrameKey, FrameResults, worst_frames

__all__ = ["SHOWN_SCORE", "Gallery", "Image", "ShowFrame", "draw_batch"]

Image = UInt8[np.ndarray, "_ _ 3"]
ShowFrame = Callable[[Float[Tensor, "_ _ _"]], Image]

SHOWN_SCORE = 0.5
"""Pictures show only boxes from this score on; scoring also uses many with low scores."""
STRIP_VIDEOS, STRIP_FRAMES, NUM_FAILURES = 1, 6, 8


def draw_batch(
    batch: Batch, found: Found, label_map: Sequence[str], show_frame: ShowFrame, *, factor: int = 2
) -> Iterator[Image]:
    """Draw each time bin of a batch as one picture, the lanes side by side.

    Args:
        batch: frames and labels.
        found: the detections `out[t][b]`.
        label_map: class names, background first.
        show_frame: turns a frame into an RGB picture.
        factor: enlargement of the frames.

    Yields:
        One picture per time bin; ground truth is white.
    """
    num_bins, num_lanes = batch["inputs"].shape[:2]
    # As close to 16:9 as possible.
    ncols = math.ceil(
        math.sqrt(num_lanes * 16 / 9 * batch["inputs"].shape[3] / batch["inputs"].shape[4])
    )
    for t in range(num_bins):
        lanes = [
            _draw(
                show_frame(batch["inputs"][t, b]),
                _shown(found[t][b]),
                batch["labels"][t][b],
                label_map,
                factor,
            )
            for b in range(num_lanes)
        ]
        yield image_grid(lanes, min(ncols, num_lanes))


class Gallery:
    """Pictures of scored frames.

    Args:
        results: ground truth and detections.
        frames: pictures of some of these frames, in pixels of the boxes.
        label_map: class names, background first.
    """

    def __init__(
        self,
        results: FrameResults,
        frames: Mapping[FrameKey, Image],
        label_map: Sequence[str],
    ) -> None:
        self.frames = frames
        self.label_map = label_map
        self.keys = results.keys
        self.truths = results.truths
        self.detections = results.detections

    def strip(self) -> list[tuple[str, Image]]:
        """A few videos, each at evenly spaced times."""
        pictures = []
        for video in sorted({video for video, _ in self.frames})[:STRIP_VIDEOS]:
            indices = [
                i for i, key in enumerate(self.keys) if key[0] == video and key in self.frames
            ]
            for j in np.linspace(0, len(indices) - 1, min(STRIP_FRAMES, len(indices))).astype(int):
                index = indices[j]
                pictures.append(
                    (f"video {video}, frame {self.keys[index][1]}", self._picture(index))
                )
        return pictures

    def failures(self) -> list[tuple[str, Image]]:
        """The frames with most errors, one per video: neighbouring frames look the same."""
        kept = [i for i, key in enumerate(self.keys) if key in self.frames]
        worst = worst_frames(
            [self.truths[i] for i in kept],
            [self.detections[i] for i in kept],
            max_frames=len(kept),
            score_thresh=SHOWN_SCORE,
        )
        pictures: list[tuple[str, Image]] = []
        seen: set[int] = set()
        for errors in worst:
            index = kept[errors.index]
            video, frame = self.keys[index]
            if video in seen or len(pictures) == NUM_FAILURES:
                continue
            seen.add(video)
            counts = [
                (errors.missed, "missed"),
                (errors.wrong_class, "of the wrong class"),
                (errors.false_alarms, "falsely detected"),
            ]
            words = ", ".join(f"{count} {what}" for count, what in counts if count)
            pictures.append((f"video {video}, frame {frame}: {words}", self._picture(index)))
        return pictures

    def _picture(self, index: int) -> Image:
        return _draw(
            self.frames[self.keys[index]],
            _shown(self.detections[index]),
            self.truths[index],
            self.label_map,
            factor=3,
        )


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    likely = found["scores"] >= SHOWN_SCORE
    return {name: values[likely] for name, values in found.items()}


def _draw(
    frame: Image, found: dict[str, Any], truth: Any, label_map: Sequence[str], factor: int
) -> Image:
    return draw_detections_and_truth(
        frame,
        to_box_events(found["boxes"], found["labels"], found["scores"]),
        to_box_events(truth[:, :4], truth[:, 4]),
        label_map,
        factor=factor,
    )
