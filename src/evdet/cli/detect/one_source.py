"""One source -> boxes, tracks and files, up to its end or to what ends it early."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from evdet.cli.detect.ages import AgeCount
from evdet.cli.detect.options import DetectOptions
from evdet.cli.detect.source import ChosenSource, open_chosen_source
from evdet.cli.detect.summary import DetectionSummary
from evdet.cli.many import OpenBar
from evdet.cli.options import asked_size, counted
from evdet.cli.terminal import tqdm
from evdet.events import RecordingError
from evdet.labels import choose_label_ids
from evdet.models import DetectorProtocol
from evdet.outputs import OutputError, Outputs, open_outputs
from evdet.pipeline import DetectedFrame, detect as play, frame_spec_of
from evdet.processes import EndedError
from evdet.sources import FrameStream, LiveSource
from evdet.tracking import Tracker

__all__ = [
    "SCORE_THRESH",
    "EndedDetection",
    "UnfinishedError",
    "detect_in",
    "print_summary",
    "raise_problem",
]

SCORE_THRESH = 0.3
"""The score from which boxes are shown, unless the user decides."""


class UnfinishedError(RuntimeError):
    """A detection did not reach the end of its source; its files are complete up to there."""


class EndedDetection(NamedTuple):
    """A detection that has ended."""

    stream: FrameStream | LiveSource
    outputs: Outputs
    summary: DetectionSummary
    problem: BaseException | None
    """What ended it early."""


def detect_in(
    chosen: ChosenSource,
    detector: DetectorProtocol,
    options: DetectOptions,
    files: Sequence[Path],
    *,
    open_bar: OpenBar = tqdm,
) -> EndedDetection:
    """Detect in one source, and write the files."""
    label_ids = choose_label_ids(
        frame_spec_of(detector).class_names, chosen.path, options.label_map
    )
    stream, first_bin = open_chosen_source(
        chosen,
        detector,
        delta_t=options.delta_t,
        start=options.start,
        duration=options.duration,
        size=asked_size(options.sensor_size),
        reading=options.reading.options(),
        bit_depth=options.bit_depth,
        live=options.live,
    )
    tracker = options.tracking.open_tracker(stream.delta_t, options.selection.score_thresh)
    found = _play(stream, detector, tracker, options)
    outputs = open_outputs(
        files,
        stream,
        label_ids,
        first_bin=first_bin,
        is_tracked=tracker is not None,
        has_ages=options.live.max_age is not None,
    )
    summary = DetectionSummary(
        list(label_ids.values()),
        tracker,
        ages=None if options.live.max_age is None else AgeCount(options.live.max_age),
        delta_t=stream.delta_t,
    )
    if chosen.is_live:
        found = _until(found, options.duration)
    problem = _write_all(found, outputs, summary, stream, is_live=chosen.is_live, open_bar=open_bar)
    return EndedDetection(stream, outputs, summary, problem)


def _play(
    stream: FrameStream,
    detector: DetectorProtocol,
    tracker: Tracker | None,
    options: DetectOptions,
) -> Iterator[DetectedFrame]:
    # A track goes on with boxes that are not shown otherwise.
    lowest = SCORE_THRESH if tracker is None else min(SCORE_THRESH, tracker.extend_thresh)
    found = play(
        stream,
        detector,
        score_thresh=lowest
        if options.selection.score_thresh is None
        else options.selection.score_thresh,
        nms_thresh=options.selection.nms_thresh,
        agnostic=options.selection.agnostic_nms,
        tracker=tracker,
        reset_every=options.selection.reset_every,
    )
    return _likely(found) if options.selection.score_thresh is None else found


def _likely(found: Iterator[DetectedFrame]) -> Iterator[DetectedFrame]:
    """The frames without boxes of low scores that extend no track."""
    for frame in found:
        boxes = frame.boxes
        kept = (boxes["track_id"] > 0) | (boxes["class_confidence"] >= SCORE_THRESH)
        yield frame._replace(boxes=boxes[kept])


def _until(found: Iterator[DetectedFrame], duration: float | None) -> Iterator[DetectedFrame]:
    """The first seconds of a live source; None gives all of it."""
    end = None
    for frame in found:
        if duration is not None:
            end = frame.t - frame.frame.delta_t + duration * 1e6 if end is None else end
            if frame.t > end:
                return
        yield frame


def _write_all(
    found: Iterator[DetectedFrame],
    outputs: Outputs,
    summary: DetectionSummary,
    stream: FrameStream | LiveSource,
    *,
    is_live: bool,
    open_bar: OpenBar,
) -> BaseException | None:
    """Write frame by frame, and return what ended it early."""
    total = None if is_live else stream.num_frames
    bar = open_bar(found, desc="Detecting", unit="frame", total=total, leave=False, disable=is_live)
    try:
        with outputs:
            for frame in bar:
                with outputs.unbroken():
                    latency = summary.add(frame)
                    outputs.write_boxes(frame, age=round((latency or 0) * 1e6))
                if latency is not None:
                    print(summary.line(frame, latency), flush=True)
                # After the boxes, which would become older meanwhile.
                outputs.write_pictures()
    except (KeyboardInterrupt, EndedError, OutputError, RecordingError) as error:
        return error
    finally:
        bar.close()
    return None


def print_summary(ended: EndedDetection, options: DetectOptions) -> None:
    """Print the summary and the written files, if there is a frame."""
    stream, outputs, summary, problem = ended
    is_signal = isinstance(problem, (KeyboardInterrupt, EndedError))
    if not summary.num_frames and not is_signal:
        return
    num_skipped = getattr(stream, "num_skipped", None)
    print("\n".join(summary.lines(num_skipped=num_skipped, shows_boxes=not outputs.paths)))
    score_thresh = (
        SCORE_THRESH if options.selection.score_thresh is None else options.selection.score_thresh
    )
    if not summary.num_boxes and score_thresh:
        print(f"no box has a score of {score_thresh:g} or more: lower --score-thresh to see others")
    num_overflows = getattr(stream, "num_overflows", 0)
    if num_overflows:
        print(f"events were lost {counted(num_overflows, 'time')}: the driver's buffer was full")
    if options.live.record is not None and options.live.record.exists():
        print(f"recorded: {options.live.record}")
    written = [str(path) for path in outputs.written]
    if written:
        print(f"written: {', '.join(written)}")
        if outputs.num_untracked:
            print(f"left out of MOT text: {counted(outputs.num_untracked, 'box')} without a track")
    elif not outputs.paths:
        print("use --output boxes.mp4 boxes.csv to write files")


def raise_problem(ended: EndedDetection, source: str) -> None:
    """Raise what ended a detection early, and say how far it came."""
    stream, outputs, summary, problem = ended
    is_signal = isinstance(problem, (KeyboardInterrupt, EndedError))
    if problem is None and not summary.num_frames:
        # An address may hold a password.
        shown = stream.name if "://" in source else source
        raise UnfinishedError(
            f"{shown} has nothing to detect in: no events, and no pictures, in the interval "
            "that is read"
        )
    if problem is None:
        return
    if not is_signal and not summary.num_frames:
        raise problem
    # Ctrl-C is how a live source is ended.
    if isinstance(problem, KeyboardInterrupt) and hasattr(stream, "num_skipped"):
        return
    files = "; the written files are complete up to there" if outputs.written else ""
    reached = f"processed up to {summary.reached}{files}"
    if isinstance(problem, EndedError):
        raise EndedError(problem.number, reached) from None
    if is_signal:
        raise KeyboardInterrupt(reached) from None
    raise UnfinishedError(f"{str(problem).rstrip('.')}. P{reached[1:]}") from problem
