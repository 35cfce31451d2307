"""An opened recording -> one line, and a picture with a table for notebooks, read in part only."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar, cast

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, SensorSize
from evdet.events.files import EventFile, SeekableEventFile, SurveyedEventFile, join_events
from evdet.structured_text import html_beside, html_picture, html_table

__all__ = ["Overview", "recording_html", "recording_line"]

_NOT_READ = "not counted yet: len(recording) reads the file once"
_BIN = 50_000  # microseconds of a picture
# A picture is of one of these moments, where the file can be read at any place.
_NUM_MOMENTS = 5
# Of a file that is read from its beginning: these many events, for about this time.
_MOST_EVENTS = 500_000
_MOST_SECONDS = 0.5
_LARGEST_SIDE = 320  # pixels of a picture
_SHOWN_WIDTH = 240

Value = TypeVar("Value")


class Overview(NamedTuple):
    """What is known of a recording before it is read."""

    name: str
    """Name of the file."""
    file: EventFile
    """The file."""
    size: SensorSize | None
    """The sensor's size, where it is known."""
    num_bytes: Callable[[], int]
    """Size of the file."""


class _Extent(NamedTuple):
    """How long a recording is."""

    num_events: int
    start: int
    end: int


def recording_line(overview: Overview) -> str:
    """Put a recording into one line, without a pass over its file."""
    size = _written(overview.size)
    extent = _or_none(lambda: _extent_of(overview.file))
    parts = [repr(overview.name), overview.file.format, size]
    if extent is not None:
        parts += [f"{(extent.end - extent.start) / 1e6:.3g} s", f"{extent.num_events:,} events"]
    return f"Recording({', '.join(parts)})"


def recording_html(overview: Overview) -> str:
    """Show a recording: the events of a moment, and a table.

    The moment is the one with the most events of a few, where the file can be read at any place,
    and of the first events where it cannot: no file is read as a whole.
    """
    extent = _or_none(lambda: _extent_of(overview.file))
    rows = [("format", overview.file.format)]
    rows += [("sensor", _written(overview.size))]
    if extent is None:
        rows += [("events", _NOT_READ)]
    else:
        seconds = (extent.end - extent.start) / 1e6
        rows += [("duration", f"{seconds:,.3f} s, from {extent.start / 1e6:,.3f} s on")]
        rows += [("events", f"{extent.num_events:,}")]
        rows += [("mean rate", f"{extent.num_events / seconds:,.0f} events/s")] if seconds else []
    num_bytes = _or_none(overview.num_bytes)
    rows += [] if num_bytes is None else [("file", f"{num_bytes / 1e6:,.1f} MB")]
    picture = _or_none(lambda: _picture_of(overview, extent)) or ""
    return html_beside(picture, html_table(rows, title=overview.name))


def _written(size: SensorSize | None) -> str:
    return "size not stated" if size is None else f"{size.width}x{size.height}"


def _extent_of(file: EventFile) -> _Extent | None:
    """The number of events and their times; None where they cost a pass over the file."""
    if hasattr(file, "is_surveyed") and not cast(SurveyedEventFile, file).is_surveyed:
        return None
    return _Extent(file.num_events, file.start or 0, file.end or 0)


def _picture_of(overview: Overview, extent: _Extent | None) -> str:
    if extent is not None and hasattr(overview.file, "between"):
        parts = _moments(cast(SeekableEventFile, overview.file), extent)
    else:
        parts = _bins_of(_first_events(overview.file))
    events = max(parts, key=len, default=np.empty(0, EVENT_DTYPE))
    if not len(events):
        return ""
    # Here, because it loads torch.
    from evdet.events.pictures.frames import events_to_picture

    size = overview.size or SensorSize(int(events["y"].max()) + 1, int(events["x"].max()) + 1)
    events = events[(events["x"] < size.width) & (events["y"] < size.height)].copy()
    factor = -(-max(size) // _LARGEST_SIDE)
    events["x"] //= factor
    events["y"] //= factor
    smaller = SensorSize(-(-size.height // factor), -(-size.width // factor))
    picture = events_to_picture(events, smaller)
    first = int(events["t"].min())
    text = f"Events from {first / 1e6:.3f} s on: ON orange, OFF blue"
    return html_picture(picture, text, width=_SHOWN_WIDTH)


def _moments(file: SeekableEventFile, extent: _Extent) -> Iterator[Events]:
    """The events of a few moments, of a duration that holds not too many."""
    duration = extent.end - extent.start + 1
    rate = extent.num_events / duration
    delta_t = max(1, min(_BIN, duration, int(_MOST_EVENTS / max(rate, 1e-9))))
    for index in range(_NUM_MOMENTS):
        middle = extent.start + duration * (2 * index + 1) // (2 * _NUM_MOMENTS)
        start = max(extent.start, min(middle, extent.end + 1 - delta_t))
        events = _or_none(functools.partial(file.between, start, start + delta_t))
        if events is not None:
            yield events[:_MOST_EVENTS]


def _first_events(file: EventFile) -> Events:
    parts, num_events, began = [np.empty(0, EVENT_DTYPE)], 0, time.monotonic()
    blocks = file.blocks()
    # The events before damage are shown.
    with contextlib.suppress(Exception):
        for block in blocks:
            parts.append(block[: _MOST_EVENTS - num_events])
            num_events += len(parts[-1])
            if num_events >= _MOST_EVENTS or time.monotonic() - began > _MOST_SECONDS:
                break
    if hasattr(blocks, "close"):
        blocks.close()
    return join_events(parts)


def _bins_of(events: Events) -> Iterator[Events]:
    """The events in time bins; late ones stay where they are in the file."""
    if len(events):
        bins = (events["t"] - int(events["t"].min())) // _BIN
        yield from np.split(events, np.flatnonzero(np.diff(bins)) + 1)


def _or_none(find: Callable[[], Value]) -> Value | None:
    """A value, or None where the file is closed, damaged, or gone: showing it raises nothing."""
    try:
        return find()
    except Exception:
        return None
