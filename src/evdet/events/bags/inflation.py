"""Compressed parts of bags, inflated up to a limit: rosbags inflates whatever they become."""

import bz2
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import lz4.frame
from rosbags.rosbag1 import reader as ros1_reader
from rosbags.rosbag2 import storage_mcap

from evdet.events.dtypes import RecordingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["bound_chunks", "check_inflated_file", "inflate_message"]

_MAX_INFLATED = 256 << 20
# Of a file that is compressed whole; databases of events become 2 to 20 times as large.
_MAX_RATIO = 256
_PIECE = 1 << 20


def bound_chunks() -> None:
    """Let rosbags inflate chunks, of ROS 1 bags and of MCAP files, by functions with a limit.

    It looks them up by name, in two tables, and has no other way. A chunk of an MCAP file becomes
    as large as it states, or is damaged.
    """
    ros1_reader.decompressors.update(bz2=_ros1(_open_bz2), lz4=_ros1(_open_lz4))
    storage_mcap.DECOMPRESSORS.update(lz4=_mcap(_open_lz4), zstd=_mcap(_open_zstd))


def inflate_message(data: bytes) -> bytes:
    """Inflate a message of a bag whose messages are compressed one by one.

    Raises:
        ValueError: it is damaged, or would become too large.
    """
    return _inflate(_open_zstd, data, _MAX_INFLATED)


def check_inflated_file(path: Path) -> None:
    """Check a compressed file of a bag before rosbags inflates it into a temporary folder.

    Raises:
        RecordingError: it would become too large.
    """
    limit = _MAX_INFLATED + _MAX_RATIO * path.stat().st_size
    count = 0
    with zstd.open(path, "rb") as file:
        while count <= limit and (piece := file.read(_PIECE)):
            count += len(piece)
    if count > limit:
        raise RecordingError(
            f"cannot read {path}: of {path.stat().st_size:,} bytes it would become more than "
            f"{limit:,}. Decompress it, if you trust it: unzstd FILE."
        )


def _open_bz2(file: BytesIO) -> Any:
    return bz2.open(file)


def _open_lz4(file: BytesIO) -> Any:
    return lz4.frame.open(file)


def _open_zstd(file: BytesIO) -> Any:
    return zstd.open(file)


def _ros1(opener: Callable[[BytesIO], Any]) -> Callable[[bytes], bytes]:
    def inflate(data: bytes) -> bytes:
        return _inflate(opener, data, _MAX_INFLATED)

    return inflate


def _mcap(opener: Callable[[BytesIO], Any]) -> Callable[[bytes, int], bytes]:
    def inflate(data: bytes, size: int) -> bytes:
        if size > _MAX_INFLATED:
            raise ValueError(f"a chunk states {size:,} bytes, more than {_MAX_INFLATED:,}")
        return _inflate(opener, data, size)

    return inflate


def _inflate(opener: Callable[[BytesIO], Any], data: bytes, limit: int) -> bytes:
    with opener(BytesIO(data)) as file:
        content: bytes = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"of {len(data):,} bytes a part would become more than {limit:,}")
    return content
