"""Frames, detections and ground truth -> the pictures of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from evdet.data import Batch
from evdet.evaluation.detecting import Found
from evdet.evaluation.moments import FrameQuality, choose_moments, rate_frames
from evdet.evaluation.shown import Image, ShowFrame, activity_of, draw_shown, select_shown
from evdet.shapes import Detections

__all__ = ["Gallery", "Moment"]

_STRIP_FRAMES, _NUM_GOOD, _NUM_FAILURES = 4, 2, 8
# Frames held for pictures, which limits the RAM of a long evaluation.
_MAX_FRAMES, _MAX_BYTES = 1000, 400_000_000
# Multiples of it, without their whole part, spread evenly: thinning favours no lane.
_GOLDEN_RATIO = 0.6180339887


class Moment(NamedTuple):
    """A picture of one frame."""

    heading: str
    """Why it is shown, and what was found."""
    caption: str
    """The recording and the time."""
    image: Image


@dataclass(frozen=True, eq=False)
class _Kept:
    """A frame that may be shown."""

    turn: float
    """Frames with a low value stay longest."""
    image: Image
    shown: Detections
    truth: Tensor
    activity: float
    place: str


class Gallery:
    """Keeps frames of an evaluation, spread over all of it, and chooses some of them to show.

    Args:
        label_map: class names, background first.
        show_frame: turns a frame into an RGB picture.
        nms_thresh: of two boxes with a higher IoU, the better is shown.
    """

    def __init__(self, label_map: Sequence[str], show_frame: ShowFrame, nms_thresh: float) -> None:
        self._label_map = label_map
        self._show_frame = show_frame
        self._nms_thresh = nms_thresh
        self._kept: dict[tuple[int, int], _Kept] = {}
        self._num_seen = 0
        self._share = 1.0

    def add(self, batch: Batch, found: Found, t: int, lane: int, *, first_bin: int = 0) -> None:
        """Consider a labelled frame of a batch.

        Args:
            batch: the batch.
            found: its detections `out[t][b]`.
            t: time bin of the frame.
            lane: lane of the frame.
            first_bin: index of the recording's first bin; bin 0 starts at time 0.
        """
        turn = self._num_seen * _GOLDEN_RATIO % 1
        self._num_seen += 1
        if turn >= self._share:
            return
        info, frame = batch["video_infos"][lane], batch["inputs"][t, lane]
        truth = batch["labels"][t][lane]
        index = info.first_frame + t
        seconds = (first_bin + index + 1) * info.delta_t / 1e6
        image = self._show_frame(frame)
        self._kept[info.index, index] = _Kept(
            turn,
            image,
            select_shown(found[t][lane], self._nms_thresh),
            truth,
            activity_of(frame, truth),
            f"{info.name} at {seconds:.2f} s",
        )
        while len(self._kept) > max(2, min(_MAX_FRAMES, _MAX_BYTES // max(1, image.nbytes))):
            self._share /= 2
            self._kept = {key: one for key, one in self._kept.items() if one.turn < self._share}

    def state(self) -> dict[str, Any]:
        """What is kept, as plain values and tensors."""
        kept = {
            key: {
                "turn": one.turn,
                "image": torch.from_numpy(np.ascontiguousarray(one.image)),
                "shown": dict(one.shown),
                "truth": one.truth.cpu(),
                "activity": one.activity,
                "place": one.place,
            }
            for key, one in self._kept.items()
        }
        return {"kept": kept, "num_seen": self._num_seen, "share": self._share}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        self._num_seen, self._share = state["num_seen"], state["share"]
        self._kept = {
            key: _Kept(**{**one, "image": one["image"].numpy()})
            for key, one in state["kept"].items()
        }

    def moments(self) -> dict[str, list[Moment]]:
        """The pictures: `best`, `typical`, `failures`, and `strip`, one recording over time."""
        kept = [self._kept[key] for key in sorted(self._kept)]
        rated = rate_frames(
            sorted(self._kept),
            [one.truth for one in kept],
            [one.shown for one in kept],
            {key: one.activity for key, one in self._kept.items()},
        )
        chosen = choose_moments(rated, num_good=_NUM_GOOD, num_failures=_NUM_FAILURES)
        pictures = {
            "best": [self._draw(f"Best: {_found(one)}", one) for one in chosen["best"]],
            "typical": [self._draw(f"Typical: {_found(one)}", one) for one in chosen["typical"]],
            "failures": [self._draw(f"Failure: {_errors(one)}", one) for one in chosen["failures"]],
        }
        first = [*chosen["best"], *chosen["typical"], *chosen["failures"], *rated][:1]
        video = [frame for frame in rated if first and frame.key[0] == first[0].key[0]]
        video = [frame for frame in video if frame.num_objects] or video
        steps = np.linspace(0, len(video) - 1, min(_STRIP_FRAMES, len(video))).astype(int)
        strip = [self._draw(_found(video[step]), video[step]) for step in steps]
        return {"strip": strip, **pictures}

    def _draw(self, heading: str, frame: FrameQuality) -> Moment:
        kept = self._kept[frame.key]
        image = draw_shown(kept.image, kept.shown, kept.truth, self._label_map, factor=3)
        return Moment(heading[:1].upper() + heading[1:], kept.place, image)


def _found(frame: FrameQuality) -> str:
    """The objects found in a frame, and what is wrong, in words."""
    if not frame.num_objects:
        return _in_words([], frame) or "no objects, nothing found"
    return _in_words([f"found {frame.num_right} of {_count(frame.num_objects, 'object')}"], frame)


def _errors(frame: FrameQuality) -> str:
    """The errors of a frame, in words."""
    missed = frame.errors.missed
    first = [f"missed {missed} of {_count(frame.num_objects, 'object')}"] if missed else []
    return _in_words(first, frame)


def _in_words(first: Sequence[str], frame: FrameQuality) -> str:
    words = [*first]
    if frame.errors.wrong_class:
        words.append(f"{frame.errors.wrong_class} of the wrong class")
    if frame.errors.false_alarms:
        words.append(_count(frame.errors.false_alarms, "false alarm"))
    if frame.is_at_rest:
        words.append("at rest, without events")
    return ", ".join(words)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
