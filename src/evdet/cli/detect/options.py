"""The options of `evdet detect`, checked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from evdet.cli.detect.ages import parse_max_age
from evdet.cli.detect.source import LiveOptions
from evdet.cli.many import ManyOptions
from evdet.cli.options import (
    Flag,
    ProviderNames,
    ReadingOptions,
    ThreadCount,
    TrackingOptions,
    check_above,
    check_at_least,
    check_share,
    check_threads,
    default,
    required,
)
from evdet.outputs import OUTPUT_SUFFIXES, run_files

__all__ = ["DetectOptions", "LiveSourceOptions", "SelectionOptions"]


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Which boxes are shown."""

    score_thresh: Annotated[float | None, default("0.3; 0.2 on a track", "FLOAT")] = None
    """Score threshold in [0, 1]; boxes below it are dropped."""
    nms_thresh: Annotated[float | None, default("as trained", "FLOAT")] = None
    """IoU threshold in [0, 1] of non-maximum suppression."""
    agnostic_nms: bool = True
    """Suppress boxes across classes, so that an object has one box; or class by class."""
    reset_every: Annotated[int | None, default("never", "FRAMES")] = None
    """Frames after which memory is emptied, as in the released code of S5-ViT."""

    def check(self) -> None:
        """Refuse values out of range.

        Raises:
            ValueError: the message names the option.
        """
        check_share(self, "score_thresh", "nms_thresh")
        check_at_least(1, self, "reset_every")


@dataclass(frozen=True, kw_only=True)
class LiveSourceOptions:
    """Standard input, and recordings that are still being written."""

    follow: Flag = False
    """Follow a recording that is still being written, until Ctrl-C."""
    idle_timeout: Annotated[float | None, default("no limit", "SECONDS")] = None
    """Time without new data after which --follow ends, in seconds."""
    max_delay: Annotated[int | None, default("250000", "US")] = None
    """Microseconds without events until a time bin closes by the clock; 0: never."""
    max_disorder: Annotated[int | None, default("0", "US")] = None
    """Lateness in microseconds up to which events are kept."""
    max_backlog: Annotated[int | None, default("10", "INT")] = None
    """Waiting time bins above which all but the newest are skipped; 0 skips none."""
    max_age: Annotated[str | None, default("no bound", "DURATION")] = None
    """Bound on the age of boxes, such as 80ms; time bins that wait are merged, or skipped."""
    record: Annotated[Path | None, default("none", "FILE")] = None
    """RAW file to which the events are recorded meanwhile, also those that are skipped."""

    def check(self) -> None:
        """Refuse values out of range.

        Raises:
            ValueError: the message names the option.
        """
        check_at_least(0, self, "max_delay", "max_disorder", "max_backlog")
        check_above(0, self, "idle_timeout")

    def parsed(self) -> LiveOptions:
        """The options with their units read.

        Raises:
            ValueError: `--max-age` is not a duration.
        """
        return LiveOptions(
            follow=self.follow,
            idle_timeout=self.idle_timeout,
            max_delay=self.max_delay,
            max_disorder=self.max_disorder,
            max_backlog=self.max_backlog,
            max_age=parse_max_age(self.max_age),
            record=self.record,
        )


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """Detect and track objects, and write their boxes and a video."""

    sources: Annotated[tuple[str, ...], tyro.conf.Positional, required("SOURCE ...")]
    """Event recordings, videos, folders of them or of images, - (standard input), camera,
    tcp://HOST:PORT, webcam (0), rtsp://..., or bundled: sample, sample-nmnist."""
    checkpoint: Path = Path("events-digits")
    """Checkpoint (*.ckpt), run folder, exported model (*.onnx, *.safetensors), hf://ORG/NAME, or
    events-digits (bundled)."""
    output: Annotated[tuple[Path, ...], default("none", "FILE ...")] = ()
    """Files to write: .mp4 video, .npy, .csv, .json (COCO), .txt (MOT) boxes, .rrd for rerun."""
    many_files: tyro.conf.OmitArgPrefixes[ManyOptions] = field(default_factory=ManyOptions)
    """Several files or folders, and their results."""
    tracking: tyro.conf.OmitArgPrefixes[TrackingOptions] = field(default_factory=TrackingOptions)
    """How boxes become tracks."""
    start: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 0.0
    """Start of the interval to process, in seconds from the start of the source."""
    duration: Annotated[float | None, default("up to the end", "SECONDS")] = None
    """Duration of the interval to process, in seconds."""
    selection: tyro.conf.OmitArgPrefixes[SelectionOptions] = field(default_factory=SelectionOptions)
    """Which boxes are shown."""
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
    live_source: tyro.conf.OmitArgPrefixes[LiveSourceOptions] = field(
        default_factory=LiveSourceOptions
    )
    """Standard input, and recordings that are still being written."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, ... or auto."""
    provider: ProviderNames = ()
    """Execution providers for an exported model (*.onnx), first choice first: cuda, tensorrt,
    openvino, directml, coreml, cpu."""
    threads: ThreadCount = 0
    """Threads of the CPU, which several jobs share."""
    print_config: Flag = False
    """Print what is going to be done, with all defaults, and exit."""

    def check(self) -> None:
        """Refuse values out of range, whatever the source.

        Raises:
            ValueError: the message names the option.
        """
        if not self.sources:
            raise ValueError("no source given: evdet detect SOURCE ...")
        self.many_files.check(tuple(suffix[1:] for suffix in OUTPUT_SUFFIXES))
        self.selection.check()
        self.tracking.check()
        check_threads(self.threads)
        check_at_least(0, self, "start")
        check_at_least(1, self, "delta_t")
        if self.bit_depth is not None and not 8 <= self.bit_depth <= 16:
            raise ValueError(f"--bit-depth must be from 8 to 16, got {self.bit_depth}")
        check_above(0, self, "duration")
        self.live_source.check()

    @property
    def live(self) -> LiveOptions:
        """The options of live sources."""
        return self.live_source.parsed()

    @property
    def files_read(self) -> list[Path]:
        """What is read besides the sources: the detector, its run, and the label map."""
        files = [self.checkpoint, *run_files(self.checkpoint)]
        if self.checkpoint.is_dir():
            del files[0]  # its files are listed, and others may be written beside them
        return [*files, *([] if self.label_map is None else [Path(self.label_map)])]
