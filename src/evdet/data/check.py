"""Read a data set folder once; report its problems and what training will use."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from evdet.data.augment import Augmentation
from evdet.data.folder import DatasetFolder, open_folder, read_labels
from evdet.data.folder_layouts import RecordingEntry, find_outside
from evdet.data.label_clock import judge_clock
from evdet.data.missing_classes import find_missing_classes
from evdet.data.recording_scan import RecordingScan, scan_recording
from evdet.data.tensors import open_tensors
from evdet.events import AS_STATED, ReadOptions, RecordingError, SensorSize
from evdet.labels import (
    BoxRules,
    ClassChoice,
    LabeledTimes,
    LabelError,
    RecordingSpan,
    apply_classes,
    apply_rules,
    bin_boxes,
    choose_classes,
    describe_counts,
    is_outside,
)

__all__ = ["CheckReport", "Finding", "SplitUse", "check_folder"]

_WIDE_SHARE = 0.9
_LONG_GAP = 1_000_000
"""Microseconds without an event that are reported: any sensor has noise."""
_LONG_STEP = 5
"""A step between label times is a gap when it is more than this many times the usual one."""


class Finding(NamedTuple):
    """A problem with a file, or a remark about it."""

    kind: str
    path: Path
    text: str
    is_problem: bool
    """True for a problem to fix, False for a remark."""


@dataclass
class SplitUse:
    """What training takes from one split."""

    num_recordings: int = 0
    num_events: int = 0
    duration: int = 0
    """Microseconds, all recordings together."""
    num_bins: int = 0
    num_labeled_bins: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    """Boxes to train on, by class."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Boxes that are left out, or changed, by reason."""


@dataclass
class CheckReport:
    """The state of a data set folder."""

    folder: DatasetFolder
    classes: tuple[str, ...]
    """The classes that are trained."""
    delta_t: int
    """Duration of a bin in microseconds."""
    findings: list[Finding] = field(default_factory=list)
    splits: dict[str, SplitUse] = field(default_factory=dict)

    @property
    def problems(self) -> list[Finding]:
        """The findings to fix."""
        return [finding for finding in self.findings if finding.is_problem]

    @property
    def remarks(self) -> list[Finding]:
        """The other findings."""
        return [finding for finding in self.findings if not finding.is_problem]


def check_folder(
    path: Path,
    *,
    delta_t: int = 50_000,
    classes: Sequence[str] = (),
    rules: BoxRules | None = None,
    frame_period: int | None = None,
    options: ReadOptions = AS_STATED,
    size: SensorSize | None = None,
    progress: Callable[[Sequence[RecordingEntry]], Iterable[RecordingEntry]] = iter,
) -> CheckReport:
    """Read every recording and every label file of a data set once.

    Args:
        path: the folder.
        delta_t: duration of a bin in microseconds.
        classes: the classes to train, as `choose_classes` takes them; none takes all.
        rules: which boxes are fit for training.
        frame_period: microseconds from frame to frame, for labels numbered by frame; by default
            the duration of a bin.
        options: what the files of the recordings leave open.
        size: the sensor's size where the recordings state none or a wrong one.
        progress: wraps the recordings of all splits while they are read.

    Raises:
        FolderError: the folder is not a data set.
        ValueError: the label map does not have the classes.
    """
    if delta_t < 1:
        raise ValueError(f"delta_t must be at least 1 microsecond, got {delta_t}")
    folder = open_folder(path, options=options)
    choice = choose_classes(folder.label_map, classes)
    report = CheckReport(folder, choice.names, delta_t)
    reader = _Reader(report, choice, classes, rules or BoxRules(), frame_period or delta_t, size)
    split_of = {
        entry.recording: split for split, entries in folder.splits.items() for entry in entries
    }
    report.splits = {split: SplitUse() for split in folder.splits}
    for entry in progress([e for entries in folder.splits.values() for e in entries]):
        reader.read(entry, report.splits[split_of[entry.recording]])
    _check_parts(report)
    _check_outside(report)
    _check_copies(report, split_of)
    return report


class _Reader:
    """Reads recordings and adds findings to a report."""

    def __init__(
        self,
        report: CheckReport,
        choice: ClassChoice,
        wanted: Sequence[str],
        rules: BoxRules,
        frame_period: int,
        size: SensorSize | None,
    ) -> None:
        self.report = report
        self.choice = choice
        self.wanted = wanted
        self.rules = rules
        self.frame_period = frame_period
        self.size = size

    def read(self, entry: RecordingEntry, use: SplitUse) -> None:
        """Read a recording and its labels."""
        if entry.boxes is None:
            text = "has no label file beside it, so training cannot use it"
            self._note("no boxes", entry.recording, text, is_problem=True)
        if entry.kind == "frames":
            self._read_frames(entry, use)
            return
        scan = scan_recording(entry.recording, self.report.folder.options, size=self.size)
        self._look_at_events(entry.recording, scan)
        if not scan.num_events:
            return
        labeled = self._labels(entry, scan.span)
        start, end = scan.span.start or 0, scan.span.end or 0
        first_bin = start // self.report.delta_t
        num_bins = end // self.report.delta_t - first_bin + 1
        use.num_recordings += 1
        use.num_events += scan.num_events
        use.duration += end - start
        use.num_bins += num_bins
        if labeled is None:
            return
        binned = bin_boxes(
            labeled, first_bin=first_bin, num_bins=num_bins, delta_t=self.report.delta_t
        )
        self._look_at_boxes(entry, labeled, scan.span, binned.num_outside)
        boxes = np.concatenate([labeled.boxes[:0], *binned.boxes])
        boxes, not_chosen = apply_classes(boxes, self.choice)
        boxes, by_rule = apply_rules(boxes, self.rules, scan.span.size)
        use.num_labeled_bins += int(binned.is_labeled.sum())
        use.left_out["superseded"] += binned.num_superseded
        use.left_out["outside the recording"] += binned.num_outside
        for counts in (labeled.counts, not_chosen, by_rule):
            use.left_out.update(counts)
        self._count_classes(use, boxes["class_id"])

    def _read_frames(self, entry: RecordingEntry, use: SplitUse) -> None:
        """Read all ready-made frames of an entry and their labels."""
        alone = replace(self.report.folder, splits={"alone": (entry,)})
        try:
            frames = open_tensors(
                alone, "alone", classes=self.wanted, rules=self.rules, num_tbins=1, strict=True
            )
            (video,) = frames.videos
            for _ in frames.frames(0, 0, video.num_bins, augmentation=Augmentation()):
                pass
        except (RecordingError, OSError, ValueError) as error:
            text = _without_path(error, entry.recording)
            self._note("broken frames", entry.recording, text, is_problem=True)
            return
        use.num_recordings += 1
        use.duration += video.num_bins * frames.delta_t
        use.num_bins += video.num_bins
        use.num_labeled_bins += int(video.labels.is_labeled.sum())
        self._count_classes(use, video.labels.boxes[:, 4].astype(np.int64))

    def _count_classes(self, use: SplitUse, class_ids: Shaped[np.ndarray, " _"]) -> None:
        names = self.choice.names
        use.boxes.update(names[class_id - 1] for class_id in class_ids.tolist())

    def _note(self, kind: str, path: Path, text: str, *, is_problem: bool = False) -> None:
        self.report.findings.append(Finding(kind, path, text, is_problem))

    def _look_at_events(self, path: Path, scan: RecordingScan) -> None:
        """Report what is unusual about the events of a recording."""
        if scan.error:
            text = scan.error.removeprefix(str(path)).lstrip(":, ")
            if scan.num_events:
                text += f" Training uses the {scan.num_events} events up to t={scan.span.end} us."
            self._note("broken recording", path, text, is_problem=True)
        elif not scan.num_events:
            self._note("no events", path, "has no events", is_problem=True)
        if scan.incomplete_end:
            text = scan.incomplete_end.removeprefix(str(path)).lstrip(":, ")
            self._note("incomplete end", path, f"{text} The events before are used.")
        if scan.num_steps_back:
            text = (
                f"is not in order of time: {scan.num_steps_back} events step back, by up to "
                f"{scan.largest_step_back} us; they are sorted within their bin"
            )
            self._note("time order", path, text)
        if scan.longest_gap > _LONG_GAP:
            text = f"has no events for {scan.longest_gap / 1e6:.2f} s, from t={scan.gap_start} us"
            self._note("gap in the events", path, text)

    def _labels(self, entry: RecordingEntry, span: RecordingSpan) -> LabeledTimes | None:
        if entry.boxes is None:
            return None
        try:
            labeled = read_labels(entry, self.report.folder, span, frame_period=self.frame_period)
        except (LabelError, OSError) as error:
            text = _without_path(error, entry.boxes)
            self._note("unreadable labels", entry.boxes, text, is_problem=True)
            return None
        unknown = set(np.unique(labeled.boxes["class_id"]).astype(int) - 1) - set(
            self.choice.label_map
        )
        if unknown:
            text = (
                f"has boxes of the class ids {', '.join(map(str, sorted(unknown)))}, which the "
                "label map does not name: training drops them"
            )
            self._note("unknown classes", entry.boxes, text, is_problem=True)
        for text in describe_counts(labeled.counts):
            self._note("boxes that do not count", entry.boxes, text)
        for text in labeled.notes:
            self._note("how labels are read", entry.boxes, text)
        if not len(labeled.boxes):
            text = f"has no boxes, and {len(labeled.empty_times)} times without objects"
            self._note("no objects", entry.boxes, text)
        return labeled

    def _look_at_boxes(
        self, entry: RecordingEntry, labeled: LabeledTimes, span: RecordingSpan, num_outside: int
    ) -> None:
        """Report what is unusual about the boxes of a recording."""
        path, boxes = entry.boxes or entry.recording, labeled.boxes
        count = len(boxes)
        times = np.concatenate([boxes["t"], labeled.empty_times])
        clock = judge_clock(times, span, self.report.delta_t)
        if clock is not None:
            self._note("times of the labels", path, clock.text, is_problem=clock.is_problem)
        elif num_outside:
            text = (
                f"{num_outside} of {count} boxes lie outside the recording's time, "
                f"{span.start} to {span.end} us; boxes are from {boxes['t'][0]} to "
                f"{boxes['t'][-1]} us"
            )
            kind = "boxes outside the time span"
            self._note(kind, path, text, is_problem=num_outside == count)
        with np.errstate(over="ignore", invalid="ignore"):
            wholly = is_outside(boxes, span.size)
            partly = (boxes["x"] < 0) | (boxes["y"] < 0)
            partly |= boxes["x"] + boxes["w"] > span.size.width
            partly |= boxes["y"] + boxes["h"] > span.size.height
            num_wide = int((boxes["w"] > _WIDE_SHARE * span.size.width).sum())
        num_wholly, num_partly = int(wholly.sum()), int((partly & ~wholly).sum())
        if num_wholly or num_partly:
            text = (
                f"{num_wholly} of {count} boxes lie outside the sensor {span.size}, {num_partly} "
                "partly"
            )
            is_problem = num_wholly == count
            if is_problem:
                text += ": were they drawn on larger images?"
            self._note("boxes outside the sensor", path, text, is_problem=is_problem)
        if num_wide:
            text = f"{num_wide} of {count} boxes are wider than {_WIDE_SHARE:.0%} of the sensor"
            self._note("frame-wide boxes", path, text)
        self._gaps(path, labeled)

    def _gaps(self, path: Path, labeled: LabeledTimes) -> None:
        times = np.unique(np.concatenate([labeled.boxes["t"], labeled.empty_times]))
        steps = np.diff(times)
        if not len(steps):
            return
        usual = max(int(np.median(steps)), self.report.delta_t)
        num_gaps = int((steps > _LONG_STEP * usual).sum())
        if num_gaps:
            at = int(steps.argmax())
            text = (
                f"{num_gaps} gaps in the label times, which are usually {np.median(steps) / 1e3:g} "
                f"ms apart; the longest is {steps[at] / 1e6:.2f} s, from t={times[at]} us"
            )
            self._note("gaps in the labels", path, text)


def _check_parts(report: CheckReport) -> None:
    """Report what is missing from the folder."""
    for split in ("train", "val"):
        if not report.folder.splits.get(split):
            text = f"has no {split}/ with recordings: " + (
                "training has no data"
                if split == "train"
                else "epochs cannot be scored. Move some whole recordings of train/ there"
            )
            report.findings.append(Finding("missing split", report.folder.path, text, True))
        elif (use := report.splits[split]).num_recordings and not use.boxes.total():
            lost = ", ".join(f"{n:,} {reason}" for reason, n in use.left_out.items() if n)
            text = "has no box to use, so training refuses it" + (f" ({lost})" if lost else "")
            report.findings.append(Finding("no objects", report.folder.path / split, text, True))
    num_boxes = {split: use.boxes for split, use in report.splits.items()}
    for split, text in find_missing_classes(num_boxes, report.classes).items():
        finding = Finding("missing classes", report.folder.path / split, text, False)
        report.findings.append(finding)
    for note in report.folder.notes:
        report.findings.append(Finding("several label files", report.folder.path, note, False))
    for paths in (report.folder.unmatched or {}).values():
        for path in paths:
            text = "belongs to no recording: no recording beside it has its name"
            report.findings.append(Finding("boxes without recording", path, text, True))


def _check_outside(report: CheckReport) -> None:
    """Report recordings that training does not see."""
    folder = report.folder
    if folder.layout != "plain":
        return
    for path in find_outside(folder.path, folder.splits):
        text = "lies outside train/, val/ and test/, so training does not use it"
        report.findings.append(Finding("recordings outside the splits", path, text, False))


def _check_copies(report: CheckReport, split_of: dict[Path, str]) -> None:
    """Report recordings with the same content: a copy in another split was trained on."""
    by_size: dict[int, list[Path]] = {}
    for path in split_of:
        if path.is_file():
            by_size.setdefault(path.stat().st_size, []).append(path)
    for size, paths in by_size.items():
        if len(paths) < 2 or not size:
            continue
        by_content: dict[bytes, list[Path]] = {}
        for path in paths:
            with path.open("rb") as file:
                by_content.setdefault(hashlib.file_digest(file, "sha256").digest(), []).append(path)
        for first, *copies in by_content.values():
            for copy in copies:
                is_problem = split_of[copy] != split_of[first]
                text = f"has the same content as {first}" + (
                    ": scores on training data are meaningless. Delete one" if is_problem else ""
                )
                kind = "copies across splits" if is_problem else "copies"
                report.findings.append(Finding(kind, copy, text, is_problem))


def _without_path(error: Exception, path: Path) -> str:
    """The message without the path, which the finding already has."""
    text = str(error)
    return text.removeprefix(str(path)).lstrip(":, ") if text.startswith(str(path)) else text
