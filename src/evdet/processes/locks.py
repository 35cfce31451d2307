"""Locks of files and folders that end with their process, however it ends."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

from evdet.atomic_file import write_error

if sys.platform != "win32":
    import fcntl

__all__ = ["BusyError", "held", "only_writer"]


class BusyError(OSError):
    """Another process writes the same file or folder; the message is one line."""


@contextlib.contextmanager
def held(folder: str | os.PathLike[str]) -> Iterator[bool]:
    """Hold a folder, so that no second process changes it; the end of the process frees it.

    Yields:
        Whether it is held: False while another process holds it. True also where the file system
        cannot tell.
    """
    lock, is_free = None, True
    if sys.platform != "win32":
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_free = False
        except OSError:
            pass  # the file system has no locks
    try:
        yield is_free
    finally:
        if lock is not None:
            os.close(lock)


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
            # Not `flock`: forked children, as of a DataLoader, would hold it, too.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise
    return True
