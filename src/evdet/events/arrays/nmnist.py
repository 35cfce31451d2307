"""Records of 40 bits (.bin): N-MNIST, and N-Caltech101, whose sensor is larger."""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from evdet.events.arrays.reader import ArrayFile, content_of
from evdet.events.dtypes import EVENT_DTYPE, Events, SensorSize
from evdet.events.files import AS_STATED, MAX_STEP_BACK, FileBytes, ReadOptions

__all__ = ["doubt_nmnist", "open_nmnist"]

_BYTES = 5
_SIZE = SensorSize(height=34, width=34)
# Of N-Caltech101. Its recordings have the sizes of their images, up to this one.
_LARGER = SensorSize(height=180, width=240)
_ANY = SensorSize(height=256, width=256)
_LOOK_AT = 1 << 16  # records
# Records outside 34x34: damage of N-MNIST, or of a larger sensor.
_MOST_OUTSIDE = 0.1
_MOST_BACK = 0.01
# Fewer records say little.
_FEW = 20


def open_nmnist(path: Path, options: ReadOptions = AS_STATED) -> ArrayFile:
    """Open a recording of N-MNIST or N-Caltech101: five bytes an event.

    The sensor is 34x34, as of N-MNIST, unless more than a tenth of the first events lie outside;
    then it is as large as the events need.

    Args:
        path: the file: x, y, then a bit of polarity and 23 bits of microseconds, high byte first.
        options: what the file leaves open.

    Raises:
        RecordingError: the file cannot be read, or is empty.

    Source:
        Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using
        saccades", Frontiers in Neuroscience 9, 2015: the recordings.
    """
    content = content_of(path)
    num_rows, num_spare = divmod(len(content), _BYTES)
    tail = None
    if num_spare:
        tail = (
            f"the file is truncated in event {num_rows} (byte {num_rows * _BYTES}), after "
            f"{num_spare} of its {_BYTES} bytes. Copy it again; the events before can be read."
        )
    size = _SIZE if _is_small(_decode(_rows_of(content, 0, min(_LOOK_AT, num_rows)))) else None
    opener = functools.partial(open_nmnist, options=options)
    name = "N-MNIST" if size else "N-Caltech101"
    return ArrayFile(path, name, size, _Table(content, num_rows, size or _ANY), tail, opener)


def _rows_of(content: FileBytes, low: int, high: int) -> UInt8[np.ndarray, "_ 5"]:
    """The bytes of the records low ... high - 1."""
    data = content.read(low * _BYTES, (high - low) * _BYTES)
    return np.frombuffer(data, np.uint8).reshape(-1, _BYTES)


def doubt_nmnist(content: bytes) -> str:
    """Why bytes are not such records; empty if they can be.

    Args:
        content: the beginning of a file, of whole records where the file goes on.
    """
    num_rows, num_spare = divmod(len(content), _BYTES)
    if not num_rows or (num_spare and num_rows < _FEW):
        return f"its {len(content)} bytes are no multiple of {_BYTES}"
    events = _decode(np.frombuffer(content, np.uint8, num_rows * _BYTES).reshape(-1, _BYTES))
    times = events["t"]
    num_back = int((np.maximum.accumulate(times) - times > MAX_STEP_BACK).sum())
    if num_back > num_rows * _MOST_BACK:
        return f"its time would step back at {num_back} of {num_rows} events"
    if num_rows >= _FEW and times[0] == times[-1] == 0 and not times.any():
        return f"its first {num_rows} events would all be at time 0"
    if _is_small(events):
        return ""
    num_outside = _num_outside(events, _LARGER)
    if num_outside or num_rows < _FEW:
        size = _LARGER if num_outside else _SIZE
        num_outside = num_outside or _num_outside(events, _SIZE)
        return f"{num_outside} of {num_rows} events would lie outside the sensor {size}"
    return ""


def _decode(rows: UInt8[np.ndarray, "_ 5"]) -> Events:
    events = np.empty(len(rows), EVENT_DTYPE)
    events["x"], events["y"] = rows[:, 0], rows[:, 1]
    events["p"] = rows[:, 2] >> 7
    high_byte, middle_byte, low_byte = rows[:, 2:].astype(np.int64).T
    events["t"] = (high_byte & 0x7F) << 16 | middle_byte << 8 | low_byte
    return events


def _num_outside(events: Events, size: SensorSize) -> int:
    return int(((events["x"] >= size.width) | (events["y"] >= size.height)).sum())


def _is_small(events: Events) -> bool:
    """Whether the sensor is that of N-MNIST."""
    return _num_outside(events, _SIZE) <= len(events) * _MOST_OUTSIDE


class _Table:
    """Records of x, y, and a bit of polarity over 23 bits of time."""

    def __init__(self, content: FileBytes, num_rows: int, size: SensorSize) -> None:
        self._content = content
        self._num_rows = num_rows
        self._size = size

    def __len__(self) -> int:
        return self._num_rows

    def locate(self, row: int) -> str:
        return f"event {row} (byte {row * _BYTES})"

    def read(self, low: int, high: int) -> tuple[Events, str | None]:
        events = _decode(_rows_of(self._content, low, high))
        is_out = (events["x"] >= self._size.width) | (events["y"] >= self._size.height)
        if not is_out.any():
            return events, None
        i = int(is_out.argmax())
        return events[:i], (
            f"{self.locate(low + i)} lies at x={events['x'][i]}, y={events['y'][i]}, outside the "
            f"sensor of N-MNIST, {self._size}. The file is damaged or has another format: copy "
            "it again, or use the events before."
        )
