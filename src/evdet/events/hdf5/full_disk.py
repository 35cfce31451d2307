"""Writing HDF5 where writing can fail, as on a full disk.

HDF5 does not survive a write that fails: it ends the whole process when the file is closed, or when
the process ends, and so does an exception that passes through it, such as that of Ctrl-C. So HDF5
writes to an `HDF5Sink`, which never fails, in a thread, where no signal is handled. The failure is
raised outside of HDF5.
"""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import h5py

__all__ = ["HDF5Sink", "RunHDF5", "written_hdf5"]

T = TypeVar("T")


@runtime_checkable
class RunHDF5(Protocol):
    """Runs a function that calls HDF5, and raises what failed."""

    def __call__(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result of the function."""


class HDF5Sink(io.RawIOBase):
    """A file that HDF5 writes through; from the first failure on it takes all and keeps nothing.

    Args:
        file: a binary file, opened to read and write, without a buffer.
    """

    def __init__(self, file: Any) -> None:
        super().__init__()
        self.failure: BaseException | None = None
        """Why the file could not be written."""
        self._file = file
        self._at = 0
        self._num_bytes = 0

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte, or to the end."""
        self._at = offset + (self._num_bytes if whence == io.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        """The current byte."""
        return self._at

    def write(self, data: Any) -> int:
        """Write all of it."""
        rest = memoryview(data).cast("B")
        length = len(rest)

        def write_all() -> None:
            at = 0
            self._file.seek(self._at)
            while at < length:
                at += self._file.write(rest[at:]) or 0

        self._try(write_all)
        self._at += length
        self._num_bytes = max(self._num_bytes, self._at)
        return length

    def readinto(self, buffer: Any) -> int:
        """Read back; zeros where nothing was kept."""
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))

        def read_all() -> None:
            at, num = 0, 1
            self._file.seek(self._at)
            while at < len(view) and num:
                num = self._file.readinto(view[at:]) or 0
                at += num

        self._try(read_all)
        self._at += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file."""
        size = self._at if size is None else size
        self._try(lambda: self._file.truncate(size))
        self._num_bytes = size
        return size

    def _try(self, act: Callable[[], object]) -> None:
        if self.failure is None:
            try:
                act()
            except BaseException as error:  # none may pass through HDF5
                self.failure = error


@contextmanager
def written_hdf5(path: Path) -> Iterator[tuple[Any, RunHDF5]]:
    """Open an HDF5 file to write.

    Args:
        path: an existing file, which is overwritten.

    Yields:
        The `h5py.File`, and a function that runs another one in the file's thread. Only functions
        that it runs may use the file.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("r+b", buffering=0) as raw, ThreadPoolExecutor(1) as thread:
        sink = HDF5Sink(raw)

        def run(function: Callable[..., T], *arguments: Any) -> T:
            try:
                result = thread.submit(function, *arguments).result()
            except Exception as error:
                raise sink.failure or error from None
            if sink.failure is not None:
                raise sink.failure
            return result

        file = run(lambda: h5py.File(sink, "w"))
        try:
            yield file, run
        except BaseException:
            thread.submit(file.close).result()
            raise
        run(file.close)
