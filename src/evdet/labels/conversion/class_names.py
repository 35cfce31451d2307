"""The class names that label files name themselves."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from evdet.labels.annotation_tools import class_names_of_tool
from evdet.labels.coco import category_names, load_json
from evdet.labels.source import LabelError, LabelSource
from evdet.labels.table import open_table
from evdet.labels.text import read_text
from evdet.structured_text import parse_yaml

__all__ = ["class_lists_beside", "class_names_in"]

_LISTS = ("classes.txt", "obj.names", "labels.txt", "predefined_classes.txt")
_DATA_FILES = ("data.yaml", "dataset.yaml")
_COLUMNS = ("class", "class_name", "label", "category", "name")


def class_names_in(path: Path) -> dict[int, str] | None:
    """The names of a file's classes by their ids on disk; None if it does not name them.

    COCO names its categories, which are numbered from 0 in the order of their ids. VOC and tables
    name the class of each box; the names are numbered in alphabetical order. Beside YOLO and MOT
    files there may be a list of names, such as classes.txt, labels.txt or data.yaml.

    Args:
        path: a label file, or a folder of one file per frame.

    Raises:
        LabelError: the names cannot be read.
    """
    source = LabelSource(path, {})
    if path.is_dir():
        voc = sorted(path.glob("*.xml"))
        return _numbered(_names_in_voc(source, voc)) if voc else _names_beside(source)
    of_tool = class_names_of_tool(source)
    if of_tool is not None:
        return of_tool
    suffix = path.suffix.lower()
    if suffix == ".json":
        content = load_json(source)
        if isinstance(content, list):
            return None
        names = category_names(source, content)
        return {i: names[category] for i, category in enumerate(sorted(names))}
    if suffix == ".xml":
        return _numbered(_names_in_voc(source, [path]))
    if suffix in (".csv", ".tsv"):
        return _names_in_table(source)
    return _names_beside(source) if suffix == ".txt" else None


def _numbered(names: Iterable[str]) -> dict[int, str] | None:
    return dict(enumerate(sorted(set(names)))) or None


def _names_in_voc(source: LabelSource, paths: Sequence[Path]) -> list[str]:
    names = []
    for path in paths:
        try:
            root = ElementTree.fromstring(read_text(source, path))
        except (ElementTree.ParseError, ValueError) as error:
            raise source.error(f"not valid XML: {error}", path=path) from error
        names += [(node.findtext("name") or "").strip() for node in root.findall("object")]
    return [name for name in names if name]


def _names_in_table(source: LabelSource) -> dict[int, str] | None:
    """Names by their ids where a table has both, otherwise in alphabetical order."""
    try:
        table = open_table(read_text(source))
        rows = (
            []
            if table is None
            else [dict(zip(table.names, row, strict=False)) for _, row in table.rows]
        )
    except csv.Error as error:
        raise source.error(f"not a table: {error}") from error
    columns = [] if table is None else [name for name in _COLUMNS if name in table.names]
    named = {name: {row[name] for row in rows if row.get(name)} for name in columns}
    # Of YOLOv5's `class` and `name`, the second has the names.
    column = next((name for name in columns if not any(map(_is_id, named[name]))), None)
    if column is None or not named[column]:
        return None
    pairs = {(row.get("class_id", ""), row[column]) for row in rows if row.get(column)}
    if all(_is_id(class_id) for class_id, _ in pairs):
        return dict(sorted((int(float(class_id)), name) for class_id, name in pairs))
    return _numbered(named[column])


def _is_id(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}(\.0*)?", text) is not None


def class_lists_beside(path: Path) -> list[Path]:
    """The lists of names in the folder of the labels, and in the folder above.

    Args:
        path: a label file, or a folder of one file per frame.
    """
    folder = path if path.is_dir() else path.parent
    places = (folder, folder.absolute().parent)
    found = [place / name for place in places for name in (*_LISTS, *_DATA_FILES)]
    return [file for file in found if file.is_file()]


def _names_beside(source: LabelSource) -> dict[int, str] | None:
    """Names in a list in the folder of the labels, or in the folder above."""
    folder = source.path if source.path.is_dir() else source.path.parent
    for place in (folder, folder.absolute().parent):
        for name in _LISTS:
            path = place / name
            if path.is_file() and path != source.path:
                lines = [line.strip() for line in read_text(source, path).splitlines()]
                return {i: line for i, line in enumerate(lines) if line} or None
        for name in _DATA_FILES:
            if (place / name).is_file():
                return _names_in_yaml(source, place / name)
    return None


def _names_in_yaml(source: LabelSource, path: Path) -> dict[int, str] | None:
    try:
        content = parse_yaml(read_text(source, path))
    except LabelError:
        raise
    except ValueError as error:
        raise LabelError(f"{path}: not valid YAML: {error}") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        return {i: str(name) for i, name in enumerate(names)} or None
    if isinstance(names, dict) and all(isinstance(i, int) and i >= 0 for i in names):
        return {i: str(name) for i, name in sorted(names.items())} or None
    return None
