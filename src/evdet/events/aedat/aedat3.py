"""AEDAT 3.1 files of cAER and DV: packets of events of one kind and one source."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evdet.events.aedat.aedat2 import MAX_HEADER, content_of, split_header
from evdet.events.aedat.chips import size_of_chip
from evdet.events.aedat.reader import name_streams
from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import (
    AS_STATED,
    FileBytes,
    ForwardFile,
    OpenedBytes,
    OrderCount,
    ReadOptions,
    check_blocks,
    choose_stream,
)

__all__ = ["Aedat3File", "open_aedat3"]

_MAGIC = b"#!AER-DAT3.1"
_PACKET = struct.Struct("<hhiiiiii")
_POLARITY = 1
_NUM_TYPES = 64
_EVENT_BYTES = 8
_MAX_BLOCK = 1 << 17  # events


def open_aedat3(path: Path, options: ReadOptions = AS_STATED) -> "Aedat3File":
    """Open an AEDAT 3.1 file; reads its header and the heads of its packets.

    Args:
        path: the file.
        options: `stream` chooses one of several cameras, by its name or its number.

    Raises:
        StreamChoiceError: it has events of several cameras, and none is chosen.
        RecordingError: it cannot be read, is damaged, or has no events.

    Source:
        https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html
    """
    content = content_of(path)
    start = content.read(0, MAX_HEADER)
    if not start.startswith(_MAGIC):
        raise RecordingError(
            f"{path} is not an AEDAT 3.1 file: it starts with {start[:8]!r}, not with "
            f"{_MAGIC.decode()}"
        )
    lines, num_bytes = split_header(start)
    encoding = next((line[7:].strip() for line in lines if line.startswith("Format:")), "RAW")
    if encoding.upper() not in ("RAW", "0X00"):
        raise RecordingError(
            f"cannot read {path}: its packets are compressed ({encoding[:40]}; supported: RAW). "
            "Convert it to AEDAT4 with DV."
        )
    cameras = {
        match[1]: match[2].strip()
        for match in (re.match(r"Source (\d+): ?(.*)", line) for line in lines)
        if match
    }
    with content.opened() as opened:
        found = {str(packet.source) for packet in _packets(opened, num_bytes)}
    sources = sorted(found, key=int)
    if not sources:
        # Nothing that a stream could be chosen of; reading tells of damage.
        sources = list(cameras)[:1] or ["0"]
    names = name_streams([(source, [cameras.get(source, "")]) for source in sources])
    wanted = options.stream
    if wanted in sources and wanted not in names:
        wanted = names[sources.index(wanted)]
    source = sources[names.index(choose_stream(path, names, wanted))]
    size = size_of_chip(cameras.get(source, ""))
    return Aedat3File(path, size, int(source), num_bytes, content)


@dataclass
class Aedat3File(ForwardFile):
    """The events of one camera in an AEDAT 3.1 file; `open_aedat3` makes it.

    Args:
        path: the file.
        stated_size: the sensor's size, of the camera that the header names.
        source: the camera's number.
        num_header_bytes: offset of the packets.
        content: the file's bytes.
    """

    path: Path
    stated_size: SensorSize | None
    source: int
    num_header_bytes: int
    content: FileBytes

    format = "AEDAT 3.1"

    def _read(self) -> Iterator[Events]:
        size, name = self.stated_size, str(self.path)
        yield from check_blocks(self._decoded(), OrderCount(), name=name, size=size)

    def _decoded(self) -> Iterator[Events]:
        with self.content.opened() as content:
            for packet in _packets(content, self.num_header_bytes):
                if packet.source != self.source:
                    continue
                for first in range(0, packet.num_events, _MAX_BLOCK):
                    num = min(_MAX_BLOCK, packet.num_events - first)
                    data = content.read_left(
                        packet.first_byte + first * _EVENT_BYTES, num * _EVENT_BYTES
                    )
                    events = _decode(data, packet.overflow)
                    if len(events):
                        yield events
                    if len(data) < num * _EVENT_BYTES:
                        raise content.truncated()
            problem = _problem_after(content, self.num_header_bytes)
        if problem:
            raise RecordingError(f"{self.path}: {problem} The events before can be read.")


class _Packet(NamedTuple):
    """A packet of polarity events."""

    source: int
    first_byte: int
    num_events: int
    """Those that the file has."""
    overflow: int
    """Wraps of the clock of 31 bits."""


def _packets(content: OpenedBytes, at: int) -> Iterator[_Packet]:
    """The packets of polarity events up to the end or to damage."""
    for first_byte, head in _heads(content, at):
        if head[0] == _POLARITY:
            num_there = (len(content) - first_byte) // _EVENT_BYTES
            yield _Packet(head[1], first_byte, min(head[6], num_there), head[4])


def _heads(content: OpenedBytes, at: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """First byte of the events, and head, of every packet up to the end or to damage."""
    while at + _PACKET.size <= len(content):
        head = _PACKET.unpack(content.read(at, _PACKET.size))
        if _is_wrong(head):
            return
        at += _PACKET.size
        yield at, head
        # Files hold as many events as there are, whatever the capacity was in memory.
        at += head[2] * head[6]


def _is_wrong(head: tuple[int, ...]) -> bool:
    kind, source, num_bytes, offset, overflow, _, number, _ = head
    return (
        not 0 <= kind < _NUM_TYPES
        or source < 0
        or num_bytes < 1
        or not 0 <= offset <= num_bytes
        or overflow < 0
        or number < 0
        or (kind == _POLARITY and (num_bytes, offset) != (_EVENT_BYTES, 4))
    )


def _problem_after(content: OpenedBytes, at: int) -> str:
    """What is wrong behind the last whole packet; empty if nothing is."""
    for first_byte, head in _heads(content, at):
        at = first_byte + head[2] * head[6]
        if at > len(content):
            start = first_byte - _PACKET.size
            return f"the file is truncated in the packet at byte {start}. Copy it again."
    if at + _PACKET.size <= len(content):
        return f"at byte {at} there is no packet of AEDAT 3.1. The file is damaged: copy it again."
    if at < len(content):
        return f"the file is truncated in the head of a packet, at byte {at}. Copy it again."
    return ""


def _decode(data: bytes, overflow: int) -> Events:
    """The valid events of a part of a packet."""
    words = np.frombuffer(data, "<u4", len(data) // _EVENT_BYTES * 2).reshape(-1, 2)
    words = words[(words[:, 0] & 1) == 1]
    events = np.empty(len(words), EVENT_DTYPE)
    events["t"] = (words[:, 1].astype(np.int64) & 0x7FFFFFFF) + (overflow << 31)
    events["x"] = words[:, 0] >> 17
    events["y"] = words[:, 0] >> 2 & 0x7FFF
    events["p"] = words[:, 0] >> 1 & 1
    return events
