"""Atomic file writing: to a hidden file in the same folder, then renamed."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["WriteError", "replacing", "write_bytes", "write_error", "write_text"]

_MAX_NAME = 50  # characters of the name in that of the temporary file: names have up to 255 bytes


class WriteError(OSError):
    """A file cannot be written; has `errno`, `strerror` and `filename`."""

    def __str__(self) -> str:
        """The message for a user."""
        return f"cannot write {self.filename}: {self.strerror}"


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
