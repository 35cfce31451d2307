"""Where the bytes of a live source come from: a pipe, or a file that somebody is writing."""

import io
import os
import threading
import time
from pathlib import Path
from typing import Protocol, runtime_checkable

from evdet.events.dtypes import RecordingError

__all__ = ["BinaryStream", "ByteSource", "FollowedFile", "Pipe"]

BinaryStream = io.RawIOBase | io.BufferedIOBase
"""What files, pipes and sockets are, opened to read bytes."""

_CHUNK_BYTES = 1 << 16
_POLL = 0.01  # seconds from one look at a growing file to the next


@runtime_checkable
class ByteSource(Protocol):
    """Bytes, as they come."""

    def read(self) -> bytes:
        """Wait for the next bytes.

        Returns:
            At least one; none at the end.

        Raises:
            RecordingError: the source is not what it was any more.
        """

    def stop(self) -> None:
        """Let a `read` that waits in another thread come to an end, if that can be done."""

    def close(self) -> None:
        """Give back what was opened; nobody reads any more."""


class Pipe:
    """Standard input, or any binary stream; a `ByteSource`.

    Args:
        stream: the stream; None is standard input.
        name: for messages.
        closes: close the stream in the end.
    """

    def __init__(self, stream: BinaryStream | None, name: str, *, closes: bool = False) -> None:
        self._stream = stream
        self._name = name
        self._closes = closes

    def read(self) -> bytes:
        """Wait for the next bytes, and take what there is."""
        try:
            if self._stream is None:
                # Not sys.stdin: its lock would be held by a thread that waits when Python ends.
                return os.read(0, _CHUNK_BYTES)
            if isinstance(self._stream, io.BufferedIOBase):
                return self._stream.read1(_CHUNK_BYTES)  # `read` would wait until all have come
            return self._stream.read(_CHUNK_BYTES) or b""
        except (OSError, ValueError) as error:
            raise RecordingError(f"{self._name} cannot be read any more: {error}.") from error

    def stop(self) -> None:
        """Nothing can be done: it ends with its next bytes."""

    def close(self) -> None:
        """Close the stream, if that was asked for."""
        if self._closes and self._stream is not None:
            self._stream.close()


class FollowedFile:
    """A file that grows; a `ByteSource`.

    Args:
        path: the file.
        idle_timeout: end when nothing was added for so many seconds; None waits for ever.

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
                f"{path} cannot be read: {error.strerror}. Is the name right?"
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
            raise RecordingError(f"{self._path} cannot be read any more: {error}.") from error
        return b""

    def stop(self) -> None:
        """End a `read` that waits."""
        self._is_stopped.set()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self) -> None:
        """Make sure that the name still stands for the file that is open, and that it is whole."""
        try:
            named = self._path.stat()
        except FileNotFoundError:
            raise RecordingError(
                f"{self._path} has been removed or renamed while it was read, after "
                f"{self._num_read} bytes. What came before has been played."
            ) from None
        opened = os.fstat(self._file.fileno())
        if not os.path.samestat(named, opened):
            raise RecordingError(
                f"{self._path} has been replaced by another file while it was read, after "
                f"{self._num_read} bytes. Follow the new one from its beginning."
            )
        if opened.st_size < self._num_read:
            raise RecordingError(
                f"{self._path} has been truncated from {self._num_read} to {opened.st_size} bytes "
                "while it was read: it is being written anew. Follow it from its beginning."
            )
