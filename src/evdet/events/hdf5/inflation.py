"""What a compressed chunk becomes, checked before memory is made for it.

A library of compression makes as much memory as a chunk asks for: of 2 kB, gigabytes.
"""

import itertools
import math
import os
import sys
from functools import cached_property
from typing import Any

from evdet.events.hdf5.filters import ECF_FILTER
from evdet.events.hdf5.stated_size import BITSHUFFLE, BLOSC2, CHECKED, inflated_size, may_inflate

__all__ = ["CheckedDataset"]

# Filters of HDF5 that keep what they get: shuffle, checksum; and those that shorten it by an amount
# that the file states: n-bit, scale-offset.
_SHUFFLE, _CHECKSUM, _NBIT, _SCALE_OFFSET = 2, 3, 5, 6
_CHECKSUM_BYTES = 4
# Blosc2 fills up the blocks of an array.
_PADDING = 4


class CheckedDataset:
    """An open dataset whose chunks are checked before they are inflated.

    Args:
        dataset: of h5py; everything but reading by slices is its own.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._chunk_bytes = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        plan = dataset.id.get_create_plist()
        filters = [plan.get_filter(i) for i in range(plan.get_nfilters())]
        numbers = [number for number, _, values, _ in filters if _compresses(number, values)]
        self._problem = _problem(filters, numbers, self._chunk_bytes)
        self._compression = numbers[0] if numbers and dataset.chunks else 0
        # Where a bit of a chunk's mask is set, the filter of that place was skipped.
        self._bit = next((i for i, one in enumerate(filters) if one[0] == self._compression), 0)
        self._limit = self._chunk_bytes + _CHECKSUM_BYTES
        if self._compression == BLOSC2 and dataset.ndim > 1:
            self._limit *= _PADDING
        self._descriptor = None
        if sys.platform != "win32" and not dataset.file.userblock_size:
            self._descriptor = dataset.file.id.get_vfd_handle()

    def __getattr__(self, name: str) -> Any:
        """An attribute of the dataset."""
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        """Rows of the dataset."""
        return len(self._dataset)

    def __getitem__(self, key: Any) -> Any:
        """Read a part.

        Raises:
            ValueError: a chunk would become larger than the dataset says, or is compressed twice,
                or in a way that cannot be checked.
        """
        if self._problem is not None:
            raise ValueError(f"{self._dataset.name} {self._problem}")
        if self._compression in CHECKED:
            parts = () if key is Ellipsis else key if isinstance(key, tuple) else (key,)
            parts += (slice(None),) * (self._dataset.ndim - len(parts))
            sides = zip(parts, self._dataset.shape, self._dataset.chunks, strict=True)
            unchecked = self._unchecked
            if unchecked:
                for place in itertools.product(*(_chunk_starts(*side) for side in sides)):
                    if place in unchecked:
                        self._check(place, *unchecked[place])
        return self._dataset[key]

    @cached_property
    def _unchecked(self) -> dict[tuple[int, ...], tuple[int, int]]:
        """Where the chunks that may become large begin: in the dataset, and in the file; bytes.

        HDF5 searches all chunks to find one, so they are listed once.
        """
        found = {}

        def keep(stored: Any) -> None:
            is_skipped = stored.filter_mask >> self._bit & 1
            if not is_skipped and may_inflate(self._compression, stored.size):
                found[stored.chunk_offset] = (stored.byte_offset, stored.size)

        self._dataset.id.chunk_iter(keep)
        return found

    def _check(self, place: tuple[int, ...], byte_offset: int, num_bytes: int) -> None:
        """Check the chunk that begins at a place."""

        def read(num: int) -> bytes:
            if sys.platform != "win32" and self._descriptor is not None:
                return os.pread(self._descriptor, num, byte_offset)
            chunk: bytes = self._dataset.id.read_direct_chunk(place)[1]
            return chunk[:num]

        name = self._dataset.name
        try:
            stated = inflated_size(self._compression, read, num_bytes=num_bytes, limit=self._limit)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if stated > self._limit:
            raise ValueError(
                f"a chunk of {name} would become {stated:,} bytes or more, and the dataset's "
                f"chunks have {self._chunk_bytes:,}"
            )


def _compresses(number: int, values: tuple[int, ...]) -> bool:
    """Whether a filter inflates what it gets; bitshuffle can do without."""
    if number == BITSHUFFLE:
        return len(values) > 4 and values[4] != 0
    return number not in (_SHUFFLE, _CHECKSUM, _NBIT, _SCALE_OFFSET)


def _problem(filters: list[Any], compressions: list[int], chunk_bytes: int) -> str | None:
    """What is wrong with the filters of a dataset, after its name."""
    if len(compressions) > 1:
        return "is compressed several times over"
    numbers = [one[0] for one in filters]
    for number, _, values, name in filters:
        if number in (_NBIT, _SCALE_OFFSET) and len(values) > 4:
            stated = values[2] * values[4]
            if stated > chunk_bytes:
                return f"would become {stated:,} bytes a chunk, and its chunks have {chunk_bytes:,}"
        if number in compressions and number not in (*CHECKED, ECF_FILTER):
            return (
                f"is compressed with the filter {number} ({name.decode('ascii', 'replace')}), "
                "whose sizes evdet cannot check. Rewrite the file with h5repack."
            )
        if number in compressions and set(numbers[numbers.index(number) + 1 :]) - {_CHECKSUM}:
            return "has other filters after its compression. Rewrite the file with h5repack."
    return None


def _chunk_starts(part: Any, side: int, chunk: int) -> range:
    """Where the chunks of a part of an axis begin."""
    low = part.start if isinstance(part, slice) else part
    high = part.stop if isinstance(part, slice) else part + 1
    first, stop = int(low or 0), side if high is None else min(int(high), side)
    return range(first - first % chunk, stop, chunk)
