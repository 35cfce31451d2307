"""The bytes of a file by position, read and not mapped.

Bytes of a mapping that are gone, because the file was truncated meanwhile, end the whole process.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from evdet.events.dtypes import RecordingError

__all__ = ["FileBytes", "OpenedBytes"]

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)


class FileBytes:
    """A file of which any bytes can be read, as many as it had when this object was made.

    It is opened for each reading, or for several ones by `opened`: thousands of these objects keep
    no file open.

    Args:
        path: the file.

    Raises:
        RecordingError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            status = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        self._num_bytes = status.st_size
        self._identity = status.st_dev, status.st_ino

    def __len__(self) -> int:
        """Bytes of the file."""
        return self._num_bytes

    def read(self, at: int, count: int) -> bytes:
        """Read bytes, fewer at the end of the file.

        Raises:
            RecordingError: the file was truncated or replaced meanwhile, or cannot be read.
        """
        with self.opened() as opened:
            return opened.read(at, count)

    @contextmanager
    def opened(self) -> Iterator["OpenedBytes"]:
        """Keep the file open for several readings.

        Raises:
            RecordingError: the file was replaced meanwhile, or cannot be read.
        """
        try:
            descriptor = os.open(self.path, _FLAGS)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != self._identity:
                raise RecordingError(
                    f"{self.path} was replaced by another file while it was read. Read it again."
                )
            yield OpenedBytes(self.path, descriptor, self._num_bytes)
        finally:
            os.close(descriptor)


class OpenedBytes:
    """An open file. Made by `FileBytes.opened`.

    Args:
        path: the file.
        descriptor: of the open file.
        num_bytes: as many as it had.
    """

    def __init__(self, path: Path, descriptor: int, num_bytes: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._num_bytes = num_bytes

    def __len__(self) -> int:
        """Bytes that the file had."""
        return self._num_bytes

    def read(self, at: int, count: int) -> bytes:
        """Read bytes, fewer at the end of the file.

        Raises:
            RecordingError: the file was truncated meanwhile, or cannot be read.
        """
        count = max(min(count, self._num_bytes - at), 0)
        data = self.read_left(at, count)
        if len(data) < count:
            raise self.truncated()
        return data

    def read_left(self, at: int, count: int) -> bytes:
        """Read bytes, fewer where a truncated file has fewer.

        Raises:
            RecordingError: the file cannot be read.
        """
        room = np.empty(max(min(count, self._num_bytes - at), 0), np.uint8)
        return room[: self.read_into(at, room)].tobytes()

    def read_into(self, at: int, room: UInt8[np.ndarray, " _"]) -> int:
        """Read bytes into memory; returns how many there were, fewer in a truncated file.

        Raises:
            RecordingError: the file cannot be read.
        """
        count, length = 0, min(len(room), self._num_bytes - at)
        try:
            while count < length and (num := self._read_once(at + count, room[count:length])):
                count += num
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return count

    def truncated(self) -> RecordingError:
        """The error of a file that has fewer bytes than before."""
        left = os.fstat(self._descriptor).st_size
        return RecordingError(
            f"{self._path} was truncated from {self._num_bytes} to {left} bytes while it was read. "
            "Is it still being written? The events before can be read."
        )

    def _read_once(self, at: int, room: UInt8[np.ndarray, " _"]) -> int:
        if sys.platform != "win32":
            return os.preadv(self._descriptor, [room.data], at)
        os.lseek(self._descriptor, at, os.SEEK_SET)
        data = os.read(self._descriptor, len(room))
        room[: len(data)] = np.frombuffer(data, np.uint8)
        return len(data)


def _unreadable(path: Path, error: OSError) -> RecordingError:
    reason = error.strerror or str(error)
    return RecordingError(f"cannot read {path}: {reason}. Check its name and permissions.")
