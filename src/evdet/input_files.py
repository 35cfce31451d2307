"""Files that are read: regular ones, since reading a pipe or a device may never end."""

import os
import stat
from pathlib import Path

__all__ = ["SpecialFileError", "check_is_file"]

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class SpecialFileError(ValueError):
    """A pipe, a socket or a device was given where a file is read."""


def check_is_file(path: str | os.PathLike[str]) -> None:
    """Refuse what exists and is neither a regular file nor a folder.

    Raises:
        SpecialFileError: it is a named pipe, a socket or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # opening it says why
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        raise SpecialFileError(
            f"cannot read {Path(path)}: it is {kind}, not a file. Save its bytes to a file first"
            " (evdet detect also reads a stream: from a named pipe or, as -, standard input)."
        )
