"""Atomic writing of files and folders: under a hidden name, then renamed."""

import contextlib
import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = [
    "WriteError",
    "continued_folder",
    "filling_folder",
    "remove_leftovers",
    "replacing",
    "replacing_folder",
    "temporary_folder",
    "write_bytes",
    "write_error",
    "write_text",
]

_MAX_NAME = 50  # characters of the name in that of the temporary file: names have up to 255 bytes
_PART = re.compile(r"\.(.{1,50})\.[0-9a-f]{16}\.part", re.DOTALL)
_NUM_TRIES = 5


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

    The temporary file is in the same folder, empty at first, and named `.NAME.<16 digits>.part`, so
    that searches by ending do not find it; a library that derives the format from the ending must
    be given the format. It is renamed at the end of the block, and removed after an exception of
    any kind. After a kill it stays, until `remove_leftovers` removes it: while it is written, it is
    locked (flock), so that one in work is told from one that is left over.

    The permissions are those of any new file, as the umask says, also where a file is replaced.

    Args:
        path: the file; an existing one is replaced, and so is a link, but not its target.

    Yields:
        The temporary file's path, to be opened by name. A handle that is still open after the block
        remains valid.

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
    part = _part_of(path)
    try:
        lock = _new_file(part)
        try:
            yield part
            part.replace(path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            _release(lock)
    except OSError as error:
        if error.filename is not None and str(error.filename) != str(part):
            raise
        raise write_error(path, error) from error


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder completely or not at all; otherwise as `replacing`.

    Args:
        path: the folder; it must not exist, or be empty.

    Yields:
        A hidden folder beside it, which gets its name at the end of the block.

    Raises:
        WriteError: the folder, or a file in it, cannot be written.
    """
    with _folder_beside(path) as (part, place):
        yield part
        if place.is_dir() and any(place.iterdir()):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(part))
        _name_folder(part, place)


@contextlib.contextmanager
def continued_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder completely, in several attempts; otherwise as `replacing_folder`.

    What an attempt has written stays after an exception and after a kill: `.NAME.unfinished`, which
    the next attempt is given. The caller lets one process at a time in.

    Args:
        path: the folder; it must not exist, or be empty.

    Yields:
        The hidden folder beside it, with what earlier attempts wrote; it gets its name at the end
        of the block.

    Raises:
        WriteError: the folder, or a file in it, cannot be written.
    """
    place = Path(os.path.realpath(path))
    part = place.parent / f".{place.name}.unfinished"
    try:
        part.mkdir(parents=True, exist_ok=True)
        yield part
        if place.is_dir() and any(place.iterdir()):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(part))
        _name_folder(part, place)
        if part.is_dir():
            part.rmdir()
    except OSError as error:
        if not str(error.filename or part).startswith(str(part)):
            raise
        raise write_error(path, error) from error


@contextlib.contextmanager
def filling_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write files into a folder, all of them or none; otherwise as `replacing`.

    Args:
        path: the folder; if it exists, its files stay, and those of the same names are replaced.

    Yields:
        A hidden folder beside it, whose files are renamed at the end of the block.

    Raises:
        WriteError: a file cannot be written.
    """
    with _folder_beside(path) as (part, place):
        yield part
        _name_folder(part, place)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in the system's folder of temporary files, for the time of the block.

    Those of processes that were killed are removed.

    Yields:
        The folder, which this user alone can read.
    """
    place = Path(tempfile.gettempdir()) / "evdet"
    remove_leftovers([place])
    folder = _part_of(place)
    folder.mkdir(mode=0o700)
    lock = _locked(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _release(lock)


def remove_leftovers(
    paths: Iterable[str | os.PathLike[str]], *, folders: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Remove the temporary files and folders that killed processes left beside their targets.

    Those in work stay, and so do links, hard links, files of other users, and everything on file
    systems that cannot lock.

    Args:
        paths: files and folders that are about to be written.
        folders: folders in which temporary files of any target are removed.
    """
    wanted: dict[str, set[str]] = {}
    for path in paths:
        for place in {os.path.abspath(path), os.path.realpath(path)}:
            parent, name = os.path.split(place)
            wanted.setdefault(parent, set()).add(name[:_MAX_NAME])
    everything = {os.path.abspath(folder) for folder in folders}
    for folder in wanted.keys() | everything:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            match = _PART.fullmatch(name)
            if match and (folder in everything or match[1] in wanted[folder]):
                with contextlib.suppress(OSError):
                    _remove_dead(os.path.join(folder, name))


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


def _part_of(path: Path) -> Path:
    # Unpredictable, so that in a shared folder nothing can be placed under this name.
    return path.parent / f".{path.name[:_MAX_NAME]}.{os.urandom(8).hex()}.part"


def _new_file(part: Path) -> int | None:
    """Make an empty file under a name that is free; returns what holds its lock."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    for _ in range(_NUM_TRIES):
        file = os.open(part, flags, 0o666)
        if sys.platform == "win32":
            break  # a file that is open cannot be renamed there
        with contextlib.suppress(OSError):  # the file system has no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return file
        os.close(file)  # another process took it for a leftover before it was locked
    else:
        raise WriteError(errno.EAGAIN, os.strerror(errno.EAGAIN), os.fspath(part))
    os.close(file)
    return None


def _locked(folder: Path) -> int | None:
    if sys.platform == "win32":
        return None
    lock = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


@contextlib.contextmanager
def _folder_beside(path: str | os.PathLike[str]) -> Iterator[tuple[Path, Path]]:
    """A hidden folder, and the place beside it; errors name the folder as the user did."""
    place = Path(os.path.realpath(path))  # a link to a folder is followed
    part = _part_of(place)
    try:
        part.mkdir(parents=True)
        lock = _locked(part)
        try:
            yield part, place
        finally:
            shutil.rmtree(part, ignore_errors=True)
            _release(lock)
    except OSError as error:
        if not str(error.filename or part).startswith(str(part)):
            raise
        raise write_error(path, error) from error


def _name_folder(part: Path, place: Path) -> None:
    """Give a complete folder its name, or move its files into the folder of that name."""
    is_there = place.is_dir()
    # A shell's current folder is filled: replaced, it would be another one.
    if not is_there or not place.samefile(Path.cwd()):
        try:
            part.rename(place)
        except OSError:
            if not is_there:
                raise
        else:
            return  # there was none, or an empty one
    for entry in sorted(part.iterdir()):
        entry.replace(place / entry.name)


def _remove_dead(path: str) -> None:
    """Remove a temporary file or folder, unless a process holds its lock."""
    if sys.platform == "win32":
        return
    before = os.lstat(path)
    is_folder = stat.S_ISDIR(before.st_mode)
    is_file = stat.S_ISREG(before.st_mode) and before.st_nlink == 1
    if not (is_folder or is_file) or before.st_uid != os.geteuid():
        return
    lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.lstat(path)):
            if is_folder:
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
    finally:
        os.close(lock)
