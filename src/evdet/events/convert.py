"""A recording -> a file of another format, optionally cut and filtered."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evdet.events.dat import write_dat
from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK
from evdet.events.hdf5 import write_dsec
from evdet.events.raw import write_evt3
from evdet.events.recording import Recording

__all__ = ["WRITERS", "Conversion", "check_output", "convert", "readable_size"]

WRITERS: dict[str, Callable[[Path, Iterable[Events], SensorSize], int]] = {
    ".dat": write_dat,
    ".raw": write_evt3,
    ".h5": write_dsec,
    ".hdf5": write_dsec,
}
"""Writers by file name ending."""


@dataclass
class Conversion:
    """Counts of a conversion's events."""

    num_read: int = 0
    num_written: int = 0
    num_cut: int = 0
    """Events read outside the requested interval."""
    num_removed: dict[str, int] = field(default_factory=dict)
    """Events that each filter removed."""
    problem: str | None = None
    """Why reading ended before the end of the file."""


def convert(
    recording: Recording,
    output: Path,
    *,
    start: int | None = None,
    end: int | None = None,
    filters: Mapping[str, Callable[[Events], Events]] | None = None,
    progress: Callable[[int], object] | None = None,
) -> Conversion:
    """Write a recording in the format given by the output's ending.

    Of a damaged recording the events before the damage are written.

    Args:
        recording: any.
        output: the file to write, in a format of `WRITERS`; an existing one is replaced.
        start: earlier events are dropped, in microseconds after the recording's start.
        end: events from here on are dropped, in microseconds after the recording's start.
        filters: by name; each takes a block of events and returns those to keep.
        progress: called with the number of events of each block that was read.

    Raises:
        ValueError: there is no writer for `output`, it is the recording itself, the interval is
            empty, or the format cannot hold the events.
        RecordingError: no event of the recording can be read.
    """
    write = _writer_of(output)
    if output.exists() and output.samefile(recording.path):
        raise ValueError(f"cannot write {output}: it is the recording itself (name another file)")
    conversion = Conversion()
    if start is None and end is None:
        blocks = _readable(recording.blocks(), conversion, progress)
    else:
        interval = _interval(recording, start, end)
        blocks = _readable(recording.blocks(interval[0]), conversion, progress)
        blocks = _cut(blocks, interval, conversion)
    for name, keep in (filters or {}).items():
        conversion.num_removed[name] = 0
        blocks = _filtered(blocks, name, keep, conversion)
    size = readable_size(recording)
    first = next(blocks, None)
    if first is None and conversion.problem is not None:
        raise RecordingError(conversion.problem)
    conversion.num_written = write(output, _joined(first, blocks), size)
    return conversion


def check_output(output: Path, *, overwrite: bool) -> None:
    """Check an output file before the recording is read.

    Raises:
        ValueError: its ending is not a format, it exists and `overwrite` is False, or its folder
            does not exist.
    """
    _writer_of(output)
    if output.exists() and not overwrite:
        raise ValueError(
            f"cannot write {output}: it exists (name another file, or overwrite it with --force)"
        )
    if not output.parent.is_dir():
        raise ValueError(f"cannot write {output}: the folder {output.parent} does not exist")


def readable_size(recording: Recording) -> SensorSize:
    """The sensor's size; of a damaged recording without one, the size that its events need."""
    try:
        return recording.size
    except RecordingError:
        # Damaged, and no size in the header.
        width = height = 0
        for block in _readable(recording.blocks(), Conversion(), None):
            width = max(width, int(block["x"].max(initial=0)) + 1)
            height = max(height, int(block["y"].max(initial=0)) + 1)
        return SensorSize(height, width)


def _writer_of(output: Path) -> Callable[[Path, Iterable[Events], SensorSize], int]:
    if output.suffix.lower() not in WRITERS:
        raise ValueError(
            f"cannot write {output.name}: unsupported format {output.suffix!r} (supported: .dat, "
            ".raw (EVT3), .h5 and .hdf5 (DSEC layout))"
        )
    return WRITERS[output.suffix.lower()]


def _readable(
    blocks: Iterator[Events], conversion: Conversion, progress: Callable[[int], object] | None
) -> Iterator[Events]:
    """The blocks before the damage; the conversion records the problem."""
    try:
        for block in blocks:
            conversion.num_read += len(block)
            yield block
            if progress is not None:
                progress(len(block))
    except RecordingError as error:
        conversion.problem = str(error)


def _interval(recording: Recording, start: int | None, end: int | None) -> tuple[int, int]:
    begin = 0 if start is None else start
    if begin < 0 or (end is not None and end <= begin):
        until = "the end" if end is None else f"{end / 1e6:g} s"
        raise ValueError(
            f"the interval from {begin / 1e6:g} s to {until} is empty: "
            "it must start at 0 or later and end after its start"
        )
    if begin > recording.duration:
        raise ValueError(
            f"no events from {begin / 1e6:g} s on: the recording has {recording.duration / 1e6:g} s"
        )
    return begin + recording.start, np.iinfo(np.int64).max if end is None else (
        end + recording.start
    )


def _cut(
    blocks: Iterator[Events], interval: tuple[int, int], conversion: Conversion
) -> Iterator[Events]:
    first, end = interval
    for block in blocks:
        kept = block[(block["t"] >= first) & (block["t"] < end)]
        conversion.num_cut += len(block) - len(kept)
        if len(kept):
            yield kept
        # No event comes later than this.
        if len(block) and int(block["t"].max()) - MAX_STEP_BACK >= end:
            return


def _filtered(
    blocks: Iterator[Events], name: str, keep: Callable[[Events], Events], conversion: Conversion
) -> Iterator[Events]:
    for block in blocks:
        kept = keep(block)
        conversion.num_removed[name] += len(block) - len(kept)
        yield kept


def _joined(first: Events | None, others: Iterator[Events]) -> Iterator[Events]:
    if first is not None:
        yield first
    yield from others
