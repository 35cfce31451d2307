"""Options -> the settings that decide a result, for the journal."""

import hashlib
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from pathlib import Path

from evdet.cli.options import named

__all__ = ["digest_of", "settings_of"]

_NUM_DIGITS = 16


def settings_of(options: object, *, but: Collection[str] = ()) -> dict[str, str]:
    """The options of a command that are given or have a default, those of its groups included.

    Args:
        options: a dataclass of options.
        but: fields that do not decide the result, such as the number of threads.
    """
    found: dict[str, str] = {}
    for one in fields(options):  # type: ignore[arg-type]  # a dataclass, of whatever command
        if one.name in but:
            continue
        value = getattr(options, one.name)
        if is_dataclass(value) and not isinstance(value, type):
            found |= settings_of(value, but=but)
        elif value not in (None, False, ()):  # what is left out is not listed
            found[named(one.name)] = _worded(value)
    return found


def digest_of(path: Path) -> str:
    """The first digits of a file's SHA-256; of a folder, or what does not exist, none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_NUM_DIGITS]


def _worded(value: object) -> str:
    if isinstance(value, Path):
        digest = digest_of(value)
        return f"{value} ({digest})" if digest else str(value)
    if isinstance(value, tuple):
        return " ".join(map(_worded, value))
    return str(value)
