"""The JSON files of a run, checked against their schemas before a page is made of them."""

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

__all__ = ["check_content", "schema_of"]

_MAX_MESSAGE = 160


@functools.cache
def schema_of(kind: Literal["evaluation", "speed", "training"]) -> Mapping[str, Any]:
    """The JSON schema of a file, evaluation.json for example; fields that it omits are allowed."""
    schema: Mapping[str, Any] = json.loads(
        (files("evdet.report") / "schemas" / f"{kind}.json").read_text(encoding="utf-8")
    )
    return schema


def check_content(
    path: Path, content: Mapping[str, Any], kind: Literal["evaluation", "speed", "training"]
) -> None:
    """Check what a file of a run holds.

    Args:
        path: the file, for the message.
        content: as JSON gives it.
        kind: the schema.

    Raises:
        ValueError: a field is missing, or has a value that it cannot have.
    """
    # Here, because only a report needs it.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema_of(kind)).iter_errors(content))
    problem = None if error is None else f"{error.json_path}: {_cut(error.message)}"
    if problem is None and kind == "evaluation":
        problem = _problem_of_confusion(content)
    if problem is not None:
        raise ValueError(f"{path} is damaged ({problem}): evaluate, measure or train again")


def _problem_of_confusion(content: Mapping[str, Any]) -> str | None:
    """A schema cannot say that one size depends on another."""
    rows, size = content.get("confusion"), len(content["per_class"]) + 1
    if rows is None or (len(rows) == size and all(len(row) == size for row in rows)):
        return None
    return f"$.confusion: {size} rows of {size} counts belong to {size - 1} classes"


def _cut(message: str) -> str:
    if len(message) <= _MAX_MESSAGE:
        return message
    half = _MAX_MESSAGE // 2
    return f"{message[:half]} ... {message[-half:]}"
