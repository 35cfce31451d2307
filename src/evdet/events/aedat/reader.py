"""AEDAT4 and ES files, read by faery in a process of its own, which a damaged file may end."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.slicing import BlockSummary, OrderCount, check_blocks, summarize_blocks

__all__ = ["ForeignEventFile", "open_aedat4", "open_es"]

_PROGRAM = Path(__file__).with_name("process.py")
_NAMES = {"aedat4": "AEDAT4", "es": "Event Stream (ES)"}
_MAX_TIME = 1 << 62


def open_aedat4(path: Path) -> "ForeignEventFile":
    """Open an AEDAT4 file; its header alone is read.

    Args:
        path: the file. Of several event streams the first is taken.

    Returns:
        The file. It cannot be searched: every reading starts at its beginning.

    Raises:
        RecordingError: it is damaged or has no events, or faery is not installed.
    """
    return _open(path, "aedat4")


def open_es(path: Path) -> "ForeignEventFile":
    """Open an Event Stream file (`.es`) of the type dvs or atis; its header alone is read.

    Args:
        path: the file. y is delivered as it is stored; many programs that write ES count rows
            from the bottom, and such pictures are upside down.

    Returns:
        The file. It cannot be searched: every reading starts at its beginning. The format has
        no end mark, so a file that was cut looks like a shorter one.

    Raises:
        RecordingError: it is damaged or of another type, or faery is not installed.
    """
    return _open(path, "es")


def _open(path: Path, kind: str) -> "ForeignEventFile":
    if importlib.util.find_spec("faery") is None:
        raise RecordingError(
            f"{path}: {_NAMES[kind]} files are read with faery, which is not installed. "
            "Run: pip install faery"
        )
    with _reading(path, kind) as (size, _):
        return ForeignEventFile(path, kind, size)


@dataclass
class ForeignEventFile:
    """The events of a file that faery reads, as a stream.

    Args:
        path: the file.
        kind: `aedat4` or `es`.
        stated_size: what the file says.
    """

    path: Path
    kind: str
    stated_size: SensorSize | None
    _summary: BlockSummary | None = None

    @property
    def format(self) -> str:
        """AEDAT4 or Event Stream (ES)."""
        return _NAMES[self.kind]

    @property
    def num_events(self) -> int:
        """Events that can be read; asking reads the file once."""
        return self._read_summary().num_events

    @property
    def start(self) -> int | None:
        """Time of the earliest event, in microseconds; asking reads the file once."""
        return self._read_summary().start

    @property
    def end(self) -> int | None:
        """Time of the latest event, in microseconds; asking reads the file once."""
        return self._read_summary().end

    @property
    def time_origin(self) -> int | None:
        """The same as `start`."""
        return self.start

    @property
    def num_dropped(self) -> int:
        """No event is dropped."""
        return 0

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in the order of the file, in blocks of bounded size.

        Args:
            since: makes no difference: the file is read from its beginning.

        Returns:
            The blocks.

        Raises:
            RecordingError: the file is damaged; all that faery gave before has been delivered.
        """
        with _reading(self.path, self.kind) as (size, blocks):
            yield from check_blocks(blocks, OrderCount(), name=str(self.path), size=size)

    def _read_summary(self) -> BlockSummary:
        if self._summary is None:
            self._summary = summarize_blocks(self.blocks())
        return self._summary


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[tuple[SensorSize, Iterator[Events]]]:
    """A process that reads the file: its sensor's size, and its events as they come."""
    command = [sys.executable, "-P", str(_PROGRAM), kind, str(path.resolve())]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # its complaints come as a message, its panics as their end
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "RUST_BACKTRACE": "0"},
    )
    if process.stdout is None:
        raise RuntimeError("a process with a pipe has none")
    try:
        messages = _messages(process.stdout, process, f"{path}: faery, which reads {_NAMES[kind]}")
        header = json.loads(next(messages))
        yield SensorSize(header["height"], header["width"]), _blocks(messages, path)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _blocks(messages: Iterator[bytearray], path: Path) -> Iterator[Events]:
    for message in messages:
        events = np.frombuffer(message, EVENT_DTYPE)
        if not len(events):
            continue
        if int(events["t"].min()) < 0 or int(events["t"].max()) >= _MAX_TIME:
            raise RecordingError(
                f"{path}: an event's time would be {events['t'].max()} us: the file is damaged "
                "there. What lies before can be used."
            )
        yield events


def _messages(
    output: IO[bytes], process: "subprocess.Popen[bytes]", who: str
) -> Iterator[bytearray]:
    """The contents of the header and of the blocks, up to the end or the damage."""
    remedy = "Was the file copied completely, and is it an event recording?"
    while True:
        head = output.read(9)
        letter, length = head[:1], int.from_bytes(head[1:], "little")
        content = bytearray(output.read(length) if len(head) == 9 else b"")
        if len(head) < 9 or len(content) < length:
            reason = _reason(process.wait())
            raise RecordingError(f"{who}, ended on damaged bytes ({reason}). {remedy}")
        if letter == b"E":
            text = content.decode("utf-8", "replace").strip().rstrip(".")
            raise RecordingError(f"{who}, says: {text}. {remedy}")
        if letter == b"Z":
            return
        if letter == b"B":
            remedy = "Was the file copied completely? What lies before the damage can be used."
        yield content


def _reason(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"
