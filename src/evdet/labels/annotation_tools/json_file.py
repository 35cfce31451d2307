"""The JSON of an annotation tool, and values in it."""

import json
from typing import Any

from evdet.labels.source import LabelSource, number, to_time
from evdet.labels.text import read_text

__all__ = ["read_json", "records_of", "value_of", "whole_of"]


def read_json(source: LabelSource) -> Any:
    """Read a JSON file.

    Raises:
        LabelError: it is not JSON.
    """
    try:
        return json.loads(read_text(source))
    except json.JSONDecodeError as error:
        raise source.error(f"not valid JSON: {error.msg}", f"line {error.lineno}") from error
    except (ValueError, RecursionError) as error:
        raise source.error("the JSON has a number or a nesting that no labels have") from error


def records_of(source: LabelSource, value: Any, what: str, where: str = "") -> list[dict[str, Any]]:
    """Check that a value is a list of objects.

    Raises:
        LabelError: it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise source.error(f"`{what}` must be a list of objects", where)
    return value


def value_of(source: LabelSource, record: dict[str, Any], name: str, where: str) -> float:
    """A finite number in an object.

    Raises:
        LabelError: it is missing, or not a number.
    """
    value = number(record.get(name))
    if value is None:
        raise source.error(f"`{name}` is {record.get(name)!r:.60}, not a number", where)
    return value


def whole_of(source: LabelSource, record: dict[str, Any], name: str, where: str) -> int:
    """A whole number in an object.

    Raises:
        LabelError: it is missing, or not a whole number.
    """
    value = to_time(record.get(name))
    if value is None:
        raise source.error(f"`{name}` is {record.get(name)!r:.60}, not a whole number", where)
    return value
