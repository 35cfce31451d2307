"""The records of a DAT file, read from their places."""

import typing
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Shaped

from evdet.compiled import kernel
from evdet.events.files import FileBytes, OpenedBytes

__all__ = ["RECORD_BYTES", "RECORD_DTYPE", "OpenedRecords", "RecordTable", "Records"]

RECORD_DTYPE = np.dtype([("t", "<u4"), ("word", "<u4")])
"""Packed, so that the loops are compiled for one type whatever the header's length."""
RECORD_BYTES = RECORD_DTYPE.itemsize

Records = Shaped[np.ndarray, " _"]
"""Records of `RECORD_DTYPE`."""

_PAGE = 512  # records
_MAX_KNOWN = 4096  # the first steps of all searches are the same
_BLOCK = 1 << 16
_FEW, _MOST = 1 << 12, 1 << 20  # records of some bins
_LOW_BITS = (1 << 32) - 1


class RecordTable:
    """The complete records of a file.

    Args:
        content: the file.
        num_header_bytes: offset of the first record.
    """

    def __init__(self, content: FileBytes, num_header_bytes: int) -> None:
        num_bytes = max(len(content) - num_header_bytes, 0)
        self.num_header_bytes = num_header_bytes
        self.num_records, self.num_spare_bytes = divmod(num_bytes, RECORD_BYTES)
        self._content = content
        self._known_bits: dict[int, int] = {}

    @contextmanager
    def opened(self) -> Iterator["OpenedRecords"]:
        """Open the file.

        Raises:
            RecordingError: it was replaced meanwhile, or cannot be read.
        """
        with self._content.opened() as content:
            yield OpenedRecords(self, content, self._known_bits)

    def byte_of(self, index: int) -> int:
        """Offset of a record in the file."""
        return self.num_header_bytes + index * RECORD_BYTES


class OpenedRecords:
    """The records of an open file. Made by `RecordTable.opened`.

    Args:
        table: the records.
        content: the open file.
        known_bits: what `low_bits` has found for some records, to add to.
    """

    def __init__(
        self, table: RecordTable, content: OpenedBytes, known_bits: dict[int, int]
    ) -> None:
        self.num_records = table.num_records
        self._table = table
        self._content = content
        self._known_bits = known_bits
        self._page_start = 0
        self._page: Records = np.empty(0, RECORD_DTYPE)

    def read(self, low: int, high: int) -> Records:
        """The records low ... high - 1.

        Raises:
            RecordingError: the file was truncated meanwhile, or cannot be read.
        """
        room = np.empty(high - low, RECORD_DTYPE)
        if self._fill(room, low) < high - low:
            raise self._content.truncated()
        return room

    def blocks(self, low: int, high: int, size: int = _BLOCK) -> Iterator[Records]:
        """The records low ... high - 1, in blocks of `size`; each is overwritten by the next.

        Raises:
            RecordingError: as `read`; the records before are delivered first.
        """
        room = np.empty(min(size, high - low), RECORD_DTYPE)
        for first in range(low, high, size):
            wanted = min(high - first, size)
            num = self._fill(room[:wanted], first)
            if num:
                yield room[:num]
            if num < wanted:
                raise self._content.truncated()

    def bins(self, low: int, high: int, *, delta_t: int, clock: int) -> Iterator[Records]:
        """As `blocks`, but cut between two time bins where that is possible.

        So a bin need not be joined of two blocks.

        Args:
            low: the first record.
            high: one after the last.
            delta_t: duration of a bin, in microseconds.
            clock: time of the first record, in microseconds.

        Raises:
            RecordingError: as `read`; the records before are delivered first.
        """
        room = np.empty(min(_MOST, high - low), RECORD_DTYPE)
        num = 0  # of those that wait, at the beginning of `room`
        while low < high or num:
            wanted = min(_BLOCK, high - low, len(room) - num)
            got = self._fill(room[num : num + wanted], low)
            low, num = low + got, num + got
            is_last = low == high or got < wanted
            begin = 0
            while begin < num:
                waiting = room[begin:num]
                count, bin_end = _whole_bins(waiting, clock, delta_t)
                if count == len(waiting) and not is_last and (begin or num < len(room)):
                    break  # the bin may go on
                yield waiting[:count]
                clock, begin = bin_end, begin + count
            if got < wanted:
                raise self._content.truncated()
            # As whole numbers: NumPy copies records field by field.
            numbers = room.view(np.uint64)
            numbers[: num - begin] = numbers[begin:num].copy()
            num -= begin

    def _fill(self, room: Records, low: int) -> int:
        """Read records from index `low` on; returns how many there were."""
        num_bytes = self._content.read_into(self._table.byte_of(low), room.view(np.uint8))
        return num_bytes // RECORD_BYTES

    def low_bits(self, index: int) -> int:
        """The 32 bits of a record's time, in microseconds.

        Raises:
            RecordingError: as `read`.
        """
        known = self._known_bits.get(index)
        if known is not None:
            return known
        if not 0 <= index - self._page_start < len(self._page):
            low = max(min(index - _PAGE // 2, self.num_records - _PAGE), 0)
            self._page = self.read(low, min(low + _PAGE, self.num_records))
            self._page_start = low
        bits = int(self._page["t"][index - self._page_start])
        if len(self._known_bits) < _MAX_KNOWN:
            self._known_bits[index] = bits
        return bits


def _whole_bins(records: Records, clock: int, delta_t: int) -> tuple[int, int]:
    """The number of records of the first bins, of thousands of records, and the end of these."""
    ahead = int(records["t"][min(_FEW, len(records)) - 1])
    bin_end = ((clock + ((ahead - clock) & _LOW_BITS)) // delta_t + 1) * delta_t
    return int(_num_before(records, clock, bin_end)), bin_end


@kernel
@typing.no_type_check
def _num_before(records, clock, end):
    """Number of records before a time, if they are in order; at least one."""
    low, high = 1, len(records)
    while low < high:
        middle = (low + high) // 2
        if clock + ((np.int64(records[middle].t) - clock) & _LOW_BITS) < end:
            low = middle + 1
        else:
            high = middle
    return low
