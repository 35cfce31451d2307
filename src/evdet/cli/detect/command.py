"""`evdet detect`: a recording, a video or a live stream -> boxes, tracks, and a video."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from evdet.cli.detect.ages import AgeCount, parse_max_age
from evdet.cli.detect.source import LiveOptions, choose_source, open_chosen_source
from evdet.cli.detect.summary import DetectionSummary
from evdet.cli.options import (
    Flag,
    ProviderNames,
    ReadingOptions,
    ThreadCount,
    check_above,
    check_at_least,
    check_share,
    check_threads,
    counted,
    default,
)
from evdet.cli.tracker_options import TrackingOptions
from evdet.detectors import open_detector, use_threads
from evdet.events import RecordingError, parse_size
from evdet.labels import choose_label_ids
from evdet.models import DetectorProtocol
from evdet.outputs import (
    OutputError,
    Outputs,
    check_outputs,
    open_outputs,
    recording_files,
    run_files,
)
from evdet.pipeline import DetectedFrame, detect as play, frame_spec_of
from evdet.processes import EndedError
from evdet.sources import FrameStream, LiveSource
from evdet.tracking import Tracker

__all__ = ["DetectOptions", "UnfinishedError", "detect"]

_SECOND = 1_000_000
_SCORE_THRESH = 0.3


class UnfinishedError(RuntimeError):
    """A detection did not reach the end of its source; its files are complete up to there."""


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """Detect and track objects, and write their boxes and a video."""

    source: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SOURCE")]]
    """Event recording, video, folder of images, - (standard input), or bundled: sample,
    sample-nmnist."""
    checkpoint: Path = Path("events-digits")
    """Checkpoint (*.ckpt), run folder, exported model (*.onnx, *.safetensors), hf://ORG/NAME, or
    events-digits (bundled)."""
    output: Annotated[tuple[Path, ...], default("none", "FILE ...")] = ()
    """Files to write: .mp4 video, .npy, .csv, .json (COCO), .txt (MOT) boxes, .rrd for rerun."""
    tracking: tyro.conf.OmitArgPrefixes[TrackingOptions] = field(default_factory=TrackingOptions)
    """How boxes become tracks."""
    start: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 0.0
    """Start of the interval to process, in seconds from the start of the source."""
    duration: Annotated[float | None, default("up to the end", "SECONDS")] = None
    """Duration of the interval to process, in seconds."""
    score_thresh: Annotated[float | None, default("0.3; 0.2 on a track", "FLOAT")] = None
    """Score threshold in [0, 1]; boxes below it are dropped."""
    nms_thresh: Annotated[float | None, default("as trained", "FLOAT")] = None
    """IoU threshold in [0, 1] of non-maximum suppression."""
    agnostic_nms: bool = True
    """Suppress boxes across classes, so that an object has one box; or class by class."""
    reset_every: Annotated[int | None, default("never", "FRAMES")] = None
    """Frames after which memory is emptied, as in the released code of S5-ViT."""
    delta_t: Annotated[int | None, default("as trained", "US")] = None
    """Duration of a time bin, or time between images, in microseconds."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""
    bit_depth: Annotated[int | None, default("as stated, or judged", "INT")] = None
    """Bits of the camera, from 8 to 16, for a folder of 16-bit images."""
    label_map: Annotated[str | None, default("that of the source's data set", "FILE|none")] = None
    """JSON file with the class ids of box files; none: numbers in the detector's order."""
    follow: Flag = False
    """Follow a recording that is still being written, until Ctrl-C."""
    idle_timeout: Annotated[float | None, default("no limit", "SECONDS")] = None
    """Time without new data after which --follow ends, in seconds."""
    max_delay: Annotated[int | None, default("250000", "US")] = None
    """Live: microseconds without events until a time bin closes by the clock; 0: never."""
    max_disorder: Annotated[int | None, default("0", "US")] = None
    """Live: lateness in microseconds up to which events are kept."""
    max_backlog: Annotated[int | None, default("10", "INT")] = None
    """Live: waiting time bins above which all but the newest are skipped; 0 skips none."""
    max_age: Annotated[str | None, default("no bound", "DURATION")] = None
    """Live: bound on the age of boxes, such as 80ms; time bins that wait are merged, or skipped."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, ... or auto."""
    provider: ProviderNames = ()
    """Execution providers for an exported model (*.onnx), first choice first: cuda, tensorrt,
    openvino, directml, coreml, cpu."""
    threads: ThreadCount = 0
    """Threads of the CPU."""


def detect(options: DetectOptions) -> None:
    """Detect in a source from start to end, or as long as it lasts.

    Raises:
        ValueError: options, source and detector do not fit.
        RecordingError: the source cannot be read.
        UnfinishedError: damage or a full disk ended it early.
    """
    _check(options)
    live = LiveOptions(
        follow=options.follow,
        idle_timeout=options.idle_timeout,
        max_delay=options.max_delay,
        max_disorder=options.max_disorder,
        max_backlog=options.max_backlog,
        max_age=parse_max_age(options.max_age),
    )
    chosen = choose_source(options.source, live=live, start=options.start, delta_t=options.delta_t)
    is_read = [options.checkpoint, *run_files(options.checkpoint), *recording_files(chosen.path)]
    if options.checkpoint.is_dir():
        del is_read[0]  # its files are listed, and others may be written beside them
    if options.label_map is not None:
        is_read.append(Path(options.label_map))
    check_outputs(options.output, is_read)
    stated = options.sensor_size
    size = None if stated is None else parse_size(stated, name="--sensor-size")
    detector = open_detector(
        options.checkpoint,
        device=options.device,
        num_threads=options.threads,
        providers=options.provider,
    )
    use_threads(detector, options.threads)
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
        reading=options.reading.options(),
        bit_depth=options.bit_depth,
        live=live,
    )
    tracker = options.tracking.open_tracker(stream.delta_t, options.score_thresh)
    found = _play(stream, detector, tracker, options)
    outputs = open_outputs(
        options.output,
        stream,
        label_ids,
        first_bin=first_bin,
        is_tracked=tracker is not None,
        has_ages=live.max_age is not None,
    )
    summary = DetectionSummary(
        list(label_ids.values()),
        tracker,
        ages=None if live.max_age is None else AgeCount(live.max_age),
        delta_t=stream.delta_t,
    )
    if chosen.is_live:
        found = _until(found, options.duration)
    problem = _write_all(found, stream, outputs, summary, is_live=chosen.is_live)
    _conclude(problem, stream, outputs, summary, options)


def _play(
    stream: FrameStream,
    detector: DetectorProtocol,
    tracker: Tracker | None,
    options: DetectOptions,
) -> Iterator[DetectedFrame]:
    # A track goes on with boxes that are not shown otherwise.
    lowest = _SCORE_THRESH if tracker is None else min(_SCORE_THRESH, tracker.extend_thresh)
    found = play(
        stream,
        detector,
        score_thresh=lowest if options.score_thresh is None else options.score_thresh,
        nms_thresh=options.nms_thresh,
        agnostic=options.agnostic_nms,
        tracker=tracker,
        reset_every=options.reset_every,
    )
    return _likely(found) if options.score_thresh is None else found


def _check(options: DetectOptions) -> None:
    check_share(options, "score_thresh", "nms_thresh")
    options.tracking.check()
    check_threads(options.threads)
    check_at_least(0, options, "start", "max_delay", "max_disorder", "max_backlog")
    check_at_least(1, options, "delta_t", "reset_every")
    if options.bit_depth is not None and not 8 <= options.bit_depth <= 16:
        raise ValueError(f"--bit-depth must be from 8 to 16, got {options.bit_depth}")
    check_above(0, options, "duration", "idle_timeout")


def _likely(found: Iterator[DetectedFrame]) -> Iterator[DetectedFrame]:
    """The frames without boxes of low scores that extend no track."""
    for frame in found:
        boxes = frame.boxes
        kept = (boxes["track_id"] > 0) | (boxes["class_confidence"] >= _SCORE_THRESH)
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
    stream: FrameStream,
    outputs: Outputs,
    summary: DetectionSummary,
    *,
    is_live: bool,
) -> BaseException | None:
    """Write frame by frame, and return what ended it early."""
    total = None if is_live else stream.num_frames
    bar = tqdm(found, desc="Detecting", unit="frame", total=total, leave=False, disable=is_live)
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


def _conclude(
    problem: BaseException | None,
    stream: FrameStream | LiveSource,
    outputs: Outputs,
    summary: DetectionSummary,
    options: DetectOptions,
) -> None:
    """Print the summary, the written files, and the problem."""
    num_skipped = getattr(stream, "num_skipped", None)
    is_signal = isinstance(problem, (KeyboardInterrupt, EndedError))
    if problem is None and not summary.num_frames:
        raise UnfinishedError(
            f"{options.source} has nothing to detect in: no events, and no pictures, in the "
            "interval that is read"
        )
    if problem is not None and not is_signal and not summary.num_frames:
        raise problem
    print("\n".join(summary.lines(num_skipped=num_skipped, shows_boxes=not outputs.paths)))
    score_thresh = _SCORE_THRESH if options.score_thresh is None else options.score_thresh
    if not summary.num_boxes and score_thresh:
        print(f"no box has a score of {score_thresh:g} or more: lower --score-thresh to see others")
    written = [str(path) for path in outputs.written]
    if written:
        print(f"written: {', '.join(written)}")
        if outputs.num_untracked:
            print(f"left out of MOT text: {counted(outputs.num_untracked, 'box')} without a track")
    elif not outputs.paths:
        print("use --output boxes.mp4 boxes.csv to write files")
    # Ctrl-C is how a live source is ended.
    if problem is None or (isinstance(problem, KeyboardInterrupt) and num_skipped is not None):
        return
    files = "; the written files are complete up to there" if written else ""
    reached = f"processed up to {summary.reached}{files}"
    if isinstance(problem, EndedError):
        raise EndedError(problem.number, reached) from None
    if is_signal:
        raise KeyboardInterrupt(reached) from None
    raise UnfinishedError(f"{str(problem).rstrip('.')}. P{reached[1:]}") from problem
