"""Detector + batches -> numbers and pictures: one loop for evaluation, demo videos and tests."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from evdet.boxes import to_box_events
from evdet.data.batch import Batch
from evdet.draw import draw_detections_and_truth, image_grid
from evdet.metrics import (
    AveragePrecision,
    FrameResults,
    average_precision,
    confusion_matrix,
    worst_frames,
)
from evdet.models import Detector

__all__ = [
    "ConfusionMatrix",
    "Evaluation",
    "SelectionThresholds",
    "detect_batches",
    "draw_batch",
    "evaluate",
]

ConfusionMatrix = Int64[np.ndarray, "K K"]
Image = UInt8[np.ndarray, "_ _ 3"]
Found = list[list[dict[str, Tensor]]]
ShowFrame = Callable[[Float[Tensor, "_ _ _"]], Image]

SHOWN_SCORE = 0.5  # pictures show fewer boxes than are scored: people count the doubtful ones
KEPT_FRAMES = 1000  # frames held for pictures, so that a long evaluation stays in memory
STRIP_VIDEOS, STRIP_FRAMES, NUM_FAILURES = 1, 6, 8


@dataclass(frozen=True, kw_only=True)
class SelectionThresholds:
    """Which candidates become detections; `Detector.step` explains each."""

    score_thresh: float = 0.05
    nms_thresh: float = 0.6
    max_boxes: int = 500


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a detector did on a data set."""

    scores: AveragePrecision
    """COCO average precision."""
    confusion: ConfusionMatrix
    """Counts of truth (rows) against detection (columns); row and column 0 are background."""
    strip: list[tuple[str, Image]]
    """Captions and pictures of a few videos over time, detections against truth."""
    failures: list[tuple[str, Image]]
    """The same of the frames with most errors, with what is wrong in words."""


def detect_batches(
    detector: Detector, batches: Iterable[Batch], thresholds: SelectionThresholds
) -> Iterator[tuple[Batch, Found]]:
    """Detect in batch after batch, with the memory carried along every lane.

    Args:
        detector: in evaluation mode.
        batches: in the order of the loader.
        thresholds: which candidates become detections.

    Yields:
        Each batch, and its detections `out[t][b]` on the CPU.
    """
    device = next(detector.parameters()).device
    memory = None
    for batch in batches:
        with torch.no_grad():
            if memory is not None:
                keep = batch["mask_keep_memory"].to(device)
                memory = tuple(part * keep for part in memory)
            found, memory = detector.step(
                batch["inputs"].to(device),
                memory,
                score_thresh=thresholds.score_thresh,
                nms_thresh=thresholds.nms_thresh,
                max_boxes=thresholds.max_boxes,
            )
        yield batch, found


def evaluate(
    detector: Detector,
    batches: Iterable[Batch],
    class_names: Sequence[str],
    *,
    show_frame: ShowFrame,
    thresholds: SelectionThresholds,
) -> Evaluation:
    """Score a detector on batches with labels, and keep pictures of what it did.

    Args:
        detector: in evaluation mode.
        batches: one pass over the data set; frames that nobody labelled are not scored.
        class_names: the classes, without background.
        show_frame: a frame as an RGB picture; the loader's `get_vis_func()`.
        thresholds: which candidates become detections.

    Returns:
        Numbers and pictures.
    """
    results = FrameResults()
    frames: dict[tuple[int, int], Image] = {}
    for batch, found in detect_batches(detector, batches, thresholds):
        for t, b in batch["frame_is_labeled"].nonzero().tolist():
            info = batch["video_infos"][b]
            key = (info.index, info.first_frame + t)
            results.add(key, batch["labels"][t][b], found[t][b])
            if len(frames) < KEPT_FRAMES:
                frames[key] = show_frame(batch["inputs"][t, b])
    truths, detections = results.truths, results.detections
    gallery = _Gallery(results, frames, ["background", *class_names])
    return Evaluation(
        scores=average_precision(truths, detections, class_names),
        confusion=confusion_matrix(truths, detections, class_names, score_thresh=SHOWN_SCORE),
        strip=gallery.strip(),
        failures=gallery.failures(),
    )


def draw_batch(
    batch: Batch, found: Found, label_map: Sequence[str], show_frame: ShowFrame, *, factor: int = 2
) -> Iterator[Image]:
    """Draw each time bin of a batch as one picture, the lanes side by side.

    Args:
        batch: frames and truth.
        found: the detections `out[t][b]`.
        label_map: class names, background first.
        show_frame: a frame as an RGB picture.
        factor: how many times larger than the frames.

    Yields:
        One picture per time bin; truth in white.
    """
    num_bins, num_lanes = batch["inputs"].shape[:2]
    # As near to 16:9 as whole lanes allow.
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


class _Gallery:
    """Pictures of scored frames."""

    def __init__(
        self,
        results: FrameResults,
        frames: dict[tuple[int, int], Image],
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
            places = [
                i for i, key in enumerate(self.keys) if key[0] == video and key in self.frames
            ]
            for j in np.linspace(0, len(places) - 1, min(STRIP_FRAMES, len(places))).astype(int):
                place = places[j]
                pictures.append(
                    (f"video {video}, frame {self.keys[place][1]}", self._picture(place))
                )
        return pictures

    def failures(self) -> list[tuple[str, Image]]:
        """The frames with most errors, one a video: its neighbours would look the same."""
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
            place = kept[errors.index]
            video, frame = self.keys[place]
            if video in seen or len(pictures) == NUM_FAILURES:
                continue
            seen.add(video)
            counts = [
                (errors.missed, "missed"),
                (errors.wrong_class, "taken for another class"),
                (errors.false_alarms, "where nothing is"),
            ]
            words = ", ".join(f"{count} {what}" for count, what in counts if count)
            pictures.append((f"video {video}, frame {frame}: {words}", self._picture(place)))
        return pictures

    def _picture(self, place: int) -> Image:
        return _draw(
            self.frames[self.keys[place]],
            _shown(self.detections[place]),
            self.truths[place],
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
