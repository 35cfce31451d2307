"""A file that is complete after every append, even after a failed one."""

from pathlib import Path

from evdet.atomic_file import replacing, write_error

__all__ = ["GrowingFile"]


class GrowingFile:
    """Appends to a file that is complete at any time, and after a crash.

    Args:
        path: the file; an existing one is replaced at once.
        head: the beginning of the file.
        tail: the end of the file; it moves with each append.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, head: bytes, tail: bytes = b"") -> None:
        self.path = path
        self._tail = tail
        self._end = len(head)
        # Unbuffered, so that readers see each append, and a full disk raises at once.
        with replacing(path) as part, part.open("wb", buffering=0) as self._file:
            self._write_at(0, head + tail)
        # Anew, under its name: on Windows a file that is open cannot be renamed.
        self._file = path.open("r+b", buffering=0)

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
            # The tail fits again: truncating has freed its space.
            self._file.truncate(self._end)
            self._write_at(self._end, self._tail)
            raise
        self._end += len(content)
        if head is not None:
            self._write_at(0, head)

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        self._file.close()

    def _write_at(self, offset: int, content: bytes) -> None:
        self._file.seek(offset)
        left = memoryview(content)
        while left:
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                raise write_error(self.path, error) from None
