"""The value of white in an image file, and its pixels in 8 bits.

Cameras of 10, 12 or 14 bits write files of 16 bits. The value of white stands in some files; in
others it is judged from the pixels.
"""

import logging
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8

__all__ = ["Pixels", "judge_white", "to_bytes", "white_of_depth", "white_stated_in"]

_LOG = logging.getLogger(__name__)

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits of cameras."""
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF_BITS, _TIFF_MAX_VALUE, _TIFF_MAX_OF_TYPE = 258, 281, 341
"""Tags BitsPerSample, MaxSampleValue, SMaxSampleValue."""


class Pixels(NamedTuple):
    """A decoded image."""

    values: Shaped[np.ndarray, "h w *_"]
    """Of 8 or 16 bits: grey, or blue, green, red, and opacity if present."""
    stated_white: int | None
    """The value of white that its file states."""


def white_of_depth(bit_depth: int) -> int:
    """The value of white of a bit depth.

    Raises:
        ValueError: not from 8 to 16.
    """
    if not 8 <= bit_depth <= 16:
        raise ValueError(f"the bit depth must be from 8 to 16, got {bit_depth}")
    return (1 << bit_depth) - 1


def white_stated_in(
    data: UInt8[np.ndarray, " N"], values: Shaped[np.ndarray, "h w *_"]
) -> int | None:
    """Find the value of white that a file states.

    Args:
        data: the file.
        values: its pixels, as OpenCV decodes them.

    Returns:
        The value; None if the file does not state it.

    Source:
        PGM and PPM: maxval, https://netpbm.sourceforge.net/doc/pgm.html. PNG: the chunk sBIT,
        https://www.w3.org/TR/png-3/#11sBIT. TIFF 6.0: BitsPerSample, MaxSampleValue and
        SMaxSampleValue.
    """
    head = data[:65536].tobytes()
    if re.match(rb"P[2356]\s", head):
        return _of_pnm(head)
    if values.dtype != np.uint16:
        return None
    if head.startswith(_PNG):
        return _of_png(head, values)
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _of_tiff(data.tobytes())
    return None


def judge_white(images: Iterable[Pixels], path: Path) -> int:
    """Choose one value of white for all 16-bit images of a source.

    Args:
        images: some of them, at least one.
        path: the source, for the warning.

    Returns:
        The highest value that a file states, otherwise that of the smallest usual depth that holds
        all values; a warning names it where the values do not decide.
    """
    stated, highest = set[int | None](), 0
    for image in images:
        stated.add(image.stated_white)
        highest = max(highest, int(_colors(image.values).max(initial=0)))
    known = {white for white in stated if white is not None}
    if known:
        white = max(known)
        if len(stated) > 1:
            _LOG.warning(
                "%s: its images state different values of white, %s: all are scaled by %d. "
                "--bit-depth (bit_depth) sets another",
                path, ", ".join("none" if one is None else str(one) for one in stated), white,
            )  # fmt: skip
        return white
    depth = next(depth for depth in _DEPTHS if highest < 2**depth)
    if not highest or depth == _DEPTHS[-1]:
        return white_of_depth(_DEPTHS[-1])
    _LOG.warning(
        "%s: its images of 16 bits have values up to %d, so they are taken for %d bits: white is "
        "%d. If they are dark images of another camera, --bit-depth (bit_depth) sets its bits",
        path, highest, depth, white_of_depth(depth),
    )  # fmt: skip
    return white_of_depth(depth)


def to_bytes(values: Shaped[np.ndarray, "h w *_"], white: int) -> UInt8[np.ndarray, "h w *_"]:
    """Scale pixels so that `white` becomes 255; higher values become white, too."""
    if values.dtype == np.uint8 and white == 255:
        return values
    wide = values.astype(np.uint32)
    is_depth = white >= 255 and white & (white + 1) == 0  # of whole bits: the upper 8 are kept
    scaled = wide * 256 // (white + 1) if is_depth else (wide * 255 + white // 2) // white
    return np.minimum(scaled, 255).astype(np.uint8)


def _colors(values: Shaped[np.ndarray, "h w *_"]) -> Shaped[np.ndarray, "h w *_"]:
    """The pixels without opacity, which may use all 16 bits."""
    return values[..., :3] if values.ndim == 3 else values


def _of_pnm(head: bytes) -> int | None:
    """The third number of the header; comments may stand between them."""
    text = re.sub(rb"#[^\n\r]*", b"", head[2:4096])
    numbers = re.match(rb"\s*(\d+)\s+(\d+)\s+(\d{1,5})\s", text)
    white = int(numbers.group(3)) if numbers else 0
    # Libraries write 65535 for any image of 16 bits.
    return white if 0 < white < 65535 else None


def _of_png(head: bytes, values: Shaped[np.ndarray, "h w *_"]) -> int | None:
    """The significant bits. By the standard values are scaled up to 16 bits; some tools do not."""
    place = len(_PNG)
    while place + 8 <= len(head):
        length, kind = struct.unpack(">I4s", head[place : place + 8])
        if kind in (b"IDAT", b"PLTE"):
            return None
        if kind == b"sBIT":
            bits = max(head[place + 8 : place + 8 + min(length, 3)], default=16)
            is_plain = 8 <= bits < 16 and int(_colors(values).max(initial=0)) < 2**bits
            if is_plain and not _are_scaled_up(_colors(values), bits):
                return white_of_depth(bits)
            return white_of_depth(16)
        place += 12 + length
    return None


def _are_scaled_up(values: Shaped[np.ndarray, "h w *_"], bits: int) -> bool:
    """Whether values of some bits fill the upper bits, with zeros or a repetition below."""
    upper = values >> (16 - bits)
    shifted = upper << (16 - bits)
    repeated = shifted | (upper >> (2 * bits - 16))
    return bool((values == shifted).all() or (values == repeated).all())


def _of_tiff(data: bytes) -> int | None:
    """What the tags of the first image say."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (place,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, place)
        tags = {}
        for index in range(count):
            tag, kind, number = struct.unpack_from(f"{order}HHI", data, place + 2 + 12 * index)
            at = place + 2 + 12 * index + 8
            if kind == 3:  # 16 bits; more than two stand elsewhere
                at = struct.unpack_from(f"{order}I", data, at)[0] if number > 2 else at
                tags[tag] = struct.unpack_from(f"{order}H", data, at)[0]
            elif kind == 4:
                tags[tag] = struct.unpack_from(f"{order}I", data, at)[0]
    except struct.error:
        return None
    if 8 < tags.get(_TIFF_BITS, 16) < 16:
        return white_of_depth(16)  # OpenCV has moved them to the upper bits
    white = int(tags.get(_TIFF_MAX_VALUE, tags.get(_TIFF_MAX_OF_TYPE, 0)))
    # Others are statistics of the image: its brightest pixel.
    return white if white in {2**depth - 1 for depth in _DEPTHS} else None
