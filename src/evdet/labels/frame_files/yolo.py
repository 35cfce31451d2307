"""YOLO text: one file per labelled frame, `class cx cy w h` in shares of the picture."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evdet.labels.frame_files.folder import files_of_frames, find_frames
from evdet.labels.source import BoxRows, LabelSource, number, to_time
from evdet.labels.text import read_text

__all__ = ["read_yolo"]

# Rounding may put a border a little beyond the picture.
_TOLERANCE = 1e-3
# Models and annotators may put one farther.
_BEYOND = 0.02


def read_yolo(source: LabelSource) -> BoxRows:
    """Read YOLO text: `class cx cy w h`, in shares of the picture.

    A sixth value is a confidence or, in whole numbers above 1, a track; a seventh the track after
    the confidence. What a sixth value is, all files of the folder decide together.

    Args:
        source: a folder of files named by frame number, from 0, or one file, for the end of the
            recording. The class is an id of the label map. Predictions of ultralytics for a video,
            `video_12.txt` with confidences or tracks or in a folder `labels`, count from 1.

    Returns:
        The boxes, and the times of empty files as empty times; ids as on disk.

    Raises:
        LabelError: a line is invalid.
    """
    paths = files_of_frames(source, ".txt")
    lines = [line for i, path in enumerate(paths) for line in _lines_of(source, path, i)]
    _check_centres(source, paths, lines)
    sixth = _meaning_of_sixth(source, paths, lines)
    is_run = source.path.name == "labels" or any(len(line.values) > 4 for line in lines)
    first = int(source.path.is_dir() and is_run and _are_of_ultralytics(paths))
    times, notes = find_frames(source, paths, first=first)
    rows = BoxRows(notes=list(notes))
    if first:
        rows.notes.append("frame numbers count from 1, as ultralytics writes them")
    size = source.facts().size if paths else None
    used = Counter(line.file for line in lines)
    for line in lines:
        if size is None:
            break
        cx, cy, w, h, *more = line.values
        confidence = more[0] if more and (sixth == "confidence" or len(more) == 2) else 1.0
        track = more[-1] if more and (sixth == "track" or len(more) == 2) else 0
        rows.add(
            times[line.file],
            (
                (cx - w / 2) * size.width,
                (cy - h / 2) * size.height,
                w * size.width,
                h * size.height,
            ),
            line.class_id,
            track_id=int(track),
            confidence=confidence,
        )
    rows.empty_times = [t for i, t in enumerate(times) if not used[i]]
    return rows


class _Line(NamedTuple):
    file: int
    """Index of the file."""
    where: str
    class_id: int
    values: tuple[float, ...]
    """What follows the class."""


def _lines_of(source: LabelSource, path: Path, file: int) -> list[_Line]:
    lines = []
    for line_number, text in enumerate(read_text(source, path).splitlines(), start=1):
        if text.strip():
            lines.append(_parse(source, text, f"line {line_number}", path, file))
    return lines


def _parse(source: LabelSource, text: str, where: str, path: Path, file: int) -> _Line:
    cells = text.split()
    # numpy.savetxt writes 0.000000e+00.
    class_id = to_time(cells[0]) if re.fullmatch("[0-9.eE+-]+", cells[0]) else None
    if class_id is None or not 0 <= class_id < 10**9:
        raise source.error(
            f"the class is {cells[0][:40]!r}, not an id of the label map, and YOLO's lines are "
            "`class cx cy w h`, separated by spaces",
            where,
            path,
        )
    if not 5 <= len(cells) <= 7:
        values_are = "value" if len(cells) == 1 else "values"
        raise source.error(
            f"{len(cells)} {values_are} instead of `class cx cy w h`{_of_more(len(cells))}",
            where,
            path,
        )
    values: list[float] = []
    for cell in cells[1:]:
        value = number(cell)
        if value is None:
            raise source.error(f"{cell!r} is not a number", where, path)
        values.append(value)
    if len(values) == 6 and not _is_track(values[5]):
        raise source.error(
            "7 values, and the last is not a track number: are these outlines or keypoints? Export "
            "boxes",
            where,
            path,
        )
    for name, value in zip(("cx", "cy", "w", "h"), values, strict=False):
        if not -_TOLERANCE <= value <= 1 + _TOLERANCE:
            hint = ": are these pixels?" if value > 1 else ""
            raise source.error(
                f"{name} is {value:g}, which is not a share of the picture's width or height "
                f"from 0 to 1, as YOLO boxes are{hint}",
                where,
                path,
            )
    if len(values) == 6 and not 0 <= values[4] <= 1:
        raise source.error(f"the confidence is {values[4]:g}, not from 0 to 1", where, path)
    return _Line(file, where, class_id, tuple(values))


def _of_more(num_values: int) -> str:
    if num_values <= 7:
        return ""
    kitti = " KITTI's lines have 15 values, or 17 with a frame and a track."
    return ": are these outlines or keypoints? Export boxes." + (
        kitti if num_values in (15, 16, 17, 18) else ""
    )


def _check_centres(source: LabelSource, paths: Sequence[Path], lines: Sequence[_Line]) -> None:
    """Refuse corners in place of a centre and a size: boxes then reach beyond the picture."""
    if not all(
        line.values[2] > line.values[0] and line.values[3] > line.values[1] for line in lines
    ):
        return
    for line in lines:
        cx, cy, w, h = line.values[:4]
        if min(cx - w / 2, cy - h / 2) < -_BEYOND or max(cx + w / 2, cy + h / 2) > 1 + _BEYOND:
            raise source.error(
                "the box reaches beyond the picture, and each line could be the two corners x1 y1 "
                "x2 y2: write the centre and the size, `class cx cy w h`, or clip the boxes",
                line.where,
                paths[line.file],
            )


def _is_track(value: float) -> bool:
    return value.is_integer() and 0 <= value < 2**32


def _meaning_of_sixth(source: LabelSource, paths: Sequence[Path], lines: Sequence[_Line]) -> str:
    """What the sixth value of lines with six is: confidence or track."""
    some = [line for line in lines if len(line.values) == 5]
    values = [line.values[4] for line in some]
    if all(0 <= value <= 1 for value in values) and any(0 < value < 1 for value in values):
        return "confidence"
    if all(map(_is_track, values)) and any(value > 1 for value in values):
        return "track"
    bad = next((line for line in some if line.values[4] not in (0, 1)), None)
    if bad is not None:
        raise source.error(
            f"the sixth value is {bad.values[4]:g}, neither a confidence from 0 to 1 nor a track "
            "number, as the other lines have it",
            bad.where,
            paths[bad.file],
        )
    # All are 0 or 1. One frame has a track once.
    if any(n > 1 for n in Counter((line.file, line.values[4]) for line in some).values()):
        return "confidence"
    if some:
        raise source.error(
            "every sixth value is 0 or 1, which may be a confidence or a track number: leave it "
            "out, or write both, `class cx cy w h confidence track`",
            some[0].where,
            paths[some[0].file],
        )
    return ""


def _are_of_ultralytics(paths: Sequence[Path]) -> bool:
    """Whether names are those of its predictions of a video: video_1, video_2, ... video_10."""
    found = [re.fullmatch(r".+_([1-9][0-9]*)", path.stem) for path in paths]
    return bool(found) and all(found)
