"""The header of a DAT file: lines that begin with %, and two bytes about the records."""

from pathlib import Path
from typing import NamedTuple

from evdet.events.dtypes import RecordingError, SensorSize

__all__ = ["MAX_DAT_HEADER", "MAX_DAT_SIDE", "DatHeader", "make_header", "parse_header"]

MAX_DAT_HEADER = 1 << 16
"""Bytes; a longer header is treated as damage."""
MAX_DAT_SIDE = 1 << 14
"""A record has 14 bits for x and for y."""

_RECORD_BYTES = 8
_CD_EVENT = 12
_CD_TYPES = (0, _CD_EVENT)
_EXT_TRIGGER = 14


class DatHeader(NamedTuple):
    """The header's content."""

    size: SensorSize | None
    """The sensor's size, if stated."""
    num_bytes: int
    """Offset of the records."""


def make_header(size: SensorSize) -> bytes:
    """The header of a file of this sensor size."""
    text = (
        "% Data file of change detection (CD) events.\n"
        f"% Version 2\n% Width {size.width}\n% Height {size.height}\n"
    )
    return text.encode("ascii") + bytes([_CD_EVENT, _RECORD_BYTES])


def parse_header(path: Path, start: bytes) -> DatHeader:
    """Read a header.

    Args:
        path: the file, for messages.
        start: its first `MAX_DAT_HEADER` bytes, or fewer.

    Raises:
        RecordingError: it is not a DAT file of change events.
    """
    if not start:
        raise RecordingError(f"{path} is empty: copy or record it again")
    if not start.startswith(b"%"):
        raise RecordingError(
            f"{path} is not a DAT file: it starts with {start[:1]!r}, not with a header of % "
            "lines. Is the extension wrong?"
        )
    fields: dict[str, str] = {}
    at = 0
    while start[at : at + 1] == b"%" and "end" not in fields:
        stop = start.find(b"\n", at)
        if stop < 0:
            raise RecordingError(
                f"{path}: the header line at byte {at} does not end within the first "
                f"{len(start)} bytes. The file is truncated or damaged: copy it again."
            )
        key, _, value = start[at + 1 : stop].decode("ascii", "replace").strip().partition(" ")
        fields[key.lower()] = value.strip()
        at = stop + 1
    if len(start) < at + 2:
        raise RecordingError(
            f"{path} has no events: it ends with its header, at byte {len(start)}. "
            "Copy or record it again."
        )
    _check_kind(path, fields, start[at], start[at + 1], at)
    return DatHeader(_stated_size(path, fields), at + 2)


def _check_kind(
    path: Path, fields: dict[str, str], event_type: int, num_bytes: int, at: int
) -> None:
    version = fields.get("version", "2")
    if version != "2":
        raise RecordingError(
            f"cannot read {path}: DAT version {version!r} (supported: 2). Convert the file with "
            "the camera maker's tools."
        )
    if event_type == _EXT_TRIGGER:
        raise RecordingError(
            f"cannot read {path}: it holds external triggers (type {event_type}), and no change "
            "events. Name the DAT file of the events; of a RAW file both are read."
        )
    if event_type not in _CD_TYPES or num_bytes != _RECORD_BYTES:
        raise RecordingError(
            f"cannot read {path}: its header (byte {at}) states events of type {event_type} with "
            f"{num_bytes} bytes each; change events have type 0 or {_CD_EVENT} and "
            f"{_RECORD_BYTES} bytes. Does it hold triggers, or is the header damaged?"
        )


def _stated_size(path: Path, fields: dict[str, str]) -> SensorSize | None:
    sides = [fields.get("height"), fields.get("width")]
    if sides == [None, None]:
        return None
    numbers = [int(side) if side and side.isdecimal() and len(side) < 6 else 0 for side in sides]
    if not all(1 <= number <= MAX_DAT_SIDE for number in numbers):
        raise RecordingError(
            f"{path}: the header states the height {sides[0]} and the width {sides[1]}; both must "
            f"be numbers from 1 to {MAX_DAT_SIDE}. Correct its Height and Width lines, or remove "
            "both and give the sensor size."
        )
    return SensorSize(*numbers)
