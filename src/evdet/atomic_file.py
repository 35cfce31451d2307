"""Atomic file writing: to a hidden file in the same folder, then renamed; by one process alone."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "BusyError",
    "WriteError",
    "only_writer",
    "replacing",
    "write_bytes",
    "write_error",
    "write_text",
]

_MAX_NAME = 50  # characters of the name in that of the temporary file: names have up to 255 bytes


class WriteError(OSError):
    """A file cannot be written; has `errno`, `strerror` and `filename`."""

    def __str__(self) -> str:
        """The message for a user."""
        return f"cannot write {self.filename}: {self.strerror}"


class BusyError(OSError):
    """Another process writes the same file or folder; the message is one line."""


def write_error(path: str | os.PathLike[str], error: OSError) -> WriteError:
    """The error to raise for a system error that does not name the user's file.

    Args:
        path: the file as the user named it.
        error: of the system, or of a library that reports the system's `errno`.
    """
    if error.errno is not None and error.errno in errno.errorcode:
        # Not `error.strerror`: HDF5 puts addresses and the temporary file's name there.
        return WriteError(error.errno, os.strerror(error.errno), os.fspath(path))
    return WriteError(error.errno, error.strerror or str(error), os.fspath(path))


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file completely or not at all: readers find the old file or the new one.

    The temporary file is in the same folder, empty at first, with the permissions of a new file.
    It ends in `.part`, so that searches by ending do not find it; a library that derives the
    format from the ending must be given the format. It is renamed at the end of the block, and
    removed after an exception. A handle that is still open then remains valid.

    Args:
        path: the file; an existing one is replaced, and so is a link, but not its target.

    Yields:
        The temporary file's path, to be opened by name.

    Raises:
        WriteError: the file cannot be written. An error that names another file, such as one
            that is read meanwhile, is not changed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with replacing(Path(folder) / "x.csv") as part:
        ...         _ = part.write_text("t,x,y")
        ...     [file.name for file in Path(folder).iterdir()]
        ['x.csv']
    """
    path = Path(path)
    # Unpredictable, so that in a shared folder nothing can be placed under this name.
    part = path.parent / f".{path.name[:_MAX_NAME]}.{os.urandom(8).hex()}.part"
    try:
        part.open("xb").close()  # x: not an existing file, and not through a link
        try:
            yield part
            part.replace(path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        if error.filename is not None and str(error.filename) != str(part):
            raise
        raise write_error(path, error) from error


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file as `Path.write_bytes` does, but completely or not at all.

    Args:
        path: the file; a link is followed, and a device or pipe is written to.
        content: of the whole file.

    Raises:
        WriteError: the file cannot be written.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        try:
            Path(path).write_bytes(content)
        except OSError as error:
            raise write_error(path, error) from error
        return
    with replacing(os.path.realpath(path) if os.path.islink(path) else path) as part:
        part.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    r"""Write a text file in UTF-8; otherwise as `write_bytes`.

    Args:
        path: the file.
        text: of the whole file; line ends are kept. Bytes of file names that are no text become
            escapes such as \udce9.

    Raises:
        WriteError: the file cannot be written.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


@contextlib.contextmanager
def only_writer(lock: str | os.PathLike[str], *, busy: str) -> Iterator[None]:
    """Be the only process that writes something, as long as the block lasts.

    The lock is the system's and ends with this process, however it ends; processes that it starts
    do not have it. The file is removed at the end of the block, and one that a killed process has
    left does not lock. A file system without locks has none.

    Args:
        lock: a hidden file for this purpose alone, whose folder exists.
        busy: the message where another process has the lock.

    Raises:
        BusyError: another process has the lock.
        WriteError: the file cannot be made.
    """
    while True:
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise write_error(lock, error) from error
        try:
            if not _try_lock(file):
                raise BusyError(busy)
            # The process before may have removed the file since it was opened.
            if os.path.exists(lock) and os.path.samestat(os.fstat(file), os.stat(lock)):
                break
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    try:
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(file)
        with contextlib.suppress(OSError):
            os.unlink(lock)
        if sys.platform != "win32":
            os.close(file)


def _try_lock(file: int) -> bool:
    """Lock an open file; False where another process has."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            # Not `flock`: forked children, as of a DataLoader, would hold it, too.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise
    return True
