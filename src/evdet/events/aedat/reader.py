"""AEDAT4 and ES files, read by faery in a separate process, which a damaged file can abort."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import (
    AS_STATED,
    ForwardFile,
    OrderCount,
    ReadOptions,
    check_blocks,
    choose_stream,
)

__all__ = ["ForeignEventFile", "name_streams", "open_aedat4", "open_es"]

_PROGRAM = Path(__file__).with_name("process.py")
_NAMES = {"aedat4": "AEDAT4", "es": "Event Stream (ES)"}
_MAX_TIME = 1 << 62


def open_aedat4(path: Path, options: ReadOptions = AS_STATED) -> "ForeignEventFile":
    """Open an AEDAT4 file; reads only its header.

    Args:
        path: the file.
        options: `stream` chooses one of several event streams, by its name or its id.

    Raises:
        StreamChoiceError: it has several event streams, and none is chosen.
        RecordingError: it is damaged or has no events, or faery is not installed.
    """
    return _open(path, "aedat4", options.stream)


def open_es(path: Path, options: ReadOptions = AS_STATED) -> "ForeignEventFile":
    """Open an Event Stream file (`.es`) of the type dvs or atis; reads only its header.

    Args:
        path: the file. y is delivered as stored; many programs that write ES count rows from the
            bottom, which turns the frames upside down. The format has no end mark, so truncation
            is not detected.
        options: what the file leaves open.

    Raises:
        RecordingError: it is damaged or has another event type, or faery is not installed.
    """
    return _open(path, "es", None)


def _open(path: Path, kind: str, wanted: str | None) -> "ForeignEventFile":
    if importlib.util.find_spec("faery") is None:
        remedy = "pip install 'evdet[aedat]'"
        if sys.platform == "darwin":  # where the extra leaves it out
            remedy = "pip install faery, which has wheels for macOS 26 and later"
        raise RecordingError(f"cannot read {path}: {_NAMES[kind]} files need faery ({remedy})")
    with _reading(path, kind) as (streams, _):
        names = name_streams([(stream.number, stream.names) for stream in streams])
        if wanted in (ids := [stream.number for stream in streams]) and wanted not in names:
            wanted = names[ids.index(wanted)]
        stream = streams[names.index(choose_stream(path, names, wanted))]
    return ForeignEventFile(path, kind, stream.size, stream.number)


def name_streams(streams: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Name streams by the first attribute that tells them apart; by their ids without one.

    Args:
        streams: of each stream its id, and its attributes.
    """
    ids = [number for number, _ in streams]
    for names in zip(*(attributes for _, attributes in streams), strict=True):
        is_like_an_id = any(name in ids and ids[i] != name for i, name in enumerate(names))
        if all(names) and len(set(names)) == len(names) and not is_like_an_id:
            return list(names)
    return ids


class _Stream(NamedTuple):
    """A stream of events in a file."""

    number: str
    names: tuple[str, ...]
    size: SensorSize


@dataclass
class ForeignEventFile(ForwardFile):
    """The events of a file that faery reads.

    Args:
        path: the file.
        kind: `aedat4` or `es`.
        stated_size: the sensor's size in the file's header.
        stream: the id of the stream of events.
    """

    path: Path
    kind: str
    stated_size: SensorSize | None
    stream: str

    @property
    def format(self) -> str:
        """AEDAT4 or Event Stream (ES)."""
        return _NAMES[self.kind]

    def _read(self) -> Iterator[Events]:
        with _reading(self.path, self.kind, self.stream) as (_, blocks):
            name, size = str(self.path), self.stated_size
            yield from check_blocks(blocks, OrderCount(), name=name, size=size)


@contextmanager
def _reading(
    path: Path, kind: str, stream: str | None = None
) -> Iterator[tuple[list[_Stream], Iterator[Events]]]:
    """A process that reads the file: its streams, and the events of one as they come."""
    command = [sys.executable, "-P", str(_PROGRAM), kind, str(path.resolve())]
    command += [] if stream is None else [stream]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # errors come as messages, panics as an exit status
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "RUST_BACKTRACE": "0"},
    )
    if process.stdout is None:
        raise RuntimeError("a process with a pipe has none")
    try:
        messages = _messages(process.stdout, process, f"{path}: faery, which reads {_NAMES[kind]}")
        streams = [
            _Stream(found["id"], tuple(found["names"]), SensorSize(found["height"], found["width"]))
            for found in json.loads(next(messages))
        ]
        yield streams, _blocks(messages, path)
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
                f"{path} is damaged: an event has the time {events['t'].max()} us. The events "
                "before it can be read."
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
            remedy = "Was the file copied completely? The events before the damage can be read."
        yield content


def _reason(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"
