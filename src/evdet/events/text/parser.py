"""Lines of text -> events, compiled: whole numbers or decimals, without rounding to floats."""

import typing

import numpy as np
from jaxtyping import Int64, UInt8

from evdet.compiled import kernel
from evdet.events.dtypes import EVENT_DTYPE, Events

__all__ = ["PROBLEMS", "parse_lines"]

PROBLEMS = {
    1: "it has fewer columns than the lines above",
    2: "one of its columns is not a number",
    3: "x or y is not a whole number from 0 to 65535",
    4: "the polarity is not 0, 1, -1, true or false",
    5: "the time is out of range: whole numbers are microseconds and decimals are seconds, "
    "unless a header names the column t_ns, t_us, t_ms or t_s",
    6: "the time is a decimal, where the first time of the file is a whole number, and so in "
    "microseconds",
    7: "it has more columns than the lines above",
}
"""Problems of a line, by the key that `parse_lines` returns."""

_MAX_TIME = 10**17  # microseconds: the year 5138
_MAX_MANTISSA = 10**17  # one more digit still fits into 64 bits
_NEWLINE, _COMMENT, _MINUS, _PLUS, _POINT = 10, 35, 45, 43, 46

Bytes = UInt8[np.ndarray, " N"]
Roles = Int64[np.ndarray, " C"]


def parse_lines(
    data: bytes, roles: Roles, *, power: int, is_whole: bool
) -> tuple[Events, int, int, int]:
    """Events of complete lines, up to the first invalid one.

    Args:
        data: the lines; empty ones and those that start with # are skipped.
        roles: the role of each column: 0 t, 1 x, 2 y, 3 p, or -1 to skip it.
        power: the unit of t is 10 ** power microseconds.
        is_whole: treat a time with decimals as damage.

    Returns:
        The events; the problem (a key of `PROBLEMS`, or 0); the number of lines before it; and
        the first byte of its line.
    """
    events = np.empty(data.count(b"\n") + 1, EVENT_DTYPE)
    found = _parse(np.frombuffer(data, np.uint8), roles, power, is_whole, events)
    num_events, problem, line, at = found
    return events[:num_events], problem, line, at


@kernel
@typing.no_type_check
def _parse(
    data: Bytes, roles: Roles, power: int, is_whole: bool, events: Events
) -> tuple[int, int, int, int]:
    at, line, num_events, end = 0, 0, 0, len(data)
    while at < end:
        start = at
        at = _skip_blanks(data, at)
        if at < end and data[at] != _NEWLINE and data[at] != _COMMENT:
            problem = _parse_line(data, at, roles, power, is_whole, events[num_events])
            if problem:
                return num_events, problem, line, start
            num_events += 1
        while at < end and data[at] != _NEWLINE:
            at += 1
        at += 1
        line += 1
    return num_events, 0, line, at


@kernel
@typing.no_type_check
def _parse_line(
    data: Bytes, at: int, roles: Roles, power: int, is_whole: bool, event: np.void
) -> int:
    end = len(data)
    for column in range(len(roles)):
        if column:
            at = _skip_separator(data, at)
        if at >= end or data[at] == _NEWLINE:
            return 1
        role = roles[column]
        if role < 0:
            while at < end and not _is_separator(data[at]):
                at += 1
            continue
        at, mantissa, exponent, has_point = _number(data, at)
        if at < 0 or (at < end and not _is_separator(data[at])):
            return 2
        if role == 0:
            if is_whole and has_point:
                return 6
            t = _scaled(mantissa, exponent + power, False)
            if abs(t) > _MAX_TIME:
                return 5
            event.t = t
        else:
            value = _scaled(mantissa, exponent, True)
            if role == 3:
                if value < -1 or value > 1:
                    return 4
                event.p = value > 0
            else:
                if value < 0 or value > 0xFFFF:
                    return 3
                if role == 1:
                    event.x = value
                else:
                    event.y = value
    at = _skip_blanks(data, at)
    return 0 if at >= end or data[at] == _NEWLINE else 7


@kernel
@typing.no_type_check
def _number(data: Bytes, at: int) -> tuple[int, int, int, bool]:
    """End of a number (-1: not a number), its digits, power of ten, and whether it has a point."""
    end = len(data)
    is_negative = at < end and data[at] == _MINUS
    if at < end and (data[at] == _MINUS or data[at] == _PLUS):
        at += 1
    mantissa, exponent, num_digits, has_point = np.int64(0), np.int64(0), 0, False
    while at < end:
        digit = np.int64(data[at]) - 48
        if data[at] == _POINT and not has_point:
            has_point = True
        elif 0 <= digit <= 9:
            num_digits += 1
            if mantissa < _MAX_MANTISSA:
                mantissa = mantissa * 10 + digit
                exponent -= has_point
            else:
                exponent += not has_point  # the digit is dropped, its power is not
        else:
            break
        at += 1
    if not num_digits:
        boolean = _boolean(data, at) if not has_point and not is_negative else -1
        if boolean < 0:
            return -1, 0, 0, False
        return at + 5 - boolean, boolean, 0, False
    if at < end and (data[at] == 101 or data[at] == 69):
        at += 1
        has_point = True
        sign = -1 if at < end and data[at] == _MINUS else 1
        if at < end and (data[at] == _MINUS or data[at] == _PLUS):
            at += 1
        if at >= end or not 48 <= data[at] <= 57:
            return -1, 0, 0, False
        shift = np.int64(0)
        while at < end and 48 <= data[at] <= 57:
            shift = min(shift * 10 + data[at] - 48, 10_000)
            at += 1
        exponent += sign * shift
    return at, -mantissa if is_negative else mantissa, exponent, has_point


@kernel
@typing.no_type_check
def _boolean(data: Bytes, at: int) -> int:
    """1 at the word true, 0 at false, otherwise -1."""
    for boolean, word in ((1, b"true"), (0, b"false")):
        if at + len(word) <= len(data):
            is_same = True
            for k in range(len(word)):
                is_same &= (data[at + k] | 32) == word[k]
            if is_same:
                return boolean
    return -1


@kernel
@typing.no_type_check
def _scaled(mantissa: int, exponent: int, must_be_whole: bool) -> int:
    """Mantissa * 10 ** exponent, rounded half away from zero; out of range if not possible."""
    too_large = np.int64(1) << 62
    value = abs(mantissa)
    while exponent > 0 and value > 0:
        if value > _MAX_MANTISSA:
            return too_large
        value *= 10
        exponent -= 1
    last = np.int64(0)
    while exponent < 0 and (value > 0 or last > 0):
        last = value % 10
        if must_be_whole and last:
            return too_large
        value //= 10
        exponent += 1
    if last >= 5:
        value += 1
    return -value if mantissa < 0 else value


@kernel
@typing.no_type_check
def _skip_blanks(data: Bytes, at: int) -> int:
    while at < len(data) and (data[at] == 32 or data[at] == 9 or data[at] == 13):
        at += 1
    return at


@kernel
@typing.no_type_check
def _skip_separator(data: Bytes, at: int) -> int:
    """Skip blanks and at most one comma or semicolon."""
    at = _skip_blanks(data, at)
    if at < len(data) and (data[at] == 44 or data[at] == 59):
        at = _skip_blanks(data, at + 1)
    return at


@kernel
@typing.no_type_check
def _is_separator(byte: int) -> bool:
    return byte == 32 or byte == 9 or byte == 13 or byte == 10 or byte == 44 or byte == 59
