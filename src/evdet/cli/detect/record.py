"""`evdet record`: a camera, a network stream, standard input or a growing file -> a RAW file."""

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from evdet.cli.options import (
    Flag,
    ReadingOptions,
    asked_size,
    check_above,
    check_no_reading,
    counted,
    default,
)
from evdet.cli.terminal import tqdm
from evdet.events import RecordingError
from evdet.events.live import (
    STANDARD_INPUT,
    LiveRecording,
    check_camera_name,
    check_raw_file,
    is_camera_name,
    record as write,
)
from evdet.outputs import prepare_files
from evdet.processes import only_writer
from evdet.sources import check_picture_camera, is_picture_camera

__all__ = ["RecordOptions", "record"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Record a live source of events as a RAW file, until it ends or Ctrl-C."""

    source: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SOURCE")]]
    """camera, camera:NAME, tcp://HOST:PORT, - (standard input), a named pipe, or, with --follow, a
    recording that is being written."""
    output: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """RAW file to write; it can be read at any moment."""
    duration: Annotated[float | None, default("until Ctrl-C", "SECONDS")] = None
    """Time of the source to record, in seconds."""
    sensor_size: Annotated[str | None, default("as stated by the source", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the source."""
    follow: Flag = False
    """Follow a recording that is still being written, until Ctrl-C."""
    idle_timeout: Annotated[float | None, default("no limit", "SECONDS")] = None
    """Time without new data after which --follow ends, in seconds."""
    force: Flag = False
    """Overwrite OUT if it exists."""


def record(options: RecordOptions) -> None:
    """Record a source, and print what was received.

    Raises:
        ValueError: options and source do not fit, or the file exists.
        RecordingError: the source cannot be opened, or ended with a problem; what came before is in
            the file.
    """
    check_above(0, options, "duration", "idle_timeout")
    is_file = _check_source(options)
    check_raw_file(options.output, overwrite=options.force)
    path = Path(options.source)
    prepare_files([options.output], read=[path] if is_file else [])
    idle, seconds = options.idle_timeout, options.duration
    lock = options.output.with_name(f".{options.output.name}.lock")
    busy = f"cannot write {options.output}: another process writes it"
    bar = tqdm(desc="Recording", unit=" events", unit_scale=True, leave=False)
    with only_writer(lock, busy=busy), bar:
        done = write(
            path if is_file else options.source,
            options.output,
            duration=None if seconds is None else max(1, round(seconds * 1e6)),
            size=asked_size(options.sensor_size),
            options=options.reading.options(),
            follow=options.follow,
            idle_timeout=None if idle is None else round(idle * 1e6),
            overwrite=options.force,
            progress=bar.update,
        )
    _conclude(done)


def _check_source(options: RecordOptions) -> bool:
    """Refuse options that do not fit the source; say whether it is a file."""
    source = options.source
    if options.idle_timeout is not None and not options.follow:
        raise ValueError("--idle-timeout needs --follow")
    if is_picture_camera(source):
        raise ValueError(
            f"cannot record {check_picture_camera(source).name}: it is a camera of pictures, and "
            "evdet record is for events. evdet detect writes pictures with their boxes "
            "(--output drive.mp4)"
        )
    if source == STANDARD_INPUT or is_camera_name(source):
        if options.follow:
            raise ValueError(f"--follow cannot be used with {source}: it is for files")
        if source == STANDARD_INPUT:
            if sys.stdin is not None and sys.stdin.isatty():
                raise ValueError("standard input is a terminal: pipe events into it")
            return False
        check_camera_name(source)
        check_no_reading(options.reading.options())
        return False
    path = Path(source)
    if not path.exists():
        raise ValueError(
            f"{source} does not exist (supported: camera, camera:NAME, tcp://HOST:PORT, "
            f"{STANDARD_INPUT} for standard input, a named pipe, or a recording with --follow)"
        )
    if path.is_dir():
        raise ValueError(f"cannot record {source}: it is a folder")
    if not (options.follow or path.is_fifo()):
        raise ValueError(
            f"{source} is a file: evdet convert {source} {options.output} converts it; --follow "
            "records one that is still being written"
        )
    return True


def _conclude(done: LiveRecording) -> None:
    """Print what was received and lost, and raise what ended it.

    Raises:
        RecordingError: the source gave nothing, or ended with a problem.
    """
    if not done.num_bytes:
        raise RecordingError(
            done.problem or f"{done.name} gave no events: {done.path} was not written"
        )
    size = "" if done.size is None else f", {done.size}"
    print(f"{done.path}: {counted(done.num_events, 'event')}, {done.duration / 1e6:.3f} s{size}")
    print(f"  from {done.name} ({done.format}); {done.num_bytes:,} bytes")
    if done.shift:
        since = f"{done.shift / 1e6:.0f} s of the source"
        print(f"  times count from {since}, since EVT3 cannot start so late")
    if done.num_overflows:
        count = counted(done.num_overflows, "time")
        print(f"  events were lost {count}: the driver's buffer was full")
    if done.problem is not None:
        raise RecordingError(f"{done.problem.rstrip('.')}. {done.path} is complete up to there")
    if not done.num_events:
        _LOG.warning("%s has no events: %s sent none", done.path, done.name)
