"""`evdet detect`: a recording, a video, or what a camera sends -> boxes, tracks, and a video."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from evdet.cli.detect_summary import DetectionSummary
    from evdet.outputs import Outputs
    from evdet.pipeline import DetectedFrame
    from evdet.sources import FrameStream, LiveSource
    from evdet.tracking import Tracker

__all__ = ["DetectOptions", "UnfinishedError", "detect"]

_SECOND = 1_000_000


class UnfinishedError(RuntimeError):
    """A detection did not reach the end of its source; what it wrote is complete so far."""


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """Detect objects, number them, and write their boxes and a video."""

    source: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SOURCE")]]
    """An event recording, an ordinary video, a folder of images, - for standard input, or
    sample, a recording that comes with evdet."""
    checkpoint: Path = Path("events-digits")
    """A checkpoint (*.ckpt), a run's folder, whose best checkpoint is taken, an exported model
    (*.onnx), or events-digits, which comes with evdet."""
    output: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE ...")] = ()
    """Files to write; their endings say what: .mp4 a video, .npy box events, .csv a table, .json
    COCO results, .txt MOT, .rrd a recording for the viewer rerun. Older files are replaced."""
    track: bool = False
    """Give every object a number, and draw where it was."""
    tracker: Literal["bytetrack", "ocsort", "sort"] | None = None
    """Track with this one; by default --track takes bytetrack."""
    start: float = 0.0
    """Seconds after the source's start at which to begin."""
    duration: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Seconds to play; by default all that follow."""
    score: float = 0.3
    """Boxes with a lower score are dropped."""
    nms: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Of two boxes of a class with a higher IoU the better stays; by default as trained."""
    delta_t: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Microseconds of a window, or from one image to the next; by default as trained."""
    sensor_size: Annotated[str | None, tyro.conf.arg(metavar="WIDTHxHEIGHT")] = None
    """The sensor's size, such as 346x260, where the recording does not state it."""
    label_map: Annotated[str | None, tyro.conf.arg(metavar="FILE|none")] = None
    """Ids of the classes in box files, as JSON; by default those of the data set that the
    recording lies in. With none they are numbered in the detector's order."""
    follow: bool = False
    """The recording is still being written: go on at its end, until Ctrl-C."""
    max_backlog: int = 10
    """Live: when more windows than these wait, all but the newest are skipped. 0 skips none, for
    a source that can wait."""
    device: str = "auto"
    """cpu, cuda, ... or auto."""

    def __post_init__(self) -> None:
        for name in ("score", "nms"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {value}")
        for name in ("delta_t", "duration"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be more than 0, got {value}")
        if not 0 <= self.start < float("inf"):
            raise ValueError(f"start must be 0 or more seconds, got {self.start}")
        if self.max_backlog < 0:
            raise ValueError(f"max_backlog must be 0 or more, got {self.max_backlog}")


def detect(options: DetectOptions) -> None:
    """Detect in a source from start to end, or as long as it lasts.

    Args:
        options: what the user asked for.

    Raises:
        ValueError: options, source and detector do not fit.
        RecordingError: the source cannot be read.
        UnfinishedError: Ctrl-C, damage or a full disk ended it early.
    """
    from evdet.cli.detect_source import choose_source, open_chosen_source
    from evdet.cli.detect_summary import DetectionSummary
    from evdet.detectors import open_detector
    from evdet.events import parse_size
    from evdet.labels import choose_label_ids
    from evdet.outputs import check_outputs, open_outputs
    from evdet.pipeline import detect as play, frame_spec_of

    chosen = choose_source(
        options.source, follow=options.follow, start=options.start, delta_t=options.delta_t
    )
    is_read = [options.checkpoint, *([chosen.path] if chosen.path else [])]
    check_outputs(options.output, is_read)
    _make_tracker(options, _SECOND)  # says now what is missing, and is quick the next time
    stated = options.sensor_size
    size = None if stated is None else parse_size(stated, name="--sensor-size")
    detector = open_detector(options.checkpoint, device=options.device)
    label_ids = choose_label_ids(
        frame_spec_of(detector).class_names, chosen.path, options.label_map
    )
    stream, first_bin = open_chosen_source(
        chosen,
        detector,
        delta_t=options.delta_t,
        start=options.start,
        duration=options.duration,
        size=size,
        follow=options.follow,
        max_backlog=options.max_backlog,
    )
    tracker = _make_tracker(options, stream.delta_t)
    found = play(
        stream, detector, score_thresh=options.score, nms_thresh=options.nms, tracker=tracker
    )
    outputs = open_outputs(
        options.output, stream, label_ids, first_bin=first_bin, is_tracked=tracker is not None
    )
    summary = DetectionSummary(list(label_ids.values()))
    if chosen.is_live:
        found = _until(found, options.duration)
    problem = _write_all(found, stream, outputs, summary, is_live=chosen.is_live)
    _conclude(problem, stream, outputs, summary, options)


def _make_tracker(options: DetectOptions, delta_t: int) -> "Tracker | None":
    if not options.track and options.tracker is None:
        return None
    from evdet.tracking import Tracker

    # A track lives until its next box, however long the windows are.
    lost_time = max(_SECOND, 2 * delta_t)
    return Tracker(options.tracker or "bytetrack", delta_t=delta_t, lost_time=lost_time)


def _until(found: "Iterator[DetectedFrame]", duration: float | None) -> "Iterator[DetectedFrame]":
    """The first seconds of a live source; None gives all of it."""
    end = None
    for frame in found:
        if duration is not None:
            end = frame.t - frame.frame.delta_t + duration * 1e6 if end is None else end
            if frame.t > end:
                return
        yield frame


def _write_all(
    found: "Iterator[DetectedFrame]",
    stream: "FrameStream",
    outputs: "Outputs",
    summary: "DetectionSummary",
    *,
    is_live: bool,
) -> BaseException | None:
    """Write frame by frame, and give what ended it early."""
    from tqdm import tqdm

    from evdet.events import RecordingError
    from evdet.outputs import OutputError

    total = None if is_live else stream.num_frames
    bar = tqdm(found, desc="Detecting", unit="frame", total=total, leave=False, disable=is_live)
    try:
        with outputs:
            for frame in bar:
                with outputs.unbroken():
                    latency = summary.add(frame)
                    outputs.write(frame)
                if latency is not None:
                    print(summary.line(frame, latency), flush=True)
    except (KeyboardInterrupt, OutputError, RecordingError) as error:
        return error
    finally:
        bar.close()
    return None


def _conclude(
    problem: BaseException | None,
    stream: "FrameStream | LiveSource",
    outputs: "Outputs",
    summary: "DetectionSummary",
    options: DetectOptions,
) -> None:
    """Say what was found and written, and what went wrong."""
    num_skipped = getattr(stream, "num_skipped", None)
    is_interrupted = isinstance(problem, KeyboardInterrupt)
    if problem is not None and not is_interrupted and not summary.num_frames:
        raise problem
    print("\n".join(summary.lines(num_skipped=num_skipped, shows_boxes=not outputs.paths)))
    written = [str(path) for path in outputs.paths if path.exists()]
    if written:
        print(f"written: {', '.join(written)}")
    elif not outputs.paths:
        print("keep them with --output boxes.mp4 boxes.csv")
    # Ctrl-C is how a live source is ended.
    if problem is None or (is_interrupted and num_skipped is not None):
        return
    what = "interrupted" if is_interrupted else str(problem).rstrip(".")
    files = "; the files that were written are complete" if written else ""
    raise UnfinishedError(f"{what}. It came to {summary.reached}{files}") from problem
