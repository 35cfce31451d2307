"""Detector + batches -> scores and pictures, for evaluation, demo videos and tests."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int64

from evdet.data import Batch
from evdet.evaluation.detecting import CarriedMemory, Found, detect_batches, rename_classes
from evdet.evaluation.gallery import Gallery, Moment
from evdet.evaluation.played_recordings import PlayedRecording
from evdet.evaluation.progress import EvaluationProgress
from evdet.evaluation.recording_results import RecordingResults
from evdet.evaluation.shown import ShowFrame
from evdet.frame_spec import SelectionThresholds
from evdet.metrics import (
    CONFIDENT_SCORE,
    PROTOCOLS,
    AveragePrecision,
    FrameResults,
    Protocol,
    ScoredRecording,
    confusion_matrix,
    score_recordings,
)
from evdet.models import DetectorProtocol
from evdet.structured_text import html_beside, html_picture

__all__ = ["ConfusionMatrix", "Evaluation", "evaluate"]

_Parts = Mapping[str, RecordingResults | FrameResults | Gallery]
ConfusionMatrix = Int64[np.ndarray, "K K"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of a detector on a data set."""

    scores: AveragePrecision
    """Average precision, with the protocol."""
    confusion: ConfusionMatrix
    """Counts of ground truth (rows) and detections (columns); row and column 0 are background."""
    strip: list[Moment]
    """One recording over time, with detections and ground truth."""
    best: list[Moment]
    """The frames with the most objects found and the fewest errors."""
    typical: list[Moment]
    """Frames of median quality."""
    failures: list[Moment]
    """The frames with most errors; their headings name the errors."""
    recordings: list[ScoredRecording] = field(default_factory=list)
    """Ground truth and detections of each recording, in the protocol's pixels."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the image that boxes are measured in."""
    delta_t: int = 0
    """Duration of a time bin, in microseconds."""
    num_frames: int = 0
    """Played frames with labels."""

    def __repr__(self) -> str:
        return f"Evaluation of {self.scores!r}"

    def _repr_html_(self) -> str:
        """For notebooks."""
        pictures = [
            html_picture(moment.image.astype(np.uint8), f"{moment.heading} {moment.caption}")
            for moment in [*self.typical, *self.strip][:1]
        ]
        return html_beside(*pictures, self.scores._repr_html_())


def evaluate(
    detector: DetectorProtocol,
    batches: Iterable[Batch],
    class_names: Sequence[str],
    *,
    show_frame: ShowFrame,
    thresholds: SelectionThresholds,
    protocol: Protocol = PROTOCOLS["coco"],
    played: Sequence[PlayedRecording] | None = None,
    detector_classes: Sequence[str] | None = None,
    counts_events: bool = False,
    reset_every: int | None = None,
    deviations: Sequence[str] = (),
    progress: EvaluationProgress | None = None,
    broken: Callable[[], Mapping[str, str]] = dict,
) -> Evaluation:
    """Score a detector on batches with labels, and keep pictures of the results.

    Args:
        detector: in evaluation mode.
        batches: one pass over the data set; frames that are not annotated are not scored.
        class_names: the classes of the labels, without background.
        show_frame: turns a frame into an RGB picture; the loader's `get_vis_func()`.
        thresholds: select detections among the candidates.
        protocol: the other rules; the caller applies its `classes`, and its `start_before_label`
            with `begin_before_labels`.
        played: the recordings with their label files, from `to_played`; without them the labels
            of the batches are scored, at the ends of time bins.
        detector_classes: the detector's classes, if they differ from `class_names`; detections of
            other classes are left out.
        counts_events: count the events in the ground-truth boxes; recordings are read again.
        reset_every: frames of a recording after which memory is emptied; None carries it. Where the
            protocol has another number, that is a deviation.
        deviations: the caller's deviations from the protocol, for the record.
        progress: what an evaluation that was stopped has found, and the file for what this one
            finds; `batches` are those after it. None begins anew, and keeps nothing.
        broken: gives the damaged recordings of the batches so far, for the file.

    Raises:
        ValueError: `reset_every` is less than 1.
    """
    results = FrameResults()
    gallery = Gallery(["background", *class_names], show_frame, thresholds.nms_thresh)
    by_recording = RecordingResults(protocol, played, counts_events=counts_events)
    parts: _Parts = {"recordings": by_recording, "frames": results, "gallery": gallery}
    carried, num_batches = _restored(progress, parts)
    for batch, everything in detect_batches(
        detector, batches, thresholds, reset_every=reset_every, carried=carried
    ):
        found = rename_classes(everything, detector_classes or class_names, class_names)
        by_recording.add(batch, found)
        _add_frames(results, gallery, batch, found, played)
        num_batches += 1
        if progress is not None and progress.is_due:
            _keep(progress, parts, carried, num_batches, broken())
    recordings = by_recording.recordings()
    return Evaluation(
        scores=score_recordings(
            recordings,
            class_names,
            replace(protocol, reset_every=reset_every),
            delta_t=by_recording.delta_t,
            deviations=[*deviations, *_deviations(protocol, reset_every)],
        ),
        confusion=confusion_matrix(
            results.truths, results.detections, class_names, score_thresh=CONFIDENT_SCORE
        ),
        **gallery.moments(),
        recordings=recordings,
        size=by_recording.size,
        delta_t=by_recording.delta_t,
        num_frames=len(results),
    )


def _keep(
    progress: EvaluationProgress,
    parts: _Parts,
    carried: CarriedMemory,
    num_batches: int,
    broken: Mapping[str, str],
) -> None:
    """Write down where the evaluation stands."""
    progress.write(
        {
            **{name: part.state() for name, part in parts.items()},
            "num_batches": num_batches,
            "memory": carried.state(),
            "broken": {**progress.broken, **broken},
        }
    )


def _add_frames(
    results: FrameResults,
    gallery: Gallery,
    batch: Batch,
    found: Found,
    played: Sequence[PlayedRecording] | None,
) -> None:
    for t, b in batch["frame_is_labeled"].nonzero().tolist():
        info = batch["video_infos"][b]
        key = (info.index, info.first_frame + t)
        results.add(key, batch["labels"][t][b], found[t][b])
        first_bin = played[info.index].first_bin if played else 0
        gallery.add(batch, found, t, b, first_bin=first_bin)


def _restored(
    progress: EvaluationProgress | None,
    parts: _Parts,
) -> tuple[CarriedMemory, int]:
    """Continue from what was found before: the memory, and the number of batches."""
    if progress is None or progress.state is None:
        return CarriedMemory(), 0
    for name, part in parts.items():
        part.restore(progress.state[name])
    memory = progress.state["memory"]
    return CarriedMemory(None if memory is None else tuple(memory)), progress.num_batches


def _deviations(protocol: Protocol, reset_every: int | None) -> list[str]:
    if reset_every == protocol.reset_every:
        return []
    stated = f"{protocol.name} empties it every {protocol.reset_every} frames"
    if reset_every is None:
        return [f"memory carried: {stated}"]
    applied = f"memory emptied every {reset_every} frame{'s' * (reset_every > 1)}"
    return [applied if protocol.reset_every is None else f"{applied}: {stated}"]
