"""The class names that an annotation tool's export names itself."""

from typing import Any

from evdet.labels.annotation_tools.json_file import read_json
from evdet.labels.annotation_tools.recognition import find_tool_reader
from evdet.labels.annotation_tools.xml_file import read_xml
from evdet.labels.source import LabelSource

__all__ = ["class_names_of_tool"]

_LABEL_FIELDS = ("labels", "rectanglelabels")
# Enough for any nesting of the tools' files.
_MAX_DEPTH = 12


def class_names_of_tool(source: LabelSource) -> dict[int, str] | None:
    """The names of the classes of an export, numbered from 0.

    Datumaro numbers its labels; those of CVAT and Label Studio are numbered in alphabetical order.

    Args:
        source: the file.

    Returns:
        Names by id; None if the file is of no annotation tool, or names no class.

    Raises:
        LabelError: the file cannot be read.
    """
    if find_tool_reader(source) is None:
        return None
    if source.path.suffix.lower() == ".xml":
        root = read_xml(source)
        used = {node.get("label", "") for node in root.iter() if "label" in node.attrib}
        stated = root.findall("meta//labels/label")
        return _numbered(used | {(node.findtext("name") or "").strip() for node in stated})
    if source.path.suffix.lower() == ".csv":
        return None
    content = read_json(source)
    if isinstance(content, dict) and isinstance(content.get("categories"), dict):
        label = content["categories"].get("label")
        records = label.get("labels") if isinstance(label, dict) else None
        named = [one.get("name") for one in records or [] if isinstance(one, dict)]
        return {i: str(name) for i, name in enumerate(named)} or None
    found: set[str] = set()
    _collect(content, found, 0)
    return _numbered(found)


def _collect(value: Any, found: set[str], depth: int) -> None:
    """Add the labels of regions anywhere in Label Studio's JSON."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for one in value:
            _collect(one, found, depth + 1)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in _LABEL_FIELDS and isinstance(one, list):
                found.update(name for name in one if isinstance(name, str))
            elif key == "class_name" and isinstance(one, str):  # supervision's JSONSink
                found.add(one)
            else:
                _collect(one, found, depth + 1)


def _numbered(names: set[str]) -> dict[int, str] | None:
    return dict(enumerate(sorted(name for name in names if name))) or None
