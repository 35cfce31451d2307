"""The bytes that a stored chunk of HDF5 becomes, found without making them.

Source:
    The formats of the registered filters, https://github.com/HDFGroup/hdf5_plugins, and of Blosc2's
    frames, https://www.blosc.org/c-blosc2/format/cframe_format.html.
"""

import bz2
import math
import zlib
from collections.abc import Callable, Sequence

__all__ = ["BITSHUFFLE", "BLOSC2", "CHECKED", "inflated_size", "may_inflate"]

BITSHUFFLE = 32008
"""HDF5 id of bitshuffle, which compresses or only reorders."""
_DEFLATE, _SZIP, _BZIP2, _LZF = 1, 4, 307, 32000
BLOSC2 = 32026
"""HDF5 id of Blosc2, which fills up the blocks of an array."""
_BLOSC, _LZ4, _ZSTD = 32001, 32004, 32015
CHECKED = frozenset(
    (_DEFLATE, _SZIP, _BZIP2, _LZF, _BLOSC, _LZ4, BITSHUFFLE, _ZSTD, BLOSC2),
)
"""HDF5 ids of the compressions whose chunks can be checked."""

_HEAD = 24
_PIECE = 1 << 20
_MAX_UNCHECKED = 1 << 28
# The most bytes that one byte becomes.
_RATIOS = {_DEFLATE: 1032, _LZF: 88}
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BLOSC2_HEAD = 94
_BLOSC2_CHUNK_HEAD = 32


def may_inflate(compression: int, num_bytes: int) -> bool:
    """Whether a chunk of this stored size can become large.

    Args:
        compression: HDF5 id of its compression.
        num_bytes: of the chunk as it is stored.
    """
    return num_bytes * _RATIOS.get(compression, _MAX_UNCHECKED) > _MAX_UNCHECKED


def inflated_size(
    compression: int, read: Callable[[int], bytes], *, num_bytes: int, limit: int
) -> int:
    """Bytes that a chunk becomes: as it states, or as it is found to be.

    Args:
        compression: HDF5 id of its compression, one of `CHECKED`.
        read: gives a number of its first bytes.
        num_bytes: of the chunk as it is stored.
        limit: more bytes than this are not counted.

    Returns:
        The number; 0 where it is not stated; more than `limit` where it is larger.

    Raises:
        ValueError: the chunk is damaged, or laid out in another way than the filter writes it.
    """
    if compression == _DEFLATE:
        return _counted(zlib.decompressobj(), read(num_bytes), limit)
    if compression == _BZIP2:
        return _counted(bz2.BZ2Decompressor(), read(num_bytes), limit)
    if compression == _LZF:
        return _size_of_lzf(read(num_bytes), limit)
    if compression == BLOSC2:
        return _size_of_blosc2(read(num_bytes))
    head = read(min(_HEAD, num_bytes))
    if compression == _BLOSC:
        return int.from_bytes(head[4:8], "little")
    if compression == _SZIP:
        return int.from_bytes(head[:4], "little")
    if compression in (_LZ4, BITSHUFFLE):
        return int.from_bytes(head[:8], "big")
    return _size_of_zstd(head)


def _counted(inflating: "zlib._Decompress | bz2.BZ2Decompressor", chunk: bytes, limit: int) -> int:
    """Inflate a chunk piece by piece, and forget each piece."""
    count = 0
    rest = chunk
    try:
        while not inflating.eof and count <= limit:
            piece = inflating.decompress(rest, _PIECE)
            rest = inflating.unconsumed_tail if hasattr(inflating, "unconsumed_tail") else b""
            if not piece and not rest:
                break
            count += len(piece)
    except (zlib.error, OSError) as error:
        raise ValueError(f"a chunk cannot be inflated: {error}") from None
    return count


def _size_of_lzf(chunk: bytes, limit: int) -> int:
    """Add up the lengths of its literal runs and references."""
    count = at = 0
    while at < len(chunk) and count <= limit:
        control = chunk[at]
        if control < 32:
            count += control + 1
            at += control + 2
        elif control >> 5 < 7:
            count += (control >> 5) + 2
            at += 2
        else:
            count += 9 + (chunk[at + 1] if at + 1 < len(chunk) else 0)
            at += 3
    return count


def _size_of_zstd(head: bytes) -> int:
    if not head.startswith(_ZSTD_MAGIC) or len(head) < 5:
        return 0
    # The descriptor of a frame: the size of the size, whether there is a window, a dictionary.
    kind = head[4]
    has_window = not kind >> 5 & 1
    at = 5 + has_window + (0, 1, 2, 4)[kind & 3]
    num = (0 if has_window else 1, 2, 4, 8)[kind >> 6]
    return int.from_bytes(head[at : at + num], "little") + (256 if num == 2 else 0)


def _size_of_blosc2(frame: bytes) -> int:
    """The largest of what a frame of one chunk states in its three places.

    Of a frame the filter takes memory for the whole, for the chunk, and for a padded array.
    """
    if len(frame) < _BLOSC2_HEAD or frame[2:9] != b"b2frame":
        raise ValueError("a chunk is not a frame of Blosc2")
    head_bytes, type_bytes, chunk_bytes = (_big(frame, at, 4) for at in (11, 48, 58))
    whole, packed = _big(frame, 30, 8), _big(frame, 39, 8)
    if not 0 < whole <= chunk_bytes:
        raise ValueError(f"a chunk of Blosc2 states {whole:,} bytes in parts of {chunk_bytes:,}")
    index = frame[head_bytes + packed :][: _BLOSC2_CHUNK_HEAD + 8]
    index_bytes = int.from_bytes(index[12:16], "little")
    if index_bytes not in (_BLOSC2_CHUNK_HEAD, _BLOSC2_CHUNK_HEAD + 8):
        raise ValueError("the index of a chunk of Blosc2 is damaged")
    offset = int.from_bytes(index[_BLOSC2_CHUNK_HEAD:index_bytes], "little")
    if offset >> 63:  # one value again and again, of which there is no chunk
        stated = chunk_bytes
    else:
        at = head_bytes + offset
        stated = int.from_bytes(frame[at + 4 : at + 8], "little")
    return max(whole, stated, *_array_sizes(frame[:head_bytes], type_bytes))


def _array_sizes(head: bytes, type_bytes: int) -> Sequence[int]:
    """Bytes of an array of several dimensions and of its padded chunk; 0 without one."""
    count = _big(head, 92, 2)
    if not count:
        return (0,)
    if count != 1 or head[94:99] != b"\xa4b2nd":
        raise ValueError("a chunk of Blosc2 has other metadata than the filter writes")
    at = _big(head, 100, 4) + 5  # after the length of the metadata
    num = head[at + 2] if at + 2 < len(head) else 0
    sides: list[list[int]] = []
    for width in (8, 4, 4):  # of the array, its chunks and their blocks
        at += 1 if sides else 4
        sides.append([_big(head, at + 1 + i * (width + 1), width) for i in range(num)])
        at += num * (width + 1)
    shape, chunk, block = sides
    if not all(shape) or not all(0 < b <= c for c, b in zip(chunk, block, strict=True)):
        raise ValueError("a chunk of Blosc2 states blocks larger than itself")
    padded = (-(-c // b) * b for c, b in zip(chunk, block, strict=True))
    return math.prod(shape) * type_bytes, math.prod(padded) * type_bytes


def _big(frame: bytes, at: int, num: int) -> int:
    return int.from_bytes(frame[at : at + num], "big")
