"""open_recording: an event file of any format -> a Recording."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np

from evdet.events.dtypes import (
    EVENT_DTYPE,
    TRIGGER_DTYPE,
    Events,
    RecordingError,
    SensorSize,
    TimeBin,
    Triggers,
)
from evdet.events.files import (
    AS_STATED,
    MAX_STEP_BACK,
    BinnedEventFile,
    EventFile,
    OrderCount,
    ReadOptions,
    SeekableEventFile,
    SizedEventFile,
    TriggeredEventFile,
    check_blocks,
    check_slice,
    cut_bins,
    cut_by_count,
    join_events,
    sort_by_time,
)
from evdet.events.pictures import Overview, recording_html, recording_line
from evdet.events.readers import open_event_file

__all__ = ["Recording", "open_recording"]

_log = logging.getLogger(__name__)

_NO_EVENTS = np.empty(0, EVENT_DTYPE)


class Recording:
    """The events of one file, with a sensor size.

    Args:
        file: the opened file.
        size: the sensor's size where the file does not state it or states it incorrectly.
        strict: treat any step back in time as damage.
        shift_time: count time from the recording's start instead of the camera's.
        whole: refuse a file that ends within an event, as `strict` does, too.
        reports_end: log a warning where the file ends within an event.

    docs/reference/recording_formats.md lists what each format supports.
    """

    def __init__(
        self,
        file: EventFile,
        *,
        size: SensorSize | None = None,
        strict: bool = False,
        shift_time: bool = False,
        whole: bool = False,
        reports_end: bool = True,
    ) -> None:
        self._file = file
        # Not isinstance: that would access every property, and so read the file.
        self._seekable = cast(SeekableEventFile, file) if hasattr(file, "between") else None
        self._asked_size = size
        self._strict = strict
        self._needs_whole = whole or strict
        self._reports_end = reports_end
        self._shift = (file.time_origin or 0) if shift_time else 0
        self._size = size or file.stated_size
        self._count = OrderCount()
        self._has_warned = False
        self._triggers: Triggers | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def num_bytes(self) -> int:
        """Size of the file, or of all files in the folder of a ROS 2 bag."""
        if not self.path.is_dir():
            return self.path.stat().st_size
        return sum(file.stat().st_size for file in self.path.iterdir() if file.is_file())

    @property
    def format(self) -> str:
        """Name of the format, for display."""
        return self._file.format

    @property
    def size(self) -> SensorSize:
        """The sensor's size: the given one, or the file's, or what its events need."""
        if self._size is None:
            width = height = 0
            for block in self._file.blocks():
                width = max(width, int(block["x"].max(initial=0)) + 1)
                height = max(height, int(block["y"].max(initial=0)) + 1)
            self._size = SensorSize(height, width)
            _log.info("%s: no sensor size in the file; %s, from the events", self.path, self._size)
        return self._size

    @property
    def size_source(self) -> str:
        """Origin of the size, for display."""
        if self._asked_size:
            return "as asked"
        return "as stated in the file" if self._file.stated_size else "from the events"

    @property
    def start(self) -> int:
        """Time of the earliest event, in microseconds; 0 without events."""
        start = self._file.start
        return 0 if start is None else start - self._shift

    @property
    def end(self) -> int:
        """Time of the latest event, in microseconds; 0 without events."""
        end = self._file.end
        return 0 if end is None else end - self._shift

    @property
    def duration(self) -> int:
        """Microseconds from the earliest event to the latest."""
        return self.end - self.start

    @property
    def num_steps_back(self) -> int:
        """Events read so far that are earlier than the one before them in the file."""
        return self._count.num_steps_back

    @property
    def largest_step_back(self) -> int:
        """The largest step back in time so far, in microseconds."""
        return self._count.largest_step_back

    @property
    def num_dropped(self) -> int:
        """Events that the format requires to drop, such as rows beyond the sensor."""
        return self._file.num_dropped

    @property
    def triggers(self) -> Triggers:
        """External triggers, on the clock of the events; none where the format has none.

        The fields are t in microseconds, id of the channel, and p: 1 is a rising edge, 0 a falling
        one. The first access makes a pass over the file; of a damaged one it finds those before.
        """
        if self._triggers is None:
            found = np.empty(0, TRIGGER_DTYPE)
            if hasattr(self._file, "triggers"):
                found = cast(TriggeredEventFile, self._file).triggers()
            found["t"] -= self._shift
            self._triggers = found
        return self._triggers

    @property
    def incomplete_end(self) -> str:
        """Says that the file ends within an event, which is left out; empty if it does not."""
        return self._file.incomplete_end

    def __len__(self) -> int:
        """Events that can be read."""
        return self._file.num_events

    def __str__(self) -> str:
        return (
            f"{self.path.name}: {self.format}, {len(self):,} events of a {self.size} sensor "
            f"in {self.duration / 1e6:.3f} s"
        )

    def __repr__(self) -> str:
        return recording_line(self._overview())

    def _repr_html_(self) -> str:
        """For notebooks."""
        return recording_html(self._overview())

    def _overview(self) -> Overview:
        return Overview(self.path.name, self._file, self._size, lambda: self.num_bytes)

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """The events in file order, in blocks of bounded size.

        Args:
            since: start at or before the first event with t >= since; None starts at the
                first event.

        Raises:
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """
        return self._checked(self._file.blocks(self._stored(since)), is_whole=since is None)

    def slices(self, delta_t: int, since: int | None = None) -> Iterator[TimeBin]:
        """The recording in time bins [k·delta_t, (k + 1)·delta_t), the empty ones too.

        Args:
            delta_t: duration of a bin, in microseconds.
            since: start with the bin that holds this time; None starts with that of the
                earliest event.

        Returns:
            All bins up to the last event; the events of a bin are in order of time.

        Raises:
            ValueError: `delta_t` is not positive.
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """
        if delta_t < 1:
            raise ValueError(f"delta_t must be at least 1 microsecond, got {delta_t}")
        return self._slices(delta_t, since)

    def slice(self, t0: int, t1: int) -> Events:
        """The events of the interval t0 <= t < t1, in order of time.

        Args:
            t0: start, in microseconds.
            t1: end (exclusive), in microseconds.

        Raises:
            ValueError: the interval ends before it starts.
            RecordingError: the interval is damaged.
        """
        if t1 < t0:
            raise ValueError(f"an interval must not end before it starts, got {t0} to {t1} us")
        if self._seekable is not None:
            events = self._between(self._seekable, t0, t1, OrderCount())
            if self.incomplete_end and t1 > self.end:
                self._look_at_end()
            return events
        parts = [_NO_EVENTS]
        for block in self.blocks(t0):
            times = block["t"]
            parts.append(block[(times >= t0) & (times < t1)])
            if int(times.max()) >= t1 + MAX_STEP_BACK:
                break
        return sort_by_time(join_events(parts))

    def slices_by_count(self, num_events: int) -> Iterator[TimeBin]:
        """The recording in slices of `num_events` events; the last may have fewer.

        Their durations vary.

        Raises:
            ValueError: `num_events` is not positive.
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """
        if num_events < 1:
            raise ValueError(f"num_events must be at least 1, got {num_events}")
        return cut_by_count(self.blocks(), num_events)

    def _slices(self, delta_t: int, since: int | None) -> Iterator[TimeBin]:
        start = None if since is None else since // delta_t * delta_t
        if hasattr(self._file, "blocks_of_bins"):
            file = cast(BinnedEventFile, self._file)
            blocks = file.blocks_of_bins(delta_t, self._stored(start))
        else:
            blocks = self._file.blocks(self._stored(start))
        checked = self._checked(blocks, is_whole=since is None)
        yield from cut_bins(checked, delta_t, since=since)

    def _checked(self, blocks: Iterator[Events], *, is_whole: bool) -> Iterator[Events]:
        """Check blocks of the file; `is_whole` says whether they begin with its first one."""
        count = OrderCount()
        name, size = str(self.path), self._asked_size
        for block in check_blocks(blocks, count, name=name, size=size, strict=self._strict):
            if is_whole:
                self._count = count
            self._warn(count)
            yield self._shifted(block)
        self._look_at_end()

    def _stored(self, time: int | None) -> int | None:
        """A time on the clock of the file."""
        return None if time is None else time + self._shift

    def _between(self, file: SeekableEventFile, t0: int, t1: int, count: OrderCount) -> Events:
        events = check_slice(
            file.between(t0 + self._shift, t1 + self._shift),
            count,
            name=str(self.path),
            size=self._asked_size,
            strict=self._strict,
        )
        self._warn(count)
        return self._shifted(events)

    def _look_at_end(self) -> None:
        """Refuse or report, once, a file that ends within an event."""
        problem = self.incomplete_end
        if problem and self._needs_whole:
            raise RecordingError(f"{problem} Copy it again, or read it without strict (--strict).")
        if problem and self._reports_end:
            self._reports_end = False
            _log.warning("%s It is left out; the events before are read.", problem)

    def _shifted(self, events: Events) -> Events:
        if not self._shift:
            return events
        moved = events.copy()
        moved["t"] -= self._shift
        return moved

    def _warn(self, count: OrderCount) -> None:
        if count.num_steps_back and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "%s: time steps back, first by %d us; events are sorted within their bin",
                self.path,
                count.largest_step_back,
            )


def open_recording(
    path: Path | str,
    *,
    size: SensorSize | None = None,
    strict: bool = False,
    shift_time: bool = False,
    options: ReadOptions = AS_STATED,
    reports_end: bool = True,
) -> Recording:
    """Open an event recording of any format; reads only its header.

    Args:
        path: the file; its first bytes determine the format, and its suffix where they do not.
        size: the sensor's size where the file does not state it or states it incorrectly. Without
            either, the first access makes one pass over the events to find it.
        strict: treat any step back in time, and an incomplete last event, as damage; otherwise the
            events of steps of up to 20 ms are sorted within a bin, counted, and one warning is
            logged.
        shift_time: count time from the recording's start, as other converters do (from the first
            TIME_HIGH word of a RAW file), instead of keeping it as stored.
        options: the format, unit of time, columns or stream, where the file leaves them open.
        reports_end: log a warning where the file ends within an event; it is read without that
            event in any case, unless `strict` or `options.strict` refuse it.

    Raises:
        StreamChoiceError: the file has several streams of events, and `options` choose none.
        RecordingError: the file does not exist, or is not an event recording.
    """
    file = open_event_file(Path(path), options)
    if size is not None and hasattr(file, "with_size"):
        file = cast(SizedEventFile, file).with_size(size)
    return Recording(
        file,
        size=size,
        strict=strict,
        shift_time=shift_time,
        whole=options.strict,
        reports_end=reports_end,
    )
