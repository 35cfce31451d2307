"""AEDAT 2 files of jAER and cAER: big-endian pairs of an address and a time.

What the bits of an address mean depends on the camera, which the header names. Times are a clock of
32 bits in microseconds, whose wraps are undone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt32

from evdet.events.aedat.chips import size_of_chip
from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import (
    AS_STATED,
    FileBytes,
    ForwardFile,
    OrderCount,
    ReadOptions,
    check_blocks,
)

__all__ = ["MAX_HEADER", "Aedat2File", "content_of", "open_aedat2", "split_header"]

MAX_HEADER = 1 << 20
"""Bytes within which a header ends."""

_BLOCK = 1 << 16  # records
_RECORD_BYTES = 8
_TURN = 1 << 32
_DVS128 = "dvs128"
_DAVIS = "davis"
# Bits of addresses.
_DVS128_EXTERNAL = 1 << 15
_DAVIS_SAMPLE = 1 << 31  # of a picture, or of the inertial sensor
_DAVIS_EXTERNAL = 1 << 10
_DAVIS_UNUSED = (1 << 10) - 1
_REMEDY = (
    "If it is a camera of the DVS128 or the DAVIS family, say so with --format aedat2-dvs128 or "
    "--format aedat2-davis."
)


def open_aedat2(path: Path, options: ReadOptions = AS_STATED) -> "Aedat2File":
    """Open an AEDAT 2 file of a DVS128 or a DAVIS; reads only its header and first events.

    x and y are delivered as jAER stores them; it counts rows from the bottom.

    Args:
        path: the file.
        options: the format aedat2-dvs128 or aedat2-davis says how addresses are laid out, where
            the header does not.

    Raises:
        RecordingError: it cannot be read, or is of an unknown camera.

    Source:
        https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html
    """
    content = content_of(path)
    start = content.read(0, MAX_HEADER)
    if not start.startswith(b"#!AER-DAT2"):
        raise RecordingError(
            f"{path} is not an AEDAT 2 file: it starts with {start[:8]!r}, not with #!AER-DAT2.0"
        )
    lines, num_bytes = split_header(start)
    chip = _named(lines, "AEChip").rpartition(".")[2]
    hardware = _named(lines, "HardwareInterface")
    size = size_of_chip(chip) or size_of_chip(hardware)
    asked = (options.format or "").partition("-")[2]
    layout = asked
    if not layout:
        sample = _words(content.read(num_bytes, _BLOCK * _RECORD_BYTES))
        layout = _layout_of(path, chip, hardware, sample)
    if layout == _DVS128:
        size = SensorSize(128, 128)
    return Aedat2File(path, size, layout, num_bytes, content)


@dataclass
class Aedat2File(ForwardFile):
    """The events of an AEDAT 2 file; `open_aedat2` makes it.

    Args:
        path: the file.
        stated_size: the sensor's size, of the camera that the header names.
        layout: `dvs128` or `davis`.
        num_header_bytes: offset of the records.
        content: the file's bytes.
    """

    path: Path
    stated_size: SensorSize | None
    layout: str
    num_header_bytes: int
    content: FileBytes

    format = "AEDAT 2"

    @property
    def incomplete_end(self) -> str:
        """Says that the file ends within a record; empty if it does not."""
        num_bytes = max(len(self.content) - self.num_header_bytes, 0)
        num_spare = num_bytes % _RECORD_BYTES
        if not num_spare:
            return ""
        at = self.num_header_bytes + num_bytes - num_spare
        return f"{self.path} ends within a record, at byte {at}, after {num_spare} of its 8 bytes."

    def _read(self) -> Iterator[Events]:
        size, name = self.stated_size, str(self.path)
        yield from check_blocks(self._decoded(), OrderCount(), name=name, size=size)

    def _decoded(self) -> Iterator[Events]:
        content = self.content
        decode = _decode_dvs128 if self.layout == _DVS128 else _decode_davis
        clock = _Clock(0, None)
        with content.opened() as opened:
            for at in range(self.num_header_bytes, len(content), _BLOCK * _RECORD_BYTES):
                wanted = min(_BLOCK * _RECORD_BYTES, len(content) - at)
                data = opened.read_left(at, wanted)
                if len(data) >= _RECORD_BYTES:
                    records = _words(data)
                    times, clock = _unwrap(records[:, 1], clock)
                    events = decode(records[:, 0], times)
                    if len(events):
                        yield events
                if len(data) < wanted:
                    raise opened.truncated()


def content_of(path: Path) -> FileBytes:
    """The bytes of a file.

    Raises:
        RecordingError: it cannot be read, or is empty.
    """
    content = FileBytes(path)
    if not len(content):
        raise RecordingError(f"cannot read {path}: it is empty")
    return content


def split_header(start: bytes) -> tuple[list[str], int]:
    """The lines that begin with #, without it, and their length in bytes.

    The first event can begin with this byte, too, but its line is hardly text.

    Args:
        start: the first `MAX_HEADER` bytes of a file, or all of fewer.
    """
    lines: list[str] = []
    at = 0
    while start[at : at + 1] == b"#":
        stop = start.find(b"\n", at)
        line = start[at : stop if stop >= 0 else len(start)].rstrip(b"\r")
        if stop < 0 or any(byte < 0x20 and byte != 0x09 for byte in line):
            break
        lines.append(line[1:].decode("utf-8", errors="replace"))
        at = stop + 1
        if re.match(r"!?end.of.ascii.header|!end-header", lines[-1].strip(), re.IGNORECASE):
            break
    return lines, at


class _Clock(NamedTuple):
    """Where a clock of 32 bits stands."""

    base: int
    """The time of its last wrap, in microseconds."""
    last: int | None
    """Its last value."""


def _named(lines: list[str], key: str) -> str:
    """The value of the header's first line of that key."""
    found = (re.match(rf"\s*{key}:\s*(.*)", line) for line in lines)
    return next((match[1].strip() for match in found if match), "")


def _layout_of(path: Path, chip: str, hardware: str, records: UInt32[np.ndarray, "_ 2"]) -> str:
    """How addresses are laid out: by the camera, or without one by the addresses."""
    for name in (chip, hardware):
        plain = name.lower()
        if plain.startswith(("dvs128", "tmpdiff128")):
            return _DVS128
        if re.match(r"davis ?(\d|fx)", plain) and not (name == hardware and chip):
            return _DAVIS
    if chip:
        raise RecordingError(
            f"cannot read {path}: AEDAT 2 of the chip {chip[:40]!r} (supported: DVS128, DAVIS128, "
            f"DAVIS208, DAVIS240, DAVIS346, DAVIS640). {_REMEDY}"
        )
    addresses = records[:, 0]
    if not len(addresses) or (addresses < _DVS128_EXTERNAL << 1).all():
        return _DVS128
    events = addresses[addresses < _DAVIS_SAMPLE]
    if not (events & _DAVIS_UNUSED).any():
        return _DAVIS
    raise RecordingError(
        f"cannot read {path}: its header names no camera (AEChip), and its addresses are neither "
        f"of a DVS128 nor of a DAVIS. {_REMEDY}"
    )


def _words(data: bytes) -> UInt32[np.ndarray, "_ 2"]:
    """Addresses and times of whole records, as they are stored."""
    words = np.frombuffer(data, ">u4", len(data) // _RECORD_BYTES * 2)
    return words.reshape(-1, 2).astype(np.uint32)


def _unwrap(
    bits: UInt32[np.ndarray, " _"], clock: _Clock
) -> tuple[Int64[np.ndarray, " _"], _Clock]:
    """Times without wraps: a fall by half a turn is one, and a rise by half a step back over it."""
    values = bits.astype(np.int64)
    steps = np.diff(values, prepend=values[0] if clock.last is None else clock.last)
    turns = np.where(steps < -_TURN // 2, 1, np.where(steps > _TURN // 2, -1, 0))
    if clock.last is None or clock.base == 0:
        # Nothing lies before the first turn: a late start does not step back.
        turns = _without_early_falls(turns)
    bases = clock.base + _TURN * np.cumsum(turns)
    return values + bases, _Clock(int(bases[-1]), int(values[-1]))


def _without_early_falls(turns: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    if (np.cumsum(turns) >= 0).all():
        return turns
    kept, total = turns.copy(), 0
    for i in np.flatnonzero(turns):
        kept[i] = max(int(turns[i]), -total)
        total += int(kept[i])
    return kept


def _decode_dvs128(addresses: UInt32[np.ndarray, " _"], times: Int64[np.ndarray, " _"]) -> Events:
    is_event = (addresses & _DVS128_EXTERNAL) == 0
    addresses = addresses[is_event]
    events = np.empty(len(addresses), EVENT_DTYPE)
    events["t"] = times[is_event]
    # jAER mirrors the columns of this camera, and its ON events have a 0.
    events["x"] = 127 - (addresses >> 1 & 127)
    events["y"] = addresses >> 8 & 127
    events["p"] = 1 - (addresses & 1)
    return events


def _decode_davis(addresses: UInt32[np.ndarray, " _"], times: Int64[np.ndarray, " _"]) -> Events:
    is_event = (addresses & (_DAVIS_SAMPLE | _DAVIS_EXTERNAL)) == 0
    addresses = addresses[is_event]
    events = np.empty(len(addresses), EVENT_DTYPE)
    events["t"] = times[is_event]
    events["x"] = addresses >> 12 & 1023
    events["y"] = addresses >> 22 & 511
    events["p"] = addresses >> 11 & 1
    return events
