"""The source of `evdet detect`: a file, a folder, or a live stream."""

import logging
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from evdet.cli.options import check_no_reading, named
from evdet.events import EVENT_DTYPE, ReadOptions, SensorSize, TimeBin, open_recording
from evdet.events.live import (
    STANDARD_INPUT,
    check_camera_name,
    check_raw_file,
    is_camera_name,
)
from evdet.frame_spec import FrameSpec
from evdet.models import DetectorProtocol, device_of, step_timed, takes_durations
from evdet.pipeline import frames_for
from evdet.samples import SAMPLES, find_recording
from evdet.sources import (
    MAX_BACKLOG,
    MAX_DELAY,
    FrameStream,
    LiveSource,
    check_event_detector,
    check_picture_camera,
    is_picture_camera,
    is_pictures,
    is_video,
    make_frame,
    open_frames,
    open_live,
    open_live_pictures,
)

__all__ = [
    "ChosenSource",
    "LiveOptions",
    "OpenedSource",
    "choose_source",
    "open_chosen_source",
]

_log = logging.getLogger(__name__)

_NUM_WARM_UP, _NUM_TIMED = 2, 3  # empty frames before a live source is opened
_SKIPS = (
    "the detector does not know how long a frame lasts: where boxes would be older than --max-age, "
    "evdet skips the time bins that wait, with their events, and does not merge them"
)


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """The options of live sources, as the user typed them; None is the default."""

    follow: bool = False
    idle_timeout: float | None = None
    """In seconds."""
    max_delay: int | None = None
    max_disorder: int | None = None
    max_backlog: int | None = None
    max_age: int | None = None
    """In microseconds."""
    record: Path | None = None

    def check(self, *, is_live: bool, is_pictures: bool) -> None:
        """Refuse options that the source does not use.

        Args:
            is_live: whether it is still arriving.
            is_pictures: whether it is a video or images.

        Raises:
            ValueError: the message names the first of them.
        """
        if self.idle_timeout is not None and not self.follow:
            raise ValueError("--idle-timeout needs --follow")
        for name in ("max_delay", "max_disorder", "max_backlog", "max_age", "record"):
            if not is_live and getattr(self, name) is not None:
                raise ValueError(
                    f"{named(name)} is for live sources: a camera, standard input or --follow"
                )
            if is_live and is_pictures and name != "max_age" and getattr(self, name) is not None:
                raise ValueError(f"{named(name)} is for live sources of events, not of pictures")
        if self.record is not None:
            check_raw_file(self.record, overwrite=False)
        if self.max_age is not None and self.max_backlog is not None:
            raise ValueError(
                "--max-backlog cannot be used with --max-age, which decides by the age of time "
                "bins and not by their number"
            )


class ChosenSource(NamedTuple):
    """A source before it is opened."""

    path: Path | None
    """The file or folder; None for standard input and cameras."""
    is_live: bool = False
    """Whether its events are still arriving."""
    is_pictures: bool = False
    """Whether it is a video or images, and not events."""
    camera: str | None = None
    """The name of a camera or network stream; None for standard input, files and folders."""


class OpenedSource(NamedTuple):
    """A source that can be played."""

    stream: FrameStream
    first_bin: int | None
    """The time bin in which an event recording starts, from bin 0 at time 0; else None."""


def choose_source(
    source: str, *, live: LiveOptions, start: float, delta_t: int | None
) -> ChosenSource:
    """Find a source, and refuse options that do not fit it.

    Args:
        source: a path, the name of a bundled recording, of a camera or of a network stream, or -
            for standard input.
        live: the options of live sources.
        start: seconds to skip.
        delta_t: duration of a time bin in microseconds; None is the default.

    Raises:
        ValueError: the source does not exist, or the options do not fit it.
    """
    if source == STANDARD_INPUT:
        _check_standard_input(live)
        chosen = ChosenSource(None, is_live=True)
    elif is_camera_name(source):
        check_camera_name(source)
        chosen = ChosenSource(None, is_live=True, camera=source)
    elif is_picture_camera(source):
        shown = check_picture_camera(source).name
        if delta_t is not None:
            raise ValueError(f"--delta-t cannot be used with {shown}: a camera has its own times")
        chosen = ChosenSource(None, is_live=True, is_pictures=True, camera=source)
    else:
        path = Path(source)
        if source in SAMPLES:
            path = find_recording(path)
        if not path.exists():
            raise ValueError(
                f"{source} does not exist (supported: an event recording, a video, a folder of "
                f"images, {STANDARD_INPUT} for standard input, camera, tcp://HOST:PORT, a webcam "
                f"such as 0, rtsp://..., or bundled: {', '.join(SAMPLES)})"
            )
        if is_pictures(path) and live.follow:
            raise ValueError(f"--follow is for event recordings, and {path} holds pictures")
        if is_video(path) and delta_t is not None:
            raise ValueError(f"--delta-t cannot be used with {path}: a video has its own times")
        chosen = ChosenSource(path, live.follow or path.is_fifo(), is_pictures(path))
    if chosen.is_live and start:
        raise ValueError("--start cannot be used with a live source")
    if chosen.camera is not None and live.follow:
        raise ValueError("--follow cannot be used with a camera: it is for files")
    live.check(is_live=chosen.is_live, is_pictures=chosen.is_pictures)
    return chosen


def open_chosen_source(
    chosen: ChosenSource,
    detector: DetectorProtocol,
    *,
    delta_t: int | None,
    start: float,
    duration: float | None,
    size: SensorSize | None,
    reading: ReadOptions,
    bit_depth: int | None,
    live: LiveOptions,
) -> OpenedSource:
    """Open a source for a detector.

    Args:
        chosen: the source.
        detector: its `frame_spec` says what frames are made of.
        delta_t: duration of a time bin in microseconds; None is that of the training.
        start: seconds to skip.
        duration: seconds to play; None plays all. The caller ends live sources.
        size: the sensor's size, if the recording does not state it.
        reading: how to read the recording.
        bit_depth: bits of the camera of 16-bit images; None judges.
        live: the options of live sources.

    Raises:
        ValueError: source, options and detector do not fit.
        RecordingError: the source cannot be read.
    """
    path = chosen.path
    if bit_depth is not None and (chosen.is_live or not chosen.is_pictures):
        raise ValueError("--bit-depth is for images of 16 bits")
    spec = frames_for(detector, delta_t=delta_t)
    if chosen.camera is not None:
        check_no_reading(reading, size=size if chosen.is_pictures else None)
    if chosen.is_live and chosen.is_pictures and chosen.camera is not None:
        pictures = open_live_pictures(chosen.camera, spec, max_age=live.max_age)
        return OpenedSource(pictures, None)
    if chosen.is_live or path is None:
        return OpenedSource(_open_live(chosen, detector, spec, size, reading, live), None)
    first = round(start * 1e6)
    length = None if duration is None else max(1, round(duration * 1e6))
    if chosen.is_pictures:
        stream = open_frames(
            path, spec, start=first, duration=length, size=size, bit_depth=bit_depth
        )
        return OpenedSource(stream, None)
    recording = open_recording(path, size=size, options=reading)
    events = open_frames(recording, spec, start=first, duration=length)
    return OpenedSource(events, recording.start // events.delta_t)


def _open_live(
    chosen: ChosenSource,
    detector: DetectorProtocol,
    spec: FrameSpec,
    size: SensorSize | None,
    reading: ReadOptions,
    live: LiveOptions,
) -> LiveSource:
    idle, delay, backlog = live.idle_timeout, live.max_delay, live.max_backlog
    if chosen.path is None and chosen.camera is None and _input_is_a_file():
        backlog = 0
    shown = chosen.camera or ("standard input" if chosen.path is None else str(chosen.path))
    check_event_detector(f"{shown} is a live source of events", spec.preprocess)
    frame_time = _warm_up(detector, spec)
    merges = takes_durations(detector)
    if live.max_age is not None and not merges:
        _log.warning(_SKIPS)
    return open_live(
        chosen.path or chosen.camera or STANDARD_INPUT,
        spec,
        size=size,
        options=reading,
        follow=live.follow,
        idle_timeout=None if idle is None else round(idle * 1e6),
        max_delay=MAX_DELAY if delay is None else delay or None,
        max_disorder=live.max_disorder or 0,
        max_backlog=MAX_BACKLOG if backlog is None else backlog or None,
        max_age=live.max_age,
        waiting="merge" if merges else "skip",
        frame_time=frame_time,
        record=live.record,
    )


def _warm_up(detector: DetectorProtocol, spec: FrameSpec) -> int:
    """Do once what is slow the first time: time bins that wait for it would be too old.

    Returns:
        The longest time of some frames after that, in microseconds.
    """
    size = SensorSize(spec.height, spec.width)
    empty = TimeBin(0, spec.delta_t, np.zeros(0, EVENT_DTYPE))
    device = device_of(detector)
    memory, times = None, []
    for _ in range(_NUM_WARM_UP + _NUM_TIMED):
        began = time.monotonic()
        frame = make_frame(empty, size, spec, out_size=size)
        clip = torch.from_numpy(frame)[None, None].to(device).float()
        with torch.no_grad():
            durations = torch.full((1, 1), float(spec.delta_t), device=device)
            _, memory = step_timed(
                detector, clip, memory, durations=durations, thresholds=spec.thresholds
            )
        times.append(time.monotonic() - began)
    return round(max(times[_NUM_WARM_UP:]) * 1e6)


def _check_standard_input(live: LiveOptions) -> None:
    if live.follow:
        raise ValueError("--follow cannot be used with standard input: it is for files")
    if live.max_age is not None and _input_is_a_file():
        raise ValueError(
            "--max-age is for live sources, and standard input is a file: it can wait, and no time "
            "bin of it needs to be merged or skipped"
        )
    if sys.stdin is not None and sys.stdin.isatty():
        raise ValueError(
            "standard input is a terminal: pipe events into it, as in `camera | evdet detect -`"
        )


def _input_is_a_file() -> bool:
    """Whether standard input can wait, so that no time bin needs to be skipped."""
    try:
        return stat.S_ISREG(os.fstat(0).st_mode)
    except OSError:
        return False
