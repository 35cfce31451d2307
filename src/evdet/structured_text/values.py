"""YAML and JSON of users and of other programs: plain values, of bounded size and depth."""

import json
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "MAX_JSON",
    "MAX_YAML",
    "as_declared",
    "parse_json",
    "parse_yaml",
    "read_json",
    "read_yaml",
    "shorten_value",
]

MAX_YAML = 1 << 18
"""Characters of a YAML file, at most."""
MAX_JSON = 1 << 20
"""Bytes of a JSON file that `read_json` reads, at most."""
_MAX_DEPTH = 20
_MAX_SHOWN = 60
_MAX_TEXT = 4096
_MAX_NAMES = 10_000


def parse_yaml(text: str, *, max_length: int = MAX_YAML) -> Any:
    """Read YAML of plain values.

    Anchors and aliases are refused: a few lines of them stand for any number of values.

    Args:
        text: the YAML.
        max_length: in characters.

    Raises:
        ValueError: it is not YAML, or too long or too deep; the message is one line.
    """
    if len(text) > max_length:
        raise ValueError(f"it has {len(text):,} characters, more than {max_length:,}")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            anchor = getattr(event, "anchor", None)
            if anchor is not None:
                mark = event.start_mark
                line = "a line" if mark is None else f"line {mark.line + 1}"
                raise ValueError(
                    f"{line} has an anchor or alias ({shorten_value(anchor)}), which evdet "
                    "does not read: write the values out"
                )
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise ValueError(f"its values are nested more than {_MAX_DEPTH} deep")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError:
        raise ValueError("its values are nested too deep") from None


def read_yaml(path: Path) -> Any:
    """Read a YAML file as `parse_yaml` does; no more of it than that takes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not YAML in UTF-8, or too long or too deep.
    """
    with path.open("rb") as file:
        content = file.read(MAX_YAML + 1)
    if len(content) > MAX_YAML:
        raise ValueError(f"it has more than {MAX_YAML:,} bytes")
    return parse_yaml(content.decode("utf-8"))


def parse_json(text: str | bytes) -> Any:
    """Read JSON, as `json.loads` does; NaN and Infinity, which are no JSON, become None.

    Raises:
        ValueError: it is not JSON, or is nested too deep.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("its values are nested too deep") from None


def read_json(path: Path) -> Any:
    """Read a JSON file of bounded length as `parse_json` does; no more of it than that takes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON in UTF-8, or too long or too deep.
    """
    with path.open("rb") as file:
        content = file.read(MAX_JSON + 1)
    if len(content) > MAX_JSON:
        raise ValueError(f"it has more than {MAX_JSON:,} bytes")
    return parse_json(content.decode("utf-8"))


def as_declared(name: str, wanted: Any, value: Any) -> Any:
    """Check that a value is of the type that its field declares.

    Args:
        name: of the field, for messages.
        wanted: its type: bool, int, float, str, or a tuple of integers; any other stands for a list
            of names.
        value: as YAML or a checkpoint has it; a whole number may stand for a float.

    Returns:
        The value; a list as a tuple.

    Raises:
        ValueError: it is of another type, or longer than any field is.
    """
    if wanted == tuple[int, ...]:
        are_numbers = isinstance(value, (list, tuple)) and all(map(_is_integer, value))
        if not are_numbers or len(value) > _MAX_NAMES:
            raise ValueError(f"{name} must be a list of integers, got {shorten_value(value)}")
        return tuple(value)
    if wanted not in (bool, int, float, str):
        if not isinstance(value, (list, tuple)) or len(value) > _MAX_NAMES:
            raise ValueError(f"{name} must be a list of names, got {shorten_value(value)}")
        for item in value:
            if type(item) not in (str, int, float, bool) or len(str(item)) > _MAX_TEXT:
                raise ValueError(f"{name} must be a list of names, and has {shorten_value(item)}")
        # YAML reads an unquoted 3 as a number, but classes are names.
        return tuple(str(item) for item in value)
    is_number = _is_integer(value)
    if wanted is float and is_number:
        return float(value)
    fits = type(value) is wanted and (
        is_number if wanted is int else len(value) <= _MAX_TEXT if wanted is str else True
    )
    if not fits:
        raise ValueError(
            f"{name} must be of type {wanted.__name__}, got {shorten_value(value)} "
            f"({type(value).__name__})"
        )
    return value


def _is_integer(value: object) -> bool:
    return type(value) is int and abs(value) < 1 << 63


def shorten_value(value: object) -> str:
    """A value for a message: its `repr`, of long ones the beginning, of nested ones the kind."""
    if isinstance(value, (list, tuple, set, dict)):
        is_flat = len(value) < _MAX_SHOWN and not any(
            isinstance(part, (list, tuple, set, dict, str, bytes)) and len(part) > _MAX_SHOWN
            for part in (value.values() if isinstance(value, dict) else value)
        )
        holds = any(
            isinstance(part, (list, tuple, set, dict))
            for part in (value.values() if isinstance(value, dict) else value)
        )
        if holds or not is_flat:
            return f"a {type(value).__name__} of {len(value):,} values"
    if isinstance(value, (str, bytes)):
        cut = value[:_MAX_SHOWN]
        return repr(cut) + ("..." if len(value) > _MAX_SHOWN else "")
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "a number of more than 64 bits"
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 10 * _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
