"""MOT text: one line per box, `frame,id,x,y,w,h,conf,class,visibility`."""

from evdet.labels.source import BoxRows, LabelSource, number, to_time
from evdet.labels.text import read_text

__all__ = ["read_mot"]

# The reserved third part of a detection line, and what some tools write for "none".
_NO_CLASS = -1


def read_mot(source: LabelSource) -> BoxRows:
    """Read boxes in the format of MOTChallenge.

    Frames count from 1. The pixel in the top left corner is (1, 1), so 1 is taken off x and y.
    The class is an id of the label map; where it is missing or -1, the label map must have one
    class alone. Lines whose confidence is 0 are those that MOTChallenge does not score: they are
    left out and counted.

    Args:
        source: the file, with the recording and the duration of a frame.

    Returns:
        The boxes, ids as on disk. The format cannot say that a frame has no object.

    Raises:
        LabelError: a line cannot be understood.

    Source:
        "File format" on https://motchallenge.net/instructions/.
    """
    rows = BoxRows()
    for line_number, line in enumerate(read_text(source).splitlines(), start=1):
        if not line.strip():
            continue
        place = f"line {line_number}"
        cells = [cell.strip() for cell in line.split(",")]
        if not 6 <= len(cells) <= 10:
            raise source.error(
                f"{len(cells)} values where frame,id,x,y,w,h,conf,class,visibility are expected",
                place,
            )
        frame = to_time(cells[0])
        values = [number(cell) for cell in cells[2:]]
        if frame is None or number(cells[1]) is None or None in values:
            if frame is None:
                raise source.error(f"{cells[0]!r} is not the number of a frame", place)
            bad = next(cell for cell in cells[1:] if number(cell) is None)
            raise source.error(f"{bad!r} is not a number", place)
        x, y, w, h, *rest = [value for value in values if value is not None]
        if rest and rest[0] == 0:
            rows.count("confidence 0")
            continue
        rows.add(
            source.frame_time(frame - 1, place),
            (x - 1, y - 1, w, h),
            _class_of(source, rest, len(cells), place),
            track_id=_track_of(source, cells[1], place),
            confidence=rest[0] if rest and rest[0] > 0 else 1.0,
        )
    return rows


def _track_of(source: LabelSource, text: str, place: str) -> int:
    track = number(text)
    if track is None or not -1 <= track < 2**32:
        raise source.error(f"{text!r} is no number of a track", place)
    return max(int(track), 0)


def _class_of(source: LabelSource, rest: list[float], num_cells: int, place: str) -> int:
    # Ten values are a detection's: behind the confidence come world coordinates, not a class.
    class_id = float(rest[1] if len(rest) > 1 and num_cells < 10 else _NO_CLASS)
    if class_id == _NO_CLASS:
        if len(source.label_map) != 1:
            raise source.error(
                f"the line names no class, and the label map has {len(source.label_map)}: "
                "write the id of the label map as the eighth value",
                place,
            )
        return next(iter(source.label_map))
    if class_id < 0 or not class_id.is_integer():
        raise source.error(f"the class is {class_id:g}, which is no id of a label map", place)
    return source.class_numbered(int(class_id), place)
