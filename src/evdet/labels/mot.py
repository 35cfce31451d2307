"""MOT text: one line per box, `frame,id,x,y,w,h,conf,class,visibility`."""

from evdet.labels.source import BoxRows, LabelSource, number, to_time
from evdet.labels.text import read_text

__all__ = ["read_mot"]

# The reserved last part of a detection line, and what some tools write for "none".
_NO_CLASS = -1


def read_mot(source: LabelSource) -> BoxRows:
    """Read boxes in the format of MOTChallenge.

    Frames start at 1. The top left pixel is (1, 1), so 1 is subtracted from x and y. The class is
    an id of the label map; where it is missing or -1, the label map must have only one class.
    Lines with confidence 0 are not scored by MOTChallenge: they are dropped and counted. The
    format has no frames without objects.

    Returns:
        The boxes, ids as on disk.

    Raises:
        LabelError: a line is invalid.

    Source:
        "File format" on https://motchallenge.net/instructions/.
    """
    rows = BoxRows()
    for line_number, line in enumerate(read_text(source).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"line {line_number}"
        cells = [cell.strip() for cell in line.split(",")]
        if not 6 <= len(cells) <= 10:
            raise source.error(
                f"{len(cells)} values instead of frame,id,x,y,w,h,conf,class,visibility",
                where,
            )
        frame = to_time(cells[0])
        values = [number(cell) for cell in cells[2:]]
        if frame is None or number(cells[1]) is None or None in values:
            if frame is None:
                raise source.error(f"{cells[0]!r} is not a frame index", where)
            bad = next(cell for cell in cells[1:] if number(cell) is None)
            raise source.error(f"{bad!r} is not a number", where)
        x, y, w, h, *rest = [value for value in values if value is not None]
        if rest and rest[0] == 0:
            rows.count("confidence 0")
            continue
        rows.add(
            source.frame_time(frame - 1, where),
            (x - 1, y - 1, w, h),
            _class_of(source, rest, len(cells), where),
            track_id=_track_of(source, cells[1], where),
            confidence=rest[0] if rest and rest[0] > 0 else 1.0,
        )
    return rows


def _track_of(source: LabelSource, text: str, where: str) -> int:
    track = number(text)
    if track is None or not -1 <= track < 2**32:
        raise source.error(f"{text!r} is not a track id", where)
    return max(int(track), 0)


def _class_of(source: LabelSource, rest: list[float], num_cells: int, where: str) -> int:
    # Ten values are a detection: world coordinates follow the confidence, not a class.
    class_id = float(rest[1] if len(rest) > 1 and num_cells < 10 else _NO_CLASS)
    if class_id == _NO_CLASS:
        if len(source.label_map) != 1:
            raise source.error(
                f"the line names no class, and the label map has {len(source.label_map)}: "
                "write the id of the label map as the eighth value",
                where,
            )
        return next(iter(source.label_map))
    if class_id < 0 or not class_id.is_integer():
        raise source.error(f"the class {class_id:g} is not an id of a label map", where)
    return source.checked_class_id(int(class_id), where)
