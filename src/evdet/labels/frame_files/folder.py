"""The files of a folder with one file per labelled frame."""

from collections.abc import Sequence
from pathlib import Path

from evdet.labels.frame_numbers import frame_numbers, note_first_frame
from evdet.labels.source import LabelError, LabelSource

__all__ = ["files_of_frames", "find_frames", "is_frame_folder"]

# Other files that annotation tools write into the folder.
_NO_FRAMES = ("classes", "labels", "obj", "train", "val", "test", "predefined_classes", "notes")


def is_frame_folder(path: Path) -> bool:
    """Whether a folder is one recording: YOLO or VOC files, each of a frame by its name.

    Files of recordings in the same formats have names without a frame number; MOT text and tables
    have commas.
    """
    if not path.is_dir():
        return False
    source = LabelSource(path, {})
    kinds = {suffix: files_of_frames(source, suffix) for suffix in (".txt", ".xml")}
    files = kinds[".txt"] or kinds[".xml"]
    others = [one for one in path.iterdir() if one.suffix.lower() in (".json", ".npy", ".csv")]
    if not files or (kinds[".txt"] and kinds[".xml"]) or others:
        return False
    if not all(map(_is_of_frame, files)):
        return False
    try:
        frame_numbers(source, [one.name for one in files])
    except LabelError:
        return False
    return True


def _is_of_frame(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(1 << 12)
    if path.suffix.lower() == ".xml":
        return b"<annotation>" in start or b"<annotation " in start
    first = next((line for line in start.splitlines() if line.strip()), b"")
    return not first or (b"," not in first and 5 <= len(first.split()) <= 7)


def files_of_frames(source: LabelSource, suffix: str) -> list[Path]:
    """The files of the labelled frames, in order of their names; a file alone is one.

    Args:
        source: a folder or a file.
        suffix: the ending of the files.
    """
    if not source.path.is_dir():
        return [source.path]
    return [
        path
        for path in sorted(source.path.iterdir())
        if path.suffix.lower() == suffix
        and path.stem.lower() not in _NO_FRAMES
        and not path.name.lower().startswith(("readme", "."))
    ]


def find_frames(
    source: LabelSource, paths: Sequence[Path], *, first: int = 0
) -> tuple[list[int], tuple[str, ...]]:
    """The time of each file, and notes.

    Args:
        source: the folder, or the file, which is labelled at the end of the recording.
        paths: its files.
        first: the number of the first frame.

    Raises:
        LabelError: a name has no frame number, or two have the same.
    """
    if not source.path.is_dir():
        return [source.facts().end or 0], ()
    numbers = frame_numbers(source, [path.name for path in paths])
    notes = note_first_frame(numbers) if not first else ()
    times = [
        source.frame_time(number - first, path.name)
        for path, number in zip(paths, numbers, strict=True)
    ]
    return times, notes
