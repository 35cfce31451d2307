"""The folder layouts of data sets: evdet's plain layout and published ones."""

import re
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from evdet.data.frames_file import is_metavision_tensors
from evdet.events import has_event_header, is_bag_folder
from evdet.labels import LABEL_SUFFIXES, LABEL_TAIL, FolderError, is_box_npy, key_of

__all__ = [
    "FolderContents",
    "Layout",
    "RecordingEntry",
    "find_outside",
    "find_recordings",
    "labels_beside",
    "layout_of",
    "pair_up",
]

# Text and arrays can be recordings or labels; these are always recordings. AEDAT is listed so that
# the error of opening it names the converter.
_RECORDINGS = (".dat", ".raw", ".h5", ".hdf5", ".aedat4", ".aedat", ".es", ".bin",
               ".bag", ".db3", ".mcap")  # fmt: skip
_EITHER = (".npy", ".npz", ".csv", ".txt")
_NO_LABELS = re.compile(
    r"(readme|licen[cs]e|notice|changelog|classes|label_map|requirements)", re.I
)
_RVT_FRAMES = "event_representations_v2"
_DSEC_EVENTS = Path("events/left/events.h5")
_DSEC_MAP = "rectify_map.h5"  # beside the events
_DSEC_BOXES = Path("object_detections/left/tracks.npy")


@dataclass(frozen=True)
class RecordingEntry:
    """A recording and its labels."""

    recording: Path
    """The file; a folder for a ROS 2 bag and for a sequence of RVT's frames."""
    boxes: Path | None
    """Its label file, or a folder of one file per frame; None without labels."""
    name: str
    """Path in its split, without extension; unique there."""
    kind: Literal["events", "frames"] = "events"
    """Events or ready-made frames."""


class FolderContents(NamedTuple):
    """The recordings and labels in a folder."""

    entries: tuple[RecordingEntry, ...]
    """Recordings, sorted by name."""
    unmatched: tuple[Path, ...]
    """Label files without a recording."""
    notes: tuple[str, ...]
    """Choices among several files."""


@dataclass(frozen=True)
class Layout:
    """The layout of a data set folder."""

    name: str
    folders: Callable[[Path, str], list[Path]]
    """The folders of a split, given the root."""
    find: Callable[[Path], FolderContents]
    """Reads such a folder."""
    classes: tuple[str, ...] = ()
    """The classes, if known without a label map."""


def layout_of(path: Path) -> Layout:
    """Recognise the layout of a data set by its folders.

    Raises:
        FolderError: the folder has the same data set in two forms.
    """
    if any(path.glob(f"*/*/{_DSEC_EVENTS}")):
        return _DSEC
    homes = [
        home
        for home in (path, path / "HDF5", path / "RAW", path / "Static/HDF5", path / "Static/RAW")
        if any(_etram_folders(home, split) for split in ("train", "val", "test"))
    ]
    if len(homes) > 1:
        raise FolderError(
            f"{path} contains the data set more than once: give one of "
            f"{', '.join(str(home) for home in homes)}"
        )
    if homes:
        return Layout(
            "eTraM",
            lambda _, split: _etram_folders(homes[0], split),
            pair_up,
            ("pedestrian", "vehicle", "micro-mobility"),
        )
    return Layout("plain", lambda root, split: [p for p in [root / split] if p.is_dir()], pair_up)


def pair_up(folder: Path) -> FolderContents:
    """Find recordings and the labels beside each, in a folder and all folders below.

    Raises:
        FolderError: two recordings in one folder have the same name.
    """
    found = [_read_one_folder(folder, here) for here in _walk(folder)]
    entries = sorted((e for contents in found for e in contents.entries), key=lambda e: e.name)
    return FolderContents(
        tuple(entries),
        tuple(path for contents in found for path in contents.unmatched),
        tuple(note for contents in found for note in contents.notes),
    )


def find_recordings(folder: Path) -> list[Path]:
    """Find all recordings in a folder and all folders below, by folder and name.

    Ready-made frames and DSEC's maps of pixels are not among them. Text and arrays are recordings
    if they hold events.
    """
    found = []
    for here in _walk(folder):
        recordings, _ = _sort_out(here)
        found += [
            path
            for path in sorted(recordings)
            if path.name != _DSEC_MAP and _entry(path, None, "").kind == "events"
        ]
    return found


def labels_beside(recording: Path) -> list[Path]:
    """Find the label files of one recording, including those of DSEC-Detection's layout.

    Returns:
        Files, and folders of one file per frame, that share its name; training reads the first.
    """
    _, labels = _sort_out(recording.parent)
    found = [path for path in labels.get(key_of(recording), []) if path != recording]
    here = recording.absolute()
    if here.parts[-len(_DSEC_EVENTS.parts) :] == _DSEC_EVENTS.parts:
        tracks = here.parents[len(_DSEC_EVENTS.parts) - 1] / _DSEC_BOXES
        found += [tracks] if tracks.is_file() else []
    return found


def find_outside(folder: Path, splits: Mapping[str, Sequence[RecordingEntry]]) -> list[Path]:
    """Find recordings in a data set folder that no split contains, nor a copy of them.

    Args:
        folder: the data set, in the plain layout.
        splits: the recordings of each split.
    """
    names = {entry.name for entries in splits.values() for entry in entries}
    children = sorted(folder.iterdir())
    keys = _keys_of_files(children)
    places = [
        child
        for child in children
        if child.is_dir()
        and child.name not in ("train", "val", "test")
        and not _is_hidden(child)
        and not _is_unit(child, keys)
    ]
    recordings, _ = _sort_out(folder)
    found = [path for path in recordings if key_of(path) not in names]
    for place in places:
        for here in _walk(place):
            recordings, _ = _sort_out(here)
            # Arrays and text of other kinds are no recordings that were forgotten.
            sure = [path for path in recordings if path.suffix.lower() not in _EITHER]
            found += [
                path
                for path in sure
                if (here.relative_to(folder) / key_of(path)).as_posix() not in names
            ]
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """The folder and all below, except those of one recording's labels or frames.

    Each real folder comes once, however many links lead to it.
    """
    seen: set[Path] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        real = here.resolve()
        if real in seen:
            continue
        seen.add(real)
        yield here
        inner = sorted(here.iterdir(), reverse=True)
        keys = _keys_of_files(inner)
        children = [
            child
            for child in inner
            if child.is_dir() and not _is_hidden(child) and not _is_unit(child, keys)
        ]
        # Links last, so that a folder has its own name.
        waiting += [child for child in children if child.is_symlink()]
        waiting += [child for child in children if not child.is_symlink()]


def _keys_of_files(paths: Iterable[Path]) -> set[str]:
    """The names that recordings share with their labels, of files that may be recordings."""
    beside = (path for path in paths if path.suffix.lower() in (*_RECORDINGS, *_EITHER))
    return {key_of(path) for path in beside if path.is_file()}


def _is_unit(folder: Path, keys_beside: Container[str]) -> bool:
    """Whether a folder is one recording's labels, a ROS 2 bag, or one sequence of RVT's frames."""
    if _is_recording(folder):
        return True
    suffixes = {path.suffix.lower() for path in folder.iterdir()}
    if not suffixes & {".txt", ".xml"} or suffixes & set(_RECORDINGS):
        return False
    return LABEL_TAIL.search(folder.name) is not None or folder.name in keys_beside


def _read_one_folder(root: Path, here: Path) -> FolderContents:
    return _match(root, *_sort_out(here))


def _sort_out(here: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """The recordings of one folder, and its label files by the recording's name."""
    paths = [
        path
        for path in sorted(here.iterdir())
        if not _is_hidden(path) and (path.is_file() or path.is_dir())  # no pipes, no devices
    ]
    labels: dict[str, list[Path]] = {}
    folders = {path for path in paths if path.is_dir()}
    recordings = [path for path in paths if path.suffix.lower() in _RECORDINGS and path.is_file()]
    recordings += [path for path in paths if path in folders and _is_recording(path)]
    unsure, known = [], set(recordings)
    keys_of_files = _keys_of_files(paths)
    for path in paths:
        if path in known:
            continue
        if path in folders:
            if _is_unit(path, keys_of_files):
                labels.setdefault(key_of(path), []).append(path)
        elif path.suffix.lower() in LABEL_SUFFIXES:
            if LABEL_TAIL.search(path.stem):
                labels.setdefault(key_of(path), []).append(path)
            elif not _NO_LABELS.match(path.name):
                unsure.append(path)
    keys = {key_of(path) for path in recordings}
    # Arrays first: text beside an array of events is labels.
    for path in sorted(unsure, key=lambda path: LABEL_SUFFIXES.index(path.suffix.lower())):
        key = key_of(path)
        if key not in keys and path.suffix.lower() in _EITHER and _holds_events(path):
            recordings.append(path)
            keys.add(key)
        elif not any(LABEL_TAIL.search(known.stem) for known in labels.get(key, [])):
            labels.setdefault(key, []).append(path)
    return recordings, {key: sorted(files, key=_preference) for key, files in labels.items()}


def _match(root: Path, recordings: list[Path], labels: dict[str, list[Path]]) -> FolderContents:
    entries: dict[str, RecordingEntry] = {}
    notes = []
    for path in recordings:
        key = key_of(path)
        if key in entries:
            raise FolderError(
                f"{entries[key].recording} and {path} have the same name: is one a copy of the "
                "other? Move it away, or rename it and its labels."
            )
        mine = labels.pop(key, [])
        if len(mine) > 1:
            notes.append(f"{path} has several label files; {mine[0].name} is read")
        name = (path.parent.relative_to(root) / key).as_posix()
        entries[key] = _entry(path, mine[0] if mine else None, name)
    return FolderContents(
        tuple(entries.values()), tuple(p for paths in labels.values() for p in paths), tuple(notes)
    )


def _entry(path: Path, boxes: Path | None, name: str) -> RecordingEntry:
    if path.is_dir() and not is_bag_folder(path):
        inside = path / "labels_v2" / "labels.npz"
        return RecordingEntry(path, inside if inside.exists() else boxes, name, "frames")
    if path.suffix.lower() in (".h5", ".hdf5") and is_metavision_tensors(path):
        return RecordingEntry(path, boxes, name, "frames")
    return RecordingEntry(path, boxes, name)


def _preference(path: Path) -> tuple[bool, int]:
    """Files before folders, then in the order of `LABEL_SUFFIXES`."""
    return path.is_dir(), 0 if path.is_dir() else LABEL_SUFFIXES.index(path.suffix.lower())


def _holds_events(path: Path) -> bool:
    """Whether an array or text file holds events, by its fields or first line."""
    if path.suffix.lower() == ".npy":
        return not is_box_npy(path)
    if path.suffix.lower() == ".npz":
        return not _has_array_of_labels(path)
    with path.open("rb") as file:
        head = file.read(4096)
    if has_event_header(head):
        return True
    lines = head.decode("latin-1").splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith(("#", "%"))), "")
    cells = [cell for cell in re.split(r"[,;\s]+", first.strip().lower()) if cell]
    if {"x", "y"} <= set(cells):
        return bool({"p", "pol", "polarity", "on"} & set(cells))
    return len(cells) == 4 and all(re.fullmatch(r"[-+.\de]+", cell) for cell in cells)


def _has_array_of_labels(path: Path) -> bool:
    """Whether an archive is one of labels, as RVT's; so is one that cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "labels.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return True


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_recording(folder: Path) -> bool:
    """Whether a folder is a ROS 2 bag, or one sequence of RVT's frames."""
    return is_bag_folder(folder) or _is_rvt(folder)


def _is_rvt(folder: Path) -> bool:
    return (folder / _RVT_FRAMES).is_dir()


def _dsec_sequences(folder: Path) -> FolderContents:
    entries, unmatched = [], []
    for sequence in sorted(path for path in folder.iterdir() if path.is_dir()):
        boxes = sequence / _DSEC_BOXES
        if (sequence / _DSEC_EVENTS).is_file():
            there = boxes if boxes.is_file() else None
            entries.append(RecordingEntry(sequence / _DSEC_EVENTS, there, sequence.name))
        elif boxes.is_file():
            unmatched.append(boxes)
    return FolderContents(tuple(entries), tuple(unmatched), ())


def _etram_folders(home: Path, split: str) -> list[Path]:
    """`train_h5_1`, `train_h5_2`, ... or `train_1`, `train2`, ..."""
    if not home.is_dir():
        return []
    name = re.compile(rf"{split}_?(h5_)?\d+$")
    return sorted(path for path in home.iterdir() if path.is_dir() and name.match(path.name))


_DSEC = Layout(
    "DSEC-Detection",
    lambda root, split: [path for path in [root / split] if path.is_dir()],
    _dsec_sequences,
    ("pedestrian", "rider", "car", "bus", "truck", "bicycle", "motorcycle", "train"),
)
