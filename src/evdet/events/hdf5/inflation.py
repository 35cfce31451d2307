"""What a compressed chunk states that it becomes, checked before memory is made for it.

A library of compression makes as much memory as a chunk asks for: of 2 kB, gigabytes.
"""

import math
import os
from typing import Any

__all__ = ["CheckedDataset"]

# Filters of HDF5 that keep or shorten what they get by a known amount: shuffle, checksum, n-bit,
# scale-offset.
_OTHERS = (2, 3, 5, 6)
_BLOSC, _LZ4, _BITSHUFFLE, _ZSTD = 32001, 32004, 32008, 32015
_HEAD = 24  # bytes
_HAS_PREAD = hasattr(os, "pread")  # not on Windows
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class CheckedDataset:
    """An open dataset whose chunks are checked before they are inflated.

    Args:
        dataset: of h5py; everything but reading by slices is its own.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        plan = dataset.id.get_create_plist()
        filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        compressions = [number for number in filters if number not in _OTHERS]
        self._is_doubled = len(compressions) > 1
        self._compression = compressions[0] if compressions and dataset.chunks else 0
        self._chunk_bytes = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        self._descriptor = None
        if _HAS_PREAD and not dataset.file.userblock_size:
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
            ValueError: a chunk would become larger than the dataset says, or is compressed twice.
        """
        if self._is_doubled:
            raise ValueError(f"{self._dataset.name} is compressed several times over")
        if self._compression in (_BLOSC, _LZ4, _BITSHUFFLE, _ZSTD):
            for axis, part in enumerate(key if isinstance(key, tuple) else (key,)):
                low = part.start if isinstance(part, slice) else part
                high = part.stop if isinstance(part, slice) else part + 1
                if high is not None:
                    self._check(axis, int(low or 0), int(high))
        return self._dataset[key]

    def _check(self, axis: int, first: int, stop: int) -> None:
        """Check the chunks of a range along an axis, those at the beginning of the others."""
        length = self._dataset.chunks[axis]
        for start in range(first - first % length, stop, length):
            place = [0] * self._dataset.ndim
            place[axis] = start
            stored = self._dataset.id.get_chunk_info_by_coord(tuple(place))
            if stored.byte_offset is None or stored.filter_mask:
                continue  # missing, or not compressed
            if self._descriptor is not None:
                head = os.pread(self._descriptor, _HEAD, stored.byte_offset)
            else:
                head = self._dataset.id.read_direct_chunk(tuple(place))[1][:_HEAD]
            stated = _stated(head, self._compression)
            if stated > self._chunk_bytes:
                raise ValueError(
                    f"a chunk of {self._dataset.name} states {stated:,} bytes, and the dataset's "
                    f"chunks have {self._chunk_bytes:,}"
                )


def _stated(chunk: bytes, compression: int) -> int:
    """Bytes that a chunk says it becomes; 0 where it does not say."""
    if compression == _BLOSC:
        return int.from_bytes(chunk[4:8], "little")
    if compression in (_LZ4, _BITSHUFFLE):
        return int.from_bytes(chunk[:8], "big")
    if not chunk.startswith(_ZSTD_MAGIC) or len(chunk) < 5:
        return 0
    # The descriptor of a frame: the size of the size, whether there is a window, a dictionary.
    kind = chunk[4]
    has_window = not kind >> 5 & 1
    at = 5 + has_window + (0, 1, 2, 4)[kind & 3]
    num = (0 if has_window else 1, 2, 4, 8)[kind >> 6]
    return int.from_bytes(chunk[at : at + num], "little") + (256 if num == 2 else 0)
