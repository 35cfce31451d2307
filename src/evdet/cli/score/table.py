"""Scores -> lines for the terminal: a table, and the protocol below it."""

import math
from collections.abc import Mapping
from typing import Any

from evdet.cli.options import counted
from evdet.metrics import AveragePrecision

__all__ = ["check_has_truth", "describe_rules", "describe_scores", "describe_tracks"]

_MOST_CLASSES = 12
_PIXELS = {"frame": "frame", "sensor": "sensor", "half sensor": "sensor at half its resolution"}


def check_has_truth(scores: AveragePrecision, where: str) -> None:
    """Refuse scores without ground truth: they are undefined.

    Args:
        scores: of any protocol.
        where: the source of the ground truth, in words.

    Raises:
        ValueError: no object was counted; the message names the rules.
    """
    if scores.num_truths:
        return
    classes = ", ".join(scores.per_class) or "none"
    raise ValueError(
        f"nothing to score: {where} has no object that protocol {scores.protocol} counts "
        f"(classes: {classes}; boxes: {_limits(scores.rules)}), in "
        f"{counted(scores.num_frames, 'labelled frame')} with "
        f"{counted(scores.num_detections, 'detection')}"
    )


def describe_scores(scores: AveragePrecision) -> str:
    """Put scores into a small table, with the protocol below it."""
    rows = [f"{'class':14}{'AP':>8}{'AP50':>8}{'objects':>9}{'found':>9}"]
    rows += [
        f"{name:14}{_number(part.ap)}{_number(part.ap50)}"
        f"{part.num_truths:9d}{part.num_detections:9d}"
        for name, part in scores.per_class.items()
    ]
    rows += [
        "-" * len(rows[0]),
        f"{'all':14}{_number(scores.map)}{_number(scores.map50)}"
        f"{scores.num_truths:9d}{scores.num_detections:9d}",
        f"protocol {scores.protocol}: mAP {_number(scores.map).strip()}, "
        f"mAP50 {_number(scores.map50).strip()}, mAP75 {_number(scores.map75).strip()}, "
        f"{counted(scores.num_frames, 'frame')}",
        *(f"  {line}" for line in describe_rules(scores.rules)),
    ]
    return "\n".join(rows)


def describe_rules(rules: Mapping[str, Any]) -> list[str]:
    """Put the rules of a protocol, `scores.rules`, and the deviations from it into lines."""
    if not rules:
        return []
    edge = "; ground truth clipped to the frame" if rules["clips_truth"] else ""
    thresholds = rules["iou_thresholds"]
    lines = {
        "boxes": f"{_limits(rules)}, in pixels of the {_PIXELS[rules['pixels']]}{edge}",
        "times": _times(rules),
        "frames": "all, frames without objects included"
        if rules["counts_empty"]
        else "frames with objects",
        "ranking": rules["ranking"].replace("_", " "),
        "classes": _classes(rules["classes"]),
        **_playing(rules),
        "precision": f"IoU {thresholds[0]:.2f}:{thresholds[-1]:.2f}, the best "
        f"{rules['max_detections']} detections per frame and class",
    }
    return [
        *(f"{name:11}{text}" for name, text in lines.items()),
        *(f"deviation: {text}" for text in rules["deviations"]),
    ]


def describe_tracks(tracks: Mapping[str, Any]) -> str:
    """Put the scores of tracks, `TrackScores.as_dict()`, into one line."""
    numbers = ", ".join(f"{name} {_plain(tracks[name])}" for name in ("HOTA", "MOTA", "IDF1"))
    rules = f"{tracks['protocol']}, IoU {tracks['iou_thresh']:g}"
    if "tracker" in tracks:
        rules += f"; {tracks['tracker']}: a track {tracks['rules']}"
    return f"tracks ({rules}): {numbers}"


def _limits(rules: Mapping[str, Any]) -> str:
    limits = []
    if rules["skip_until"] is not None:
        limits.append(f"t > {rules['skip_until'] / 1e6:g} s")
    if rules["min_diag"] or rules["min_side"]:
        limits.append(f"diagonal >= {rules['min_diag']:g}, sides >= {rules['min_side']:g}")
    return ", ".join(limits) or "all"


def _times(rules: Mapping[str, Any]) -> str:
    if rules["tolerance"] is not None:
        return f"each labeled time, with the detections within {rules['tolerance'] / 1e3:g} ms"
    if not rules["delta_t"]:
        return "each labeled time, with the detections of the same time"
    return (
        f"the last labeled time of each time bin of {rules['delta_t'] / 1e3:g} ms, with the "
        "detections of the time bin"
    )


def _playing(rules: Mapping[str, Any]) -> dict[str, str]:
    """From where recordings are played, and what becomes of memory, where a protocol departs."""
    lines = {}
    start, reset = rules.get("start_before_label"), rules.get("reset_every")
    if start:
        lines["start"] = f"{counted(start, 'frame')} before the end of the first frame with objects"
    if reset:
        lines["memory"] = f"emptied every {counted(reset, 'frame')}"
    return lines


def _classes(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_CLASSES} more" if len(names) > _MOST_CLASSES else ""
    return ", ".join(names[:_MOST_CLASSES]) + more


def _number(value: float) -> str:
    """A score in its column; "-" for a class without objects."""
    return f"{'-' if math.isnan(value) else f'{value:.3f}':>8}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
