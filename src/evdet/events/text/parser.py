"""Lines of text -> events, compiled: whole numbers or decimals, without rounding to floats."""

import typing

import numpy as np
from jaxtyping import Int64, UInt8

from evdet.compiled import kernel
from evdet.events.dtypes import EVENT_DTYPE, Events
from evdet.events.text.dialect import Dialect

__all__ = ["PROBLEMS", "parse_lines"]

PROBLEMS = {
    1: "it has fewer columns than the lines above",
    2: "one of its columns is not a number",
    3: "x or y is not a whole number from 0 to 65535",
    4: "the polarity is not 0, 1, -1, true, false, on or off (write others, such as 1 and 2, as 0 "
    "and 1 first)",
    5: "the time is out of range; --time-unit chooses its unit",
    6: "the time is a decimal, where most of the first times are whole numbers; --time-unit "
    "chooses the unit",
    7: "it has more columns than the lines above",
}
"""Problems of a line, by the key that `parse_lines` returns."""

_MAX_TIME = 10**17  # microseconds: the year 5138
_MAX_MANTISSA = 10**17  # one more digit still fits into 64 bits
_TOO_LARGE = np.int64(1 << 62)
_NEWLINE, _COMMENT, _PERCENT, _MINUS, _PLUS = 10, 35, 37, 45, 43
_TAB, _RETURN, _SPACE, _QUOTE, _APOSTROPHE = 9, 13, 32, 34, 39

_PLAIN = Dialect()

Bytes = UInt8[np.ndarray, " N"]
Roles = Int64[np.ndarray, " C"]


def parse_lines(
    data: bytes, roles: Roles, *, power: int, is_whole: bool, dialect: Dialect = _PLAIN
) -> tuple[Events, int, int, int]:
    """Events of complete lines, up to the first invalid one.

    Args:
        data: the lines; empty ones and those that start with # or % are skipped.
        roles: the role of each column: 0 t, 1 x, 2 y, 3 p, or -1 to skip it.
        power: the unit of t is 10 ** power microseconds.
        is_whole: treat a time with a fraction as damage.
        dialect: how the lines are cut.

    Returns:
        The events; the problem (a key of `PROBLEMS`, or 0); the number of lines before it; and
        the first byte of its line.
    """
    events = np.empty(data.count(b"\n") + 1, EVENT_DTYPE)
    marks = dialect.separator, dialect.decimal
    found = _parse(np.frombuffer(data, np.uint8), roles, power, is_whole, marks, events)
    num_events, problem, line, at = found
    return events[:num_events], problem, line, at


@kernel
@typing.no_type_check
def _parse(
    data: Bytes,
    roles: Roles,
    power: int,
    is_whole: bool,
    marks: tuple[int, int],
    events: Events,
) -> tuple[int, int, int, int]:
    at, line, num_events, end = 0, 0, 0, len(data)
    while at < end:
        start = at
        at = _skip_blanks(data, at, _SPACE)
        if at < end and data[at] not in (_NEWLINE, _COMMENT, _PERCENT):
            # An empty first field is one, where tabs separate.
            at = start if marks[0] == _TAB else at
            problem = _parse_line(data, at, roles, power, is_whole, marks, events[num_events])
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
    data: Bytes,
    at: int,
    roles: Roles,
    power: int,
    is_whole: bool,
    marks: tuple[int, int],
    event: np.void,
) -> int:
    end = len(data)
    separator, decimal = marks
    for column in range(len(roles)):
        if column:
            at = _skip_separator(data, at, separator)
        role = roles[column]
        if at >= end or data[at] == _NEWLINE:
            if role < 0 and column and data[at - 1] == separator:
                continue  # an empty field after the last separator
            return 1
        if role < 0:
            at = _skip_field(data, at, separator)
            continue
        quote = data[at] if data[at] in (_QUOTE, _APOSTROPHE) else 0
        if quote:
            at = _skip_blanks(data, at + 1, separator)
        # Where commas separate, they start a fraction only in quotes.
        point = decimal if quote or decimal != separator else 46
        at, mantissa, exponent = _number(data, at, point, role == 3)
        if at >= 0 and quote:
            at = _skip_blanks(data, at, separator)
            at = at + 1 if at < end and data[at] == quote else -1
        if at < 0 or (at < end and not _ends_field(data[at], separator)):
            return 2
        if role == 0:
            t = _scaled(mantissa, exponent + power, False)
            if abs(t) > _MAX_TIME:
                return 5
            if is_whole and _has_fraction(mantissa, exponent):
                return 6
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
    at = _skip_blanks(data, at, separator)
    while separator != _SPACE and at < end and data[at] == separator:
        at = _skip_blanks(data, at + 1, separator)
    return 0 if at >= end or data[at] == _NEWLINE else 7


@kernel
@typing.no_type_check
def _number(data: Bytes, at: int, decimal: int, is_polarity: bool) -> tuple[int, int, int]:
    """End of a number (-1: not a number), its digits and its power of ten."""
    end = len(data)
    is_negative = at < end and data[at] == _MINUS
    if at < end and (data[at] == _MINUS or data[at] == _PLUS):
        at += 1
    mantissa, exponent, num_digits, has_point = np.int64(0), np.int64(0), 0, False
    while at < end:
        digit = np.int64(data[at]) - 48
        if data[at] == decimal and not has_point:
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
        if not is_polarity or has_point or is_negative:
            return -1, 0, 0
        boolean, length = _boolean(data, at)
        return (at + length if length else -1), boolean, 0
    if at < end and (data[at] == 101 or data[at] == 69):
        at += 1
        sign = -1 if at < end and data[at] == _MINUS else 1
        if at < end and (data[at] == _MINUS or data[at] == _PLUS):
            at += 1
        if at >= end or not 48 <= data[at] <= 57:
            return -1, 0, 0
        shift = np.int64(0)
        while at < end and 48 <= data[at] <= 57:
            shift = min(shift * 10 + data[at] - 48, 10_000)
            at += 1
        exponent += sign * shift
    return at, -mantissa if is_negative else mantissa, exponent


@kernel
@typing.no_type_check
def _boolean(data: Bytes, at: int) -> tuple[int, int]:
    """The value of a word, and its length; 0 where it is not one."""
    for boolean, word in ((1, b"true"), (0, b"false"), (1, b"on"), (0, b"off")):
        if at + len(word) <= len(data):
            is_same = True
            for k in range(len(word)):
                is_same &= (data[at + k] | 32) == word[k]
            if is_same:
                return boolean, len(word)
    return 0, 0


@kernel
@typing.no_type_check
def _has_fraction(mantissa: int, exponent: int) -> bool:
    value = abs(mantissa)
    while exponent < 0 and value > 0:
        if value % 10:
            return True
        value //= 10
        exponent += 1
    return False


@kernel
@typing.no_type_check
def _scaled(mantissa: int, exponent: int, must_be_whole: bool) -> int:
    """Mantissa * 10 ** exponent, rounded half away from zero; out of range if not possible."""
    value = abs(mantissa)
    while exponent > 0 and value > 0:
        if value > _MAX_MANTISSA:
            return _TOO_LARGE
        value *= 10
        exponent -= 1
    last = np.int64(0)
    while exponent < 0 and (value > 0 or last > 0):
        last = value % 10
        if must_be_whole and last:
            return _TOO_LARGE
        value //= 10
        exponent += 1
    if last >= 5:
        value += 1
    return -value if mantissa < 0 else value


@kernel
@typing.no_type_check
def _skip_blanks(data: Bytes, at: int, separator: int) -> int:
    while at < len(data) and _is_blank(data[at], separator):
        at += 1
    return at


@kernel
@typing.no_type_check
def _skip_separator(data: Bytes, at: int, separator: int) -> int:
    """Skip blanks and at most one separator."""
    at = _skip_blanks(data, at, separator)
    if separator != _SPACE and at < len(data) and data[at] == separator:
        at = _skip_blanks(data, at + 1, separator)
    return at


@kernel
@typing.no_type_check
def _skip_field(data: Bytes, at: int, separator: int) -> int:
    """Skip a field that does not count, up to its separator; blanks may be in it."""
    quote = 0
    while at < len(data) and data[at] != _NEWLINE:
        if quote:
            quote = 0 if data[at] == quote else quote
        elif data[at] == _QUOTE:
            quote = data[at]
        elif data[at] == separator or (separator == _SPACE and _is_blank(data[at], separator)):
            return at
        at += 1
    return at


@kernel
@typing.no_type_check
def _is_blank(byte: int, separator: int) -> bool:
    return byte in (_SPACE, _RETURN) or (byte == _TAB and separator != _TAB)


@kernel
@typing.no_type_check
def _ends_field(byte: int, separator: int) -> bool:
    return byte in (separator, _NEWLINE) or _is_blank(byte, separator)
