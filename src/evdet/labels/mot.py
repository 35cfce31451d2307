"""MOT text: one line per box, `frame,id,x,y,w,h,conf,class,visibility`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evdet.labels.source import BoxRows, LabelSource, number, to_time
from evdet.labels.text import read_text

__all__ = ["read_mot", "read_mot_cells"]

# The reserved last part of a detection line, and what some tools write for "none".
_NO_CLASS = -1
_CLASSES_FILE = "labels.txt"


def read_mot(source: LabelSource) -> BoxRows:
    """Read boxes in the format of MOTChallenge.

    Frames start at 1; from 0 where a line has frame 0. The top left pixel is (1, 1), so 1 is
    subtracted from x and y, except in files of CVAT and where the smallest x or y is 0. The class
    is an id of the label map; where it is missing or -1, the label map must have only one class.
    Beside a `labels.txt`, as CVAT writes it, the class is the line of its name there, from 1.
    Lines with confidence 0 do not count. Other frames without lines are not annotated. Tracks may
    count from 0. Values are separated by commas, semicolons, spaces or tabs.

    Returns:
        The boxes, ids as on disk.

    Raises:
        LabelError: a line is invalid.

    Source:
        "File format" on https://motchallenge.net/instructions/; CVAT's "MOT" on
        https://docs.cvat.ai/docs/dataset_management/formats/format-mot/.
    """
    lines = enumerate(read_text(source).splitlines(), start=1)
    return read_mot_cells(
        source, [(f"line {i}", _cells_of(text)) for i, text in lines if text.strip()]
    )


def read_mot_cells(source: LabelSource, table: Iterable[tuple[str, Sequence[str]]]) -> BoxRows:
    """Read boxes whose lines are cut into values, as `read_mot`.

    Args:
        source: the file.
        table: each line's place in the file, and its values.

    Raises:
        LabelError: a line is invalid.
    """
    names = _class_names(source)
    lines = [_parse(source, list(cells), where) for where, cells in table]
    _check_ten_values(source, lines)
    rows = BoxRows()
    first_frame = 0 if any(line.frame == 0 for line in lines) else 1
    if not first_frame:
        rows.notes.append("frame numbers count from 0: there is a frame 0")
    first_track = _first_track(lines)
    _check_classes(source, lines, names)
    first_pixel = _first_pixel(lines, rows, is_of_cvat=bool(names))
    for line in lines:
        x, y, w, h = line.xywh
        is_ignored = line.confidence == 0
        rows.add(
            source.frame_time(line.frame - first_frame, line.where),
            (x - first_pixel, y - first_pixel, w, h),
            _class_of(source, line, names),
            track_id=max(line.track + 1 - first_track, 0),
            confidence=line.confidence if line.confidence >= 0 else 1.0,
            ignored="ignored rows" if is_ignored else "",
        )
    return rows


class _Line(NamedTuple):
    where: str
    frame: int
    """As in the file."""
    track: int
    """-1 for none."""
    xywh: tuple[float, float, float, float]
    confidence: float
    """Also the flag of ground truth; negative for none."""
    class_id: float
    """-1 for none."""
    last_three: tuple[float, ...]
    """The end of a line of ten values."""


def _cells_of(text: str) -> list[str]:
    """The values of a line, which some tools separate by spaces or tabs."""
    text = text.strip()
    if ";" in text:  # spreadsheets write it, with decimal commas
        return text.rstrip(";").replace(",", ".").split(";")
    return text.rstrip(",").split(",") if "," in text else text.split()


def _parse(source: LabelSource, cells: list[str], where: str) -> _Line:
    if not 6 <= len(cells) <= 10:
        raise source.error(
            f"{len(cells)} values instead of frame,id,x,y,w,h,conf,class,visibility", where
        )
    frame = to_time(cells[0])
    if frame is None:
        raise source.error(f"{cells[0].strip()!r} is not a frame index", where)
    known = _numbers(source, cells[1:], where)
    track, x, y, w, h, *rest = known
    if not -1 <= track < 2**32 or not track.is_integer():
        raise source.error(f"{cells[1].strip()!r} is not a track id", where)
    # Ten values are a detection: world coordinates follow the confidence, not a class, except in
    # ground truth of 3D, which has both.
    class_id = rest[1] if len(rest) > 1 and len(cells) < 10 else _NO_CLASS
    confidence = rest[0] if rest else -1.0
    last_three = tuple(rest[1:]) if len(cells) == 10 else ()
    return _Line(where, frame, int(track), (x, y, w, h), confidence, class_id, last_three)


def _numbers(source: LabelSource, cells: Sequence[str], where: str) -> list[float]:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        bad = next(cell for cell in cells if number(cell) is None)
        raise source.error(f"{bad.strip()!r} is not a number", where)
    return values


def _check_ten_values(source: LabelSource, lines: Sequence[_Line]) -> None:
    """Refuse lines that end like VisDrone's: class, truncation and occlusion."""
    ends = [line.last_three for line in lines]
    if not all(ends) or not any(sum(end) for end in ends):
        return
    classes, truncations, occlusions = (set(values) for values in zip(*ends, strict=True))
    is_small = all(value.is_integer() and 0 <= value <= 100 for value in classes)
    if is_small and truncations <= {0, 1} and occlusions <= {0, 1, 2}:
        raise source.error(
            "ten values end with coordinates of the world in MOT, and with class, truncation and "
            "occlusion in VisDrone, as they seem to here: leave out the last value, so that the "
            "eighth of nine is the class, an id of the label map",
            lines[0].where,
        )


def _first_track(lines: Sequence[_Line]) -> int:
    """The first track's number: 1, or 0 where 0 is on no frame twice, and there are others."""
    zeros = [line.frame for line in lines if line.track == 0]
    has_others = any(line.track > 0 for line in lines)
    return 0 if has_others and zeros and len(zeros) == len(set(zeros)) else 1


def _check_classes(source: LabelSource, lines: Sequence[_Line], names: Sequence[str]) -> None:
    """Refuse classes from 1 where the label map counts from 0."""
    used = {line.class_id for line in lines if line.confidence != 0} - {_NO_CLASS}
    known = set(source.label_map)
    if names or not known or used <= known or not {class_id - 1 for class_id in used} <= known:
        return
    shown = ", ".join(f"{class_id:g}" for class_id in sorted(used))
    raise source.error(
        f"the classes are {shown}, and the label map has {', '.join(map(str, sorted(known)))}: if "
        "the file counts classes from 1, let the label map do so too, "
        f'such as {{"1": "{next(iter(source.label_map.values()))}"}}'
    )


def _first_pixel(lines: Sequence[_Line], rows: BoxRows, *, is_of_cvat: bool) -> int:
    """The coordinate of the top left pixel: 1, or 0 where the file tells so."""
    corners = [min(line.xywh[:2]) for line in lines]
    smallest = min(corners, default=1.0)
    if is_of_cvat:
        return 0
    if smallest == 0:
        rows.notes.append("pixels count from 0: the smallest corner is at 0")
        return 0
    num_before = sum(corner < 1 for corner in corners)
    if num_before:
        are = "box starts" if num_before == 1 else "boxes start"
        rows.notes.append(
            f"{num_before:,} {are} before the first pixel, which is (1, 1) in this format"
        )
    return 1


def _class_names(source: LabelSource) -> list[str]:
    """The names beside the file, as CVAT writes them; empty without."""
    path = source.path.with_name(_CLASSES_FILE)
    if not path.is_file() or path == source.path:
        return []
    return [line.strip() for line in read_text(source, path).splitlines()]


def _class_of(source: LabelSource, line: _Line, names: Sequence[str]) -> int:
    label_map: Mapping[int, str] = source.label_map
    class_id = line.class_id
    if class_id == _NO_CLASS:
        if len(label_map) != 1:
            raise source.error(
                f"the line names no class, and the label map has {len(label_map)}: "
                "write nine values, the eighth the id of the label map, "
                "frame,id,x,y,w,h,conf,class,visibility; of ten values the last three are "
                "coordinates",
                line.where,
            )
        return next(iter(label_map))
    if class_id < 0 or not class_id.is_integer():
        raise source.error(f"the class {class_id:g} is not an id of a label map", line.where)
    if names:
        if not 1 <= class_id <= len(names):
            raise source.error(
                f"the class is {class_id:g}, but {_CLASSES_FILE} beside the file names "
                f"{len(names)}, counted from 1",
                line.where,
            )
        return source.class_id_of(names[int(class_id) - 1], line.where)
    is_unknown = int(class_id) not in label_map
    if line.confidence == 0 and is_unknown and len(label_map) == 1:
        # MOTChallenge's distractors, such as a reflection, may be taken for the one class.
        return next(iter(label_map))
    return source.checked_class_id(int(class_id), line.where)
