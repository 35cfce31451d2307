"""A file that is complete after every append, and after one that fails."""

import contextlib
from pathlib import Path

from evdet.atomic_file import replacing, write_error

__all__ = ["GrowingFile"]


class GrowingFile:
    """Writes so that whoever opens the file at any time, or after a crash, finds it complete.

    Args:
        path: the file; an older one is replaced at once, and stays whole for whoever has it open.
        head: what it begins with.
        tail: what closes it; it moves back with everything that is appended.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, head: bytes, tail: bytes = b"") -> None:
        self.path = path
        self._tail = tail
        self._end = len(head)
        with contextlib.ExitStack() as on_failure:
            with replacing(path) as part:
                # Unbuffered: what is appended is there for readers, and a full disk is noticed
                # at once.
                self._file = on_failure.enter_context(part.open("wb", buffering=0))
                self._write_at(0, head + tail)
            on_failure.pop_all()

    def append(self, content: bytes, *, head: bytes | None = None) -> None:
        """Add to the end.

        Args:
            content: what comes before the tail.
            head: replaces the beginning, with as many bytes.

        Raises:
            OSError: the disk is full; the file is as it was before.
        """
        try:
            self._write_at(self._end, content + self._tail)
        except BaseException:
            # What was there fits again: its place was freed just now.
            self._file.truncate(self._end)
            self._write_at(self._end, self._tail)
            raise
        self._end += len(content)
        if head is not None:
            self._write_at(0, head)

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        self._file.close()

    def _write_at(self, place: int, content: bytes) -> None:
        self._file.seek(place)
        left = memoryview(content)
        while left:
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                raise write_error(self.path, error) from None
