"""A detector at other frame rates than that of its training."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evdet.data import Batch
from evdet.evaluation.detecting import detect_batches, rename_classes
from evdet.evaluation.evaluated import EvaluatedDetector
from evdet.evaluation.played_recordings import PlayedRecording
from evdet.evaluation.recording_results import RecordingResults
from evdet.frame_spec import SelectionThresholds
from evdet.metrics import Protocol, score_recordings

__all__ = ["PlayedAt", "RateScore", "score_rates"]

_SECOND = 1_000_000


@dataclass(frozen=True, kw_only=True)
class RateScore:
    """The scores of a detector at a frame rate."""

    rate: float
    """Frames per second."""
    delta_t: int
    """Duration of a time bin, in microseconds."""
    map: float
    """Mean average precision; nan without objects."""
    map50: float
    """The same at IoU 0.50."""
    num_frames: int
    """Labelled time bins."""

    def as_dict(self) -> dict[str, Any]:
        """The scores as plain types for JSON, with its names."""
        scores = {"mAP": self.map, "mAP50": self.map50}
        return {
            "rate": self.rate,
            "delta_t": self.delta_t,
            **{name: None if math.isnan(value) else value for name, value in scores.items()},
            "num_frames": self.num_frames,
        }


class PlayedAt(NamedTuple):
    """A data set in time bins of one duration."""

    batches: Iterable[Batch]
    played: Sequence[PlayedRecording] | None
    """As `evaluate` takes them."""


def score_rates(
    evaluated: EvaluatedDetector,
    rates: Sequence[float],
    play: Callable[[int], PlayedAt],
    *,
    class_names: Sequence[str],
    thresholds: SelectionThresholds,
    protocol: Protocol,
) -> Iterator[RateScore]:
    """Score a detector at several frame rates, each by the same protocol.

    Args:
        evaluated: the detector.
        rates: frames per second.
        play: plays the data set in time bins of a duration in microseconds.
        class_names: the classes to score, without background.
        thresholds: select detections among the candidates.
        protocol: the rules. Where it takes the last label of each time bin, longer time bins have
            fewer labels.
    """
    for rate in rates:
        delta_t = round(_SECOND / rate)
        source = play(delta_t)
        results = RecordingResults(protocol, source.played)
        for batch, found in detect_batches(evaluated.detector, source.batches, thresholds):
            results.add(batch, rename_classes(found, evaluated.class_names, class_names))
        scores = score_recordings(results.recordings(), class_names, protocol, delta_t=delta_t)
        yield RateScore(
            rate=rate,
            delta_t=delta_t,
            map=scores.map,
            map50=scores.map50,
            num_frames=scores.num_frames,
        )
