"""The end of standard output: a reader that has seen enough, as `head`, and a full disk."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from evdet.atomic_file import write_error

__all__ = ["Nowhere", "OutputClosedError", "errors_of_output", "finished_output"]


class OutputClosedError(BaseException):
    """Nothing reads what is printed any more; no `except Exception` catches it."""


class Nowhere(io.TextIOBase):
    """The output of a process that was started without one, as after `>&-`."""

    def write(self, text: str) -> int:
        """Write nothing; returns the length, as streams do."""
        return len(text)


@contextlib.contextmanager
def errors_of_output() -> Iterator[None]:
    """Name the errors of printing in the block.

    Raises:
        OutputClosedError: the reader has ended, as `head` does.
        WriteError: the output cannot be written, for example to a full disk.
    """
    try:
        yield
    except BrokenPipeError as error:
        _discard_output()
        raise OutputClosedError from error
    except OSError as error:
        if error.filename is not None:
            raise  # of a file
        _discard_output()
        raise write_error("standard output", error) from error


@contextlib.contextmanager
def finished_output() -> Iterator[None]:
    """Write out what is printed by the end of the block, however it ends.

    Raises:
        OutputClosedError, WriteError: as of `errors_of_output`.
    """
    try:
        yield
    finally:
        if not sys.stdout.closed:
            sys.stdout.flush()


def _discard_output() -> None:
    """Let what is still in the buffers go nowhere: Python would try again at its end."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
            os.close(nowhere)
