"""A data set folder: train, val and test with recordings and their label files."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evdet.data.folder_layouts import FolderContents, RecordingEntry, layout_of, pair_up
from evdet.data.split import SPLIT_JOURNAL
from evdet.events import AS_STATED, ReadOptions
from evdet.labels import (
    LABEL_MAP_FILE,
    FolderError,
    LabeledTimes,
    RecordingFacts,
    published_classes,
    read_boxes,
    read_label_map,
)

__all__ = [
    "SPLITS",
    "DatasetFolder",
    "open_folder",
    "read_labels",
]

_log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
"""The splits of a data set."""


@dataclass(frozen=True)
class DatasetFolder:
    """The content of a data set folder."""

    path: Path
    label_map: Mapping[int, str]
    """Class names of the ids on disk."""
    splits: Mapping[str, tuple[RecordingEntry, ...]]
    """The recordings of each split that the folder has, sorted by name."""
    layout: str = "plain"
    """plain, DSEC-Detection or eTraM."""
    unmatched: Mapping[str, tuple[Path, ...]] | None = None
    """Label files of each split without a recording."""
    notes: tuple[str, ...] = ()
    """Choices among several files."""
    options: ReadOptions = AS_STATED
    """How to read the recordings."""


def open_folder(
    path: Path, *, splits: Sequence[str] = SPLITS, options: ReadOptions = AS_STATED
) -> DatasetFolder:
    """Find the recordings of a data set and the label file of each.

    Recordings lie in `train/`, `val/` or `test/` or any folder below. A label file lies beside its
    recording and has its name, without the extension and a trailing `_td`, `_cd` or `_events`, and
    optionally with `_bbox`, `_boxes` or `_labels` appended. No recording is opened.

    Args:
        path: the folder, in this plain layout or that of DSEC-Detection or eTraM as published.
        splits: the splits to look for.
        options: what the files of the recordings leave open.

    Returns:
        The folder, including recordings without labels.

    Raises:
        FolderError: the folder does not exist, or has no recordings or classes.
    """
    if not path.is_dir():
        what = "is a file: give the folder that it lies in" if path.exists() else "does not exist"
        raise FolderError(f"{path} {what}. A data set is a folder with train/, val/ and test/.")
    if (path / SPLIT_JOURNAL).exists():
        raise FolderError(
            f"{path} is split halfway: a split is in work, or was killed. `evdet split {path}` "
            "undoes it and splits again."
        )
    layout = layout_of(path)
    contents = {}
    for split in splits:
        folders = layout.folders(path, split)
        if folders:
            contents[split] = _join([layout.find(folder) for folder in folders])
    if not any(each.entries for each in contents.values()):
        raise FolderError(_nothing_found(path, splits, list(contents)))
    entries = {split: each.entries for split, each in contents.items()}
    notes = tuple(note for each in contents.values() for note in each.notes)
    if notes:
        more = f"; the same for {len(notes) - 1} more" if len(notes) > 1 else ""
        _log.warning("%s%s", notes[0], more)
    return DatasetFolder(
        path=path,
        label_map=_label_map_of(path, layout.classes, entries),
        splits=entries,
        layout=layout.name,
        unmatched={split: each.unmatched for split, each in contents.items()},
        notes=notes,
        options=options,
    )


def read_labels(
    entry: RecordingEntry,
    folder: DatasetFolder,
    recording: RecordingFacts | None = None,
    *,
    frame_period: int | None = None,
) -> LabeledTimes:
    """Read the labels of a recording, in any supported format.

    Args:
        entry: one of the folder's recordings.
        folder: the folder, for its label map.
        recording: the opened recording; some label formats need its sensor size or clock.
        frame_period: microseconds from one frame to the next, for labels numbered by frame.

    Returns:
        The labels; empty if the recording has no label file.

    Raises:
        LabelError: the label file cannot be understood.
    """
    if entry.boxes is None:
        return LabeledTimes.empty()
    return read_boxes(entry.boxes, folder.label_map, recording=recording, frame_period=frame_period)


def _join(contents: list[FolderContents]) -> FolderContents:
    entries = tuple(sorted((e for each in contents for e in each.entries), key=lambda e: e.name))
    for first, second in itertools.pairwise(entries):
        if first.name == second.name:
            raise FolderError(
                f"{first.recording} and {second.recording} have the same name: is one a copy of "
                "the other? Move it away, or rename it and its labels."
            )
    return FolderContents(
        entries,
        tuple(path for each in contents for path in each.unmatched),
        tuple(note for each in contents for note in each.notes),
    )


def _nothing_found(path: Path, splits: Sequence[str], found: list[str]) -> str:
    if found:
        return (
            f"{path} has no recording in {', '.join(f'{name}/' for name in found)}. Put recordings "
            "there, each with its label file beside it."
        )
    wanted = ", ".join(f"{name}/" for name in splits)
    if pair_up(path).entries:
        return (
            f"{path} has recordings, but no {wanted} that contain them. "
            f"`evdet split {path}` splits them."
        )
    return (
        f"{path} has no {wanted} with recordings. Put recordings and their label files into them, "
        f"or into {path} and run `evdet split {path}`."
    )


def _label_map_of(
    path: Path,
    classes: Sequence[str],
    entries: Mapping[str, tuple[RecordingEntry, ...]],
) -> dict[int, str]:
    """The classes of the file at the root, or of the published data set."""
    file = path / LABEL_MAP_FILE
    if file.exists():
        return read_label_map(file)
    names = [Path(entry.name).name for part in entries.values() for entry in part]
    classes = classes or published_classes(names)
    if classes:
        _log.info("%s has no %s; its classes are %s", path, LABEL_MAP_FILE, ", ".join(classes))
        return dict(enumerate(classes))
    raise FolderError(
        f"{file} is missing: it names the classes. Write one line into it, such as "
        '{"0": "car", "1": "pedestrian"}, with the class ids of your label files, or any ids if '
        "they have names."
    )
