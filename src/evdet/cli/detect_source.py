"""What `evdet detect` plays: a file, a folder, or what is still arriving."""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from evdet.events import SensorSize
    from evdet.frame_spec import FrameSpec
    from evdet.models import DetectorProtocol
    from evdet.sources import FrameStream, LiveSource

__all__ = ["ChosenSource", "OpenedSource", "choose_source", "open_chosen_source"]

STANDARD_INPUT = "-"
SAMPLE = "sample"


class ChosenSource(NamedTuple):
    """What is played, before anything of it is read."""

    path: Path | None
    """The file or folder; None is standard input."""
    is_live: bool = False
    """Whether it is still arriving."""
    is_pictures: bool = False
    """Whether it is a video or images, and not events."""


class OpenedSource(NamedTuple):
    """What is played."""

    stream: "FrameStream | LiveSource"
    first_bin: int | None
    """The bin in which an event recording starts, from bin 0 at time 0; None for all others."""


def choose_source(source: str, *, follow: bool, start: float, delta_t: int | None) -> ChosenSource:
    """Understand what the user named, and refuse what does not go together.

    Args:
        source: a path, sample, or - for standard input.
        follow: the file is still being written.
        start: seconds that are left out.
        delta_t: duration of a window in microseconds, if the user asked for one.

    Returns:
        The source.

    Raises:
        ValueError: there is no such source, or the options do not fit it.
    """
    from evdet.samples import sample_recording
    from evdet.sources import is_pictures, is_video

    if source == STANDARD_INPUT:
        _check_standard_input(follow)
        chosen = ChosenSource(None, is_live=True)
    else:
        is_sample = source == SAMPLE and not Path(source).exists()
        path = sample_recording() if is_sample else Path(source)
        if not path.exists():
            raise ValueError(
                f"there is no {source}: name an event recording, a video, a folder of images, "
                f"{STANDARD_INPUT} for standard input, or {SAMPLE}"
            )
        if is_pictures(path) and follow:
            raise ValueError(
                "--follow is for an event recording that is still being written, and not for "
                f"pictures, as in {path}: leave it out"
            )
        if is_video(path) and delta_t is not None:
            raise ValueError(f"{path} has times of its own: leave --delta-t out")
        chosen = ChosenSource(path, follow or path.is_fifo(), is_pictures(path))
    if chosen.is_live and start:
        raise ValueError("what is still arriving is played as it comes: leave --start out")
    return chosen


def open_chosen_source(
    chosen: ChosenSource,
    detector: "DetectorProtocol",
    *,
    delta_t: int | None,
    start: float,
    duration: float | None,
    size: "SensorSize | None",
    follow: bool,
    max_backlog: int,
) -> OpenedSource:
    """Open a source for a detector.

    Args:
        chosen: the source.
        detector: says what its frames are made of.
        delta_t: duration of a window in microseconds; None takes that of the training.
        start: seconds to leave out.
        duration: seconds to play; None plays all. Live sources are ended by their caller.
        size: the sensor's size, where the recording does not state it.
        follow: the file is still being written.
        max_backlog: windows that may wait before all but the newest are skipped; 0 skips none.

    Returns:
        The stream, and where its recording starts.

    Raises:
        ValueError: source, options and detector do not fit.
        RecordingError: the source cannot be read.
    """
    from evdet.events import open_recording
    from evdet.pipeline import frames_for
    from evdet.sources import open_frames, open_live

    path = chosen.path
    spec = frames_for(detector, delta_t=delta_t)
    if chosen.is_live or path is None:
        _warm_up(detector, spec)
        backlog = None if path is None and _input_is_a_file() else max_backlog or None
        live = open_live(
            path or STANDARD_INPUT, spec, size=size, follow=follow, max_backlog=backlog
        )
        return OpenedSource(live, None)
    first = round(start * 1e6)
    length = None if duration is None else max(1, round(duration * 1e6))
    if chosen.is_pictures:
        return OpenedSource(open_frames(path, spec, start=first, duration=length, size=size), None)
    recording = open_recording(path, size=size)
    events = open_frames(recording, spec, start=first, duration=length)
    return OpenedSource(events, recording.start // events.delta_t)


def _warm_up(detector: "DetectorProtocol", spec: "FrameSpec") -> None:
    """Do once what takes long the first time: windows that wait for it would be skipped."""
    import numpy as np
    import torch

    from evdet.events import EVENT_DTYPE, SensorSize, TimeBin
    from evdet.models import device_of
    from evdet.sources import make_frame

    size = SensorSize(spec.height, spec.width)
    empty = TimeBin(0, spec.delta_t, np.zeros(0, EVENT_DTYPE))
    make_frame(empty, size, spec.preprocess, out_size=size)
    clip = torch.zeros(1, 1, spec.in_channels, *size, device=device_of(detector))
    with torch.no_grad():
        _, memory = detector.step(clip, thresholds=spec.thresholds)
        detector.step(clip, memory, thresholds=spec.thresholds)


def _check_standard_input(follow: bool) -> None:
    if follow:
        raise ValueError("--follow is for files, and standard input is none: leave it out")
    if sys.stdin is not None and sys.stdin.isatty():
        raise ValueError(
            "standard input is a terminal: send events to it, as in `camera | evdet detect -`"
        )


def _input_is_a_file() -> bool:
    """Whether standard input can wait, so that nothing need be skipped."""
    try:
        return stat.S_ISREG(os.fstat(0).st_mode)
    except OSError:
        return False
