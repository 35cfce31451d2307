"""Which annotation tool wrote a label file: its content says so, not its ending."""

import json
import re
from collections.abc import Callable
from typing import Any

from evdet.labels.annotation_tools.cvat import read_cvat
from evdet.labels.annotation_tools.datumaro import read_datumaro
from evdet.labels.annotation_tools.label_studio import read_label_studio
from evdet.labels.annotation_tools.supervision_sink import (
    SINK_COLUMNS,
    read_csv_sink,
    read_json_sink,
)
from evdet.labels.source import BoxRows, LabelSource
from evdet.labels.text import read_text

__all__ = ["find_tool_reader"]

Reader = Callable[[LabelSource], BoxRows]

_PROLOGUE = re.compile(r"<!--.*?-->|<\?.*?\?>|<![^>]*>", re.DOTALL)
_ROOT = re.compile(r"<([A-Za-z_][\w:.-]*)")


def find_tool_reader(source: LabelSource) -> Reader | None:
    """Find the reader of an annotation tool's export.

    Args:
        source: a file.

    Returns:
        The reader; None if the file is of another format.

    Raises:
        LabelError: the file is not text.
    """
    suffix = source.path.suffix.lower()
    if suffix == ".xml":
        return _reader_of_xml(read_text(source))
    if suffix == ".json":
        return _reader_of_json(read_text(source))
    if suffix == ".csv":
        header = read_text(source).lstrip("\r\n").partition("\n")[0]
        names = [name.strip().strip('"') for name in header.split(",")]
        return read_csv_sink if names[: len(SINK_COLUMNS)] == list(SINK_COLUMNS) else None
    return None


def _reader_of_xml(text: str) -> Reader | None:
    root = _ROOT.search(_PROLOGUE.sub("", text[: 1 << 16]))
    return read_cvat if root is not None and root[1] == "annotations" else None


def _reader_of_json(text: str) -> Reader | None:
    start = text.lstrip()[:1]
    if start == "[":
        return _reader_of_list(text)
    if start != "{":
        return None
    if re.search(r'"categories"\s*:\s*\{', text) and re.search(r'"items"\s*:\s*\[', text):
        return read_datumaro
    is_task = re.search(r'"result"\s*:\s*\[', text) and not re.search(r'"images"\s*:', text)
    return read_label_studio if is_task else None


def _reader_of_list(text: str) -> Reader | None:
    """The first record of a list names its fields."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        record, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return read_label_studio if re.search(r'"result"\s*:\s*\[', text) else None
    if set(SINK_COLUMNS[:4]) <= set(record):
        return read_json_sink
    is_task = {"data", "annotations"} & set(record) or "annotator" in record
    if is_task or any(_has_regions(value) for value in record.values()):
        return read_label_studio
    return None


def _has_regions(value: Any) -> bool:
    """A field of JSON-MIN with the regions of a task."""
    return isinstance(value, list) and any(
        isinstance(one, dict) and ("sequence" in one or {"x", "y", "width", "height"} <= set(one))
        for one in value
    )
