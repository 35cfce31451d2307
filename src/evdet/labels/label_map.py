"""Class names of the ids of a label file: label maps, and published data sets."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from evdet.input_files import check_is_file

__all__ = [
    "LABEL_MAP_FILE",
    "LABEL_SUFFIXES",
    "LABEL_TAIL",
    "FolderError",
    "FoundLabelMap",
    "check_plain_names",
    "find_label_map",
    "key_of",
    "published_classes",
    "read_label_map",
]

LABEL_MAP_FILE = "label_map_dictionary.json"
"""Name of the label map at the root of a data set folder."""
LABEL_SUFFIXES = (".npy", ".npz", ".json", ".csv", ".tsv", ".xml", ".txt")
"""Extensions of label files; of several beside one recording the first in this order is read."""
LABEL_TAIL = re.compile(r"_(bbox|boxes|labels)$")
"""Endings of label files' names, without extension."""

_RECORDING_TAIL = re.compile(r"_(td|cd|events)$")
# Unicode's control characters, ends of lines and paragraphs, halves of pairs, and no characters.
_NOT_PLAIN = ("Cc", "Zl", "Zp", "Cs", "Cn")
# Names of recordings in data sets that ship without a label map, and their classes: Prophesee's
# Gen1 and 1 Megapixel automotive detection data sets.
_PUBLISHED = {
    re.compile(r"\d\d-\d\d-\d\d_\d\d-\d\d-\d\d_\d+_\d+$"): ("car", "pedestrian"),
    re.compile(r"moorea_\d{4}-\d\d-\d\d_"): (
        "pedestrian", "two wheeler", "car", "truck", "bus", "traffic sign", "traffic light",
    ),
}  # fmt: skip


class FolderError(ValueError):
    """A data set folder that cannot be used."""


class FoundLabelMap(NamedTuple):
    """A label map and its origin."""

    names: dict[int, str]
    """Names by id on disk, sorted by id."""
    origin: str
    """The file, or the published data set recognised by the recording's name."""


def find_label_map(path: Path) -> FoundLabelMap | None:
    """Find the label map of the data set of a recording or a label file.

    Args:
        path: the file, or a folder of the data set.

    Returns:
        That of the folder or of the nearest folder above that has one; otherwise that of the
        published data set with recordings of such names; otherwise None.

    Raises:
        FolderError: the nearest label map is invalid.
    """
    here = path.absolute()
    for folder in (here, *here.parents) if path.is_dir() else here.parents:
        if (folder / LABEL_MAP_FILE).exists():
            return FoundLabelMap(
                read_label_map(folder / LABEL_MAP_FILE), str(folder / LABEL_MAP_FILE)
            )
    published = published_classes([key_of(path)])
    if published:
        return FoundLabelMap(dict(enumerate(published)), f"the data set of {path.name}")
    return None


def read_label_map(path: Path) -> dict[int, str]:
    """Read a label map, a JSON file such as `{"0": "car", "1": "pedestrian"}`.

    Returns:
        Names by id on disk, sorted by id.

    Raises:
        FolderError: the file is invalid.
    """
    example = 'It should look like {"0": "car", "1": "pedestrian"}.'
    check_is_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FolderError(f"{path} is not valid JSON: {error}. {example}") from error
    if not isinstance(content, dict) or not content:
        raise FolderError(f"{path} names no classes. {example}")
    label_map = {}
    for key, name in content.items():
        if not (key.isdecimal() and len(key) < 10) or not isinstance(name, str) or not name.strip():
            raise FolderError(f'{path} has an invalid entry "{key}": {json.dumps(name)}. {example}')
        label_map[int(key)] = name.strip()
    names = list(label_map.values())
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise FolderError(
            f"{path} has several ids with the name {twice[0]!r}. Give each its own name; merge "
            f"classes when choosing them, as in `{twice[0]} 1+{twice[0]} 2={twice[0]}`."
        )
    return dict(sorted(label_map.items()))


def check_plain_names(names: Iterable[str], what: str) -> None:
    """Refuse names that lines of text, or XML, cannot hold: with ends of lines, for example.

    Args:
        names: of classes.
        what: the format, for the message.

    Raises:
        ValueError: a name has a control character.
    """
    for name in names:
        if any(unicodedata.category(char) in _NOT_PLAIN for char in name):
            raise ValueError(
                f"{what} cannot hold the class name {json.dumps(name)}: it has a control "
                "character. Rename the class in the label map."
            )


def published_classes(names: Iterable[str], among: Iterable[str] = ()) -> tuple[str, ...]:
    """The classes of the published data set whose recordings have such names.

    Args:
        names: of recordings, without extension and tail; empty matches every data set.
        among: classes that the data set must have.

    Returns:
        The classes in the order of their ids; of several matching data sets, those of the one
        with the fewest. Empty without a match.
    """
    names, among = list(names), set(among)
    fitting = [
        classes
        for pattern, classes in _PUBLISHED.items()
        if all(pattern.match(name) for name in names) and among <= set(classes)
    ]
    return min(fitting, key=len, default=())


def key_of(path: Path) -> str:
    """The name that a recording and its labels share: without extension and tails.

    Example:
        >>> key_of(Path("drive_td.dat")), key_of(Path("drive_bbox.npy")), key_of(Path("drive.raw"))
        ('drive', 'drive', 'drive')
    """
    stem = path.name if path.is_dir() else path.stem
    return _RECORDING_TAIL.sub("", LABEL_TAIL.sub("", stem))
