"""The header of a RAW file: encoding, sensor size, and offset of the words."""

from pathlib import Path
from typing import NamedTuple

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.raw.state import COORDINATE_BITS, EvtFormat

__all__ = [
    "MAX_EVT_HEADER",
    "EvtHeader",
    "decoded_size",
    "parse_evt_header",
    "read_header",
    "read_start",
]

MAX_EVT_HEADER = 1 << 16
"""Bytes; a longer header is treated as damage."""

_EVT2 = EvtFormat("EVT2", 4)
_EVT21 = EvtFormat("EVT2.1", 8)
_EVT21_LEGACY = EvtFormat("EVT2.1", 8, halves_swapped=True)
_EVT3 = EvtFormat("EVT3", 2)

# Both spellings: `% evt 2.1` and `% format EVT21;height=...`.
_ENCODINGS = {"2": _EVT2, "2.0": _EVT2, "2.1": _EVT21, "21": _EVT21, "3": _EVT3, "3.0": _EVT3}

# Sensors whose files may lack a line of geometry.
_SIZE_OF_SYSTEM = {
    "21": SensorSize(480, 640),
    "48": SensorSize(720, 1280),
    "49": SensorSize(720, 1280),
}


class EvtHeader(NamedTuple):
    """The header's content."""

    encoding: EvtFormat
    size: SensorSize | None
    """The sensor's size, stated or known from the system id."""
    num_bytes: int
    """Length of the header, the offset of the words."""


def decoded_size(stated: SensorSize | None, asked: SensorSize | None) -> SensorSize | None:
    """The size within which words are decoded; None for the format's largest.

    A decoder drops rows beyond the sensor. It keeps those of a stated sensor that is larger than
    the asked one, so that the caller sees events that the asked size excludes.

    Args:
        stated: the sensor's size in the header.
        asked: the size that the caller gives, which may be larger than the format's.
    """
    if asked is None:
        return stated
    height, width = (max(sides) for sides in zip(stated or asked, asked, strict=True))
    return SensorSize(height, width) if max(height, width) <= 1 << COORDINATE_BITS else None


def read_header(path: Path) -> EvtHeader:
    """Read only the header of a RAW file.

    Raises:
        RecordingError: it is missing, truncated, or names an unsupported format.
    """
    return parse_evt_header(path, read_start(path))


def read_start(path: Path) -> bytes:
    """Read the first `MAX_EVT_HEADER` bytes of a file, or fewer.

    Raises:
        RecordingError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_EVT_HEADER)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordingError(f"cannot read {path}: {reason}") from error


def parse_evt_header(path: Path, start: bytes) -> EvtHeader:
    """Parse the header of a RAW file.

    Args:
        path: the file, for messages.
        start: its first `MAX_EVT_HEADER` bytes, or fewer.

    Raises:
        RecordingError: it is missing, truncated, or names an unsupported format.
    """
    lines, num_bytes = _split_header(path, start)
    # Keys differ in case between cameras.
    values = {
        key.lower(): value.strip() for key, _, value in (line.partition(" ") for line in lines)
    }
    format_name, *option_list = [part.strip() for part in values.get("format", "").split(";")]
    options = dict(option.partition("=")[::2] for option in option_list)
    encoding = _find_encoding(path, format_name, values.get("evt", ""))
    endianness = options.get("endianness", values.get("endianness", "little")).lower()
    if endianness == "legacy" and encoding is _EVT21:
        encoding = _EVT21_LEGACY
    elif endianness not in ("little", "legacy"):
        raise RecordingError(
            f"cannot read {path}: unsupported endianness {endianness!r} in its header (supported: "
            "little, legacy)"
        )
    return EvtHeader(encoding, _find_size(path, values, options), num_bytes)


def _split_header(path: Path, start: bytes) -> tuple[list[str], int]:
    """The header's lines without their percent signs, and its length in bytes."""
    lines: list[str] = []
    offset = 0
    # The words, too, may begin with "% ". Without a line `% end` the header ends before the first
    # line that is not text.
    text_offset, num_text_lines, is_text = 0, 0, True
    while start[offset : offset + 2] == b"% ":
        line, newline, _ = start[offset:].partition(b"\n")
        content = line[2:].decode("utf-8", errors="replace").strip()
        offset += len(line) + len(newline)
        if content == "end":
            return lines, offset
        if not newline:
            break
        lines.append(content)
        is_text = is_text and _is_text(content)
        if is_text:
            text_offset, num_text_lines = offset, len(lines)
    if not num_text_lines:
        raise RecordingError(
            f"{path} is not a RAW file: it does not start with lines such as '% evt 3.0'. "
            "Is the extension wrong? If only the header is missing, name the words: --format evt2, "
            "evt2.1 or evt3, with --sensor-size WxH."
        )
    rest = start[text_offset:].decode("utf-8", errors="replace")
    is_whole_file = len(start) < MAX_EVT_HEADER
    if is_whole_file and rest.startswith("%") and _is_text(rest):
        raise RecordingError(
            f"{path} is truncated in its header, at byte {len(start)}. Copy it again."
        )
    return lines[:num_text_lines], text_offset


def _is_text(content: str) -> bool:
    return "\ufffd" not in content and content.replace("\t", " ").isprintable()


def _find_encoding(path: Path, format_name: str, version: str) -> EvtFormat:
    if not format_name and not version:
        raise RecordingError(
            f"cannot read {path}: its header names no format. If you know which of EVT2, EVT2.1 "
            "and EVT3 it is, put a line such as '% evt 2.0' before the others."
        )
    by_name = _ENCODINGS.get(format_name.upper().removeprefix("EVT"))
    by_version = _ENCODINGS.get(version)
    if (format_name and by_name is None) or (version and by_version is None):
        named = format_name if format_name and by_name is None else f"EVT {version}"
        raise RecordingError(
            f"cannot read {path}: unsupported RAW format {named[:40]!r} (supported: EVT2, EVT2.1, "
            "EVT3). Convert it with the camera maker's tools."
        )
    found = by_name or by_version
    if found is None or (by_name and by_version and by_name is not by_version):
        raise RecordingError(
            f"{path}: its header names two formats, {format_name[:40]!r} and 'evt {version[:40]}'. "
            "Remove the wrong line."
        )
    return found


def _find_size(path: Path, values: dict[str, str], options: dict[str, str]) -> SensorSize | None:
    stated = values.get("geometry", "")
    if "width" in options or "height" in options:
        stated = f"{options.get('width', '')}x{options.get('height', '')}"
    if not stated:
        return _SIZE_OF_SYSTEM.get(values.get("system_id", ""))
    width, _, height = stated.partition("x")
    largest = 1 << COORDINATE_BITS
    if not (_is_number(width) and _is_number(height)) or not (
        0 < int(width) <= largest and 0 < int(height) <= largest
    ):
        raise RecordingError(
            f"{path}: its header states the geometry {stated!r}, not a width and height from 1 to "
            f"{largest} such as 1280x720. Correct the line."
        )
    return SensorSize(int(height), int(width))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6
