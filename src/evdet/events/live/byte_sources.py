"""The bytes of a live source: a pipe, or a file that grows."""

import io
import os
import threading
import time
from pathlib import Path
from typing import Protocol, runtime_checkable

from evdet.events.dtypes import RecordingError

__all__ = ["BinaryStream", "ByteSource", "FollowedFile", "Pipe"]

BinaryStream = io.RawIOBase | io.BufferedIOBase
"""Files, pipes and sockets, opened to read bytes."""

_CHUNK_BYTES = 1 << 16
_POLL = 0.01  # seconds between two reads of a growing file


@runtime_checkable
class ByteSource(Protocol):
    """Bytes, as they come."""

    def read(self) -> bytes:
        """Wait for the next bytes.

        Returns:
            At least one; none at the end.

        Raises:
            RecordingError: the source was removed, replaced or truncated.
        """

    def stop(self) -> None:
        """End a `read` that waits in another thread, where that is possible."""

    def close(self) -> None:
        """Close what was opened."""


class Pipe:
    """Standard input, or any binary stream; a `ByteSource`.

    Args:
        stream: the stream; None is standard input.
        name: for messages.
        closes: whether `close` closes the stream.
    """

    def __init__(self, stream: BinaryStream | None, name: str, *, closes: bool = False) -> None:
        self._stream = stream
        self._name = name
        self._closes = closes

    def read(self) -> bytes:
        """Wait for the next bytes."""
        try:
            if self._stream is None:
                # Not sys.stdin: a waiting thread would hold its lock when Python ends.
                return os.read(0, _CHUNK_BYTES)
            if isinstance(self._stream, io.BufferedIOBase):
                return self._stream.read1(_CHUNK_BYTES)  # `read` would wait for all of them
            return self._stream.read(_CHUNK_BYTES) or b""
        except (OSError, ValueError) as error:
            raise RecordingError(f"cannot read {self._name} any further: {error}") from error

    def stop(self) -> None:
        """No effect: the read ends with the next bytes."""

    def close(self) -> None:
        """Close the stream, if `closes`."""
        if self._closes and self._stream is not None:
            self._stream.close()


class FollowedFile:
    """A file that grows; a `ByteSource`.

    Args:
        path: the file.
        idle_timeout: seconds without new bytes after which the source ends; None waits forever.

    Raises:
        RecordingError: the file cannot be opened.
    """

    def __init__(self, path: Path, *, idle_timeout: float | int | None = None) -> None:
        self._path = path
        self._idle_timeout = idle_timeout
        self._is_stopped = threading.Event()
        self._num_read = 0
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise RecordingError(
                f"cannot read {path}: {error.strerror} (is the name right?)"
            ) from None

    def read(self) -> bytes:
        """Wait for the next bytes."""
        since = time.monotonic()
        try:
            while not self._is_stopped.is_set():
                data = self._file.read(_CHUNK_BYTES)
                if data:
                    self._num_read += len(data)
                    return data
                self._check()
                idle = time.monotonic() - since
                if self._idle_timeout is not None and idle >= self._idle_timeout:
                    break
                self._is_stopped.wait(_POLL)
        except (OSError, ValueError) as error:
            raise RecordingError(f"cannot read {self._path} any further: {error}") from error
        return b""

    def stop(self) -> None:
        """End a `read` that waits."""
        self._is_stopped.set()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self) -> None:
        """Check that the path still names the open file, and that it was not truncated."""
        try:
            named = self._path.stat()
        except FileNotFoundError:
            raise RecordingError(
                f"{self._path} was removed or renamed while it was read, after "
                f"{self._num_read} bytes"
            ) from None
        opened = os.fstat(self._file.fileno())
        if not os.path.samestat(named, opened):
            raise RecordingError(
                f"{self._path} was replaced by another file while it was read, after "
                f"{self._num_read} bytes: follow the new file from its beginning"
            )
        if opened.st_size < self._num_read:
            raise RecordingError(
                f"{self._path} was truncated from {self._num_read} to {opened.st_size} bytes "
                "while it was read: follow it from its beginning"
            )
