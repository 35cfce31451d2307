"""The rows of a table of boxes: one box per row, columns by name."""

import csv
from collections.abc import Mapping

from evdet.labels.flags import why_ignored
from evdet.labels.frame_numbers import frame_numbers, note_first_frame
from evdet.labels.mot import read_mot_cells
from evdet.labels.source import BoxRows, LabelSource, number, to_time
from evdet.labels.table.header import is_mot_header, open_table
from evdet.labels.text import read_text

__all__ = ["read_csv"]

_TIMES = {
    **dict.fromkeys(("t", "ts", "time", "timestamp", "t_us", "time_us", "timestamp_us"), 1),
    **dict.fromkeys(("t_ms", "time_ms", "timestamp_ms"), 1_000),
    **dict.fromkeys(("t_s", "time_s", "timestamp_s", "seconds"), 1_000_000),
}
"""Names of the time column, and its unit in microseconds."""
_FRAMES = ("frame", "frame_id", "frame_number", "frame_index")
_NAMES = ("filename", "file_name", "image", "image_name", "image_path", "frame_name")
_CORNER_AND_END = (
    (("x1", "y1"), ("x2", "y2")),
    (("xmin", "ymin"), ("xmax", "ymax")),
    (("x_min", "y_min"), ("x_max", "y_max")),
    (("left", "top"), ("right", "bottom")),
)
# Before x and y: MOT's coordinates of the world have these names.
_CORNER = (
    ("bb_left", "bb_top"),
    ("bbox_x", "bbox_y"),
    ("bbox_left", "bbox_top"),
    ("x", "y"),
    *(corner for corner, _ in _CORNER_AND_END),
)
_SIZE = (
    ("bb_width", "bb_height"),
    ("w", "h"),
    ("box_width", "box_height"),
    ("bbox_width", "bbox_height"),
    ("bbox_w", "bbox_h"),
    ("width", "height"),
)
_PICTURE = (("width", "height"), ("image_width", "image_height"), ("img_width", "img_height"))
_CLASSES = ("class", "class_id", "class_name", "label", "category", "name")
_TRACKS = ("track_id", "track", "object_id", "id")
_CONFIDENCES = ("class_confidence", "confidence", "conf", "score")
# What pandas, numpy and databases write for a cell without a value.
_NONE = ("nan", "none", "null", "<na>", "na", "n/a")


def read_csv(source: LabelSource) -> BoxRows:
    """Read a table.

    The first row names the columns: a time (`t`, in microseconds, `t_ms` or `t_s`) or a `frame`
    from 0, or the `filename` of a picture with a frame number; `x y w h` or `x1 y1 x2 y2`, in
    pixels from 0, or their longer names; `class`, a name or an id of the label map; optionally
    `track_id` and `confidence`. Beside both corners, or beside `w h`, `width height` are those of
    the picture. Of columns with ids and with names of classes the names count. Columns `iscrowd`,
    `difficult` and `ignore` mark boxes that do not count. Other columns are skipped. A row with a
    time and no box is a time without objects. A table with the columns of MOT text in its order is
    read as MOT text.

    Args:
        source: the file, with commas, semicolons (and decimal commas) or tabs.

    Returns:
        The boxes and the empty times, ids as on disk.

    Raises:
        LabelError: a column is missing or a cell is invalid.
    """
    rows = BoxRows()
    line = 1
    try:
        table = open_table(read_text(source))
        if table is None:
            raise source.error("the file is empty; its first row must name the columns")
        if is_mot_header(table.names):
            return read_mot_cells(source, [(f"line {i}", cells) for i, cells in table.rows])
        columns = _Columns(source, table.names, table.delimiter)
        for line, cells in table.rows:
            columns.read(cells, f"line {line}", rows)
        columns.finish(rows)
    except csv.Error as error:
        raise source.error(f"not a table: {error}", f"line {line}") from error
    return rows


_Row = tuple[tuple[float, ...], int, int, float, str] | None
"""Sides, class id, track, confidence and why it does not count; None: a time without objects."""


class _Columns:
    """The columns of a table; reads its rows."""

    def __init__(self, source: LabelSource, names: list[str], delimiter: str) -> None:
        self.source = source
        self.delimiter = delimiter
        self.column_of = {name: i for i, name in reversed(list(enumerate(names))) if name}
        self.time = self._first(tuple(_TIMES))
        self.frame = self._first(_FRAMES)
        self.name = self._first(_NAMES)
        self.by_name: dict[str, list[_Row]] = {}
        self.frames: set[int] = set()
        both = next((b for b in _CORNER_AND_END if {*b[0], *b[1]} <= set(self.column_of)), None)
        self.corner: tuple[str, ...] = both[0] if both else self._pair(_CORNER)
        self.end: tuple[str, ...] = both[1] if both else ()
        self.size = () if both else self._pair(_SIZE)
        self.picture = next(
            (p for p in _PICTURE if p != self.size and set(p) <= set(self.column_of)), ()
        )
        self.classes = [name for name in _CLASSES if name in self.column_of]
        self.track = self._first(_TRACKS)
        self.confidence = self._first(_CONFIDENCES)
        missing = [
            what
            for what, there in (
                (
                    "a time (t in microseconds, t_ms, t_s, or frame)",
                    self.time or self.frame or self.name,
                ),
                ("x, y (or x1, y1)", self.corner),
                ("w, h (or x2, y2)", self.size or self.end),
                ("class", self.classes or len(source.label_map) == 1),
            )
            if not there
        ]
        if missing:
            is_mot = 6 <= len(names) <= 10 and all(number(name) is not None for name in names)
            hint = ". MOT text, without names, has the ending .txt" if is_mot else ""
            raise source.error(
                f"no column for {'; '.join(missing)}. The first row names the columns; it has "
                f"{', '.join(names)}{hint}",
                "line 1",
            )

    def read(self, cells: list[str], where: str, rows: BoxRows) -> None:
        """Add one row."""
        row = {name: cells[i] if i < len(cells) else "" for name, i in self.column_of.items()}
        if self.picture:
            width, height = (row[name] for name in self.picture)
            self.source.check_picture(width, height, where)
        box = self._box(row, where)
        if self.time or self.frame:
            self._add(rows, self._time(row, where), box)
        elif row[self.name]:
            self.by_name.setdefault(row[self.name], []).append(box)
        else:
            raise self.source.error(f"{self.name} is empty", where)

    def finish(self, rows: BoxRows) -> None:
        """Add the rows of pictures, whose frame numbers all names decide together."""
        numbers = frame_numbers(self.source, list(self.by_name), what="picture")
        for frame, boxes in zip(numbers, self.by_name.values(), strict=True):
            t = self.source.frame_time(frame)
            for box in boxes:
                self._add(rows, t, box)
        rows.notes += note_first_frame(numbers or sorted(self.frames))

    def _add(self, rows: BoxRows, t: int, box: _Row) -> None:
        if box is None:
            rows.empty_times.append(t)
        else:
            xywh, class_id, track_id, confidence, why = box
            rows.add(t, xywh, class_id, track_id=track_id, confidence=confidence, ignored=why)

    def _box(self, row: Mapping[str, str], where: str) -> _Row:
        sides = (*self.corner, *(self.size or self.end))
        if all(_is_none(row[name]) for name in (*sides, *self.classes)):
            return None
        x, y, third, fourth = (self._number(row, name, where) for name in sides)
        if self.end and (third < x or fourth < y):
            raise self.source.error(
                f"the box ends at {third:g}, {fourth:g}, before it starts at {x:g}, {y:g}: are "
                f"{' and '.join(self.end)} width and height?",
                where,
            )
        size = (third, fourth) if self.size else (third - x, fourth - y)
        confidence = self._confidence(row, where)
        why = why_ignored(row)
        return (x, y, *size), self._class(row, where), self._track(row, where), confidence, why

    def _first(self, names: tuple[str, ...]) -> str:
        return next((name for name in names if name in self.column_of), "")

    def _pair(self, pairs: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        return next((pair for pair in pairs if set(pair) <= set(self.column_of)), ())

    def _number(self, row: Mapping[str, str], name: str, where: str) -> float:
        # With decimal commas, spreadsheets separate columns by semicolons.
        text = row[name].replace(",", ".") if self.delimiter == ";" else row[name]
        value = number(text)
        if value is None:
            raise self.source.error(f"{name} is {row[name]!r}, not a number", where)
        return value

    def _confidence(self, row: Mapping[str, str], where: str) -> float:
        if not self.confidence:
            return 1.0
        value = self._number(row, self.confidence, where)
        # A score may be any number.
        if self.confidence != "score" and not 0 <= value <= 1:
            raise self.source.error(
                f"{self.confidence} is {row[self.confidence]}, not from 0 to 1: scale it, or name "
                "the column score",
                where,
            )
        return value

    def _time(self, row: Mapping[str, str], where: str) -> int:
        name = self.time or self.frame
        unit = _TIMES.get(name, 1)
        whole = to_time(row[name])
        if whole is not None:
            if not self.time:
                self.frames.add(whole)
                return self.source.frame_time(whole, where)
            return self._on_clock(whole * unit, where)
        value = self._number(row, name, where)
        if unit == 1:
            of = "microseconds: name the column t_s if it is in seconds" if self.time else "frames"
            raise self.source.error(f"{name} is {row[name]}, not a whole number of {of}", where)
        return self._on_clock(round(value * unit), where)

    def _on_clock(self, t: int, where: str) -> int:
        if abs(t) >= 2**62:
            raise self.source.error(f"the time {t} us is out of range", where)
        return t

    def _class(self, row: Mapping[str, str], where: str) -> int:
        """The class, by its name where a column has names: ids may be those of another program."""
        if not self.classes:
            return next(iter(self.source.label_map))
        names = self.source.label_map.values()
        texts = [row[name] for name in self.classes if row[name]]
        named = [text for text in texts if text in names]
        if named:
            return self.source.class_id_of(named[0], where)
        # Columns `name` may have names of objects, and of files.
        unknown = [text for text in texts if text.replace(" ", "").isalpha()]
        if unknown or not texts:
            return self.source.class_id_of(unknown[0] if unknown else "", where)
        whole = to_time(texts[0])
        if whole is None or whole < 0:
            return self.source.class_id_of(texts[0], where)
        return self.source.checked_class_id(whole, where)

    def _track(self, row: Mapping[str, str], where: str) -> int:
        if not self.track or _is_none(row[self.track]):
            return 0
        track = to_time(row[self.track])
        if track is None or not -1 <= track < 2**32:
            raise self.source.error(f"{self.track} is {row[self.track]!r}, not a number", where)
        return max(track, 0)


def _is_none(text: str) -> bool:
    return not text or text.lower() in _NONE
