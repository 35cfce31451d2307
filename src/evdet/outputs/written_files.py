"""No output of a command is one of its inputs, or another of its outputs."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evdet.atomic_file import remove_leftovers
from evdet.data import SPLIT_JOURNAL
from evdet.labels import LABEL_MAP_FILE, LABEL_SUFFIXES, FolderError, key_of
from evdet.runs import RunFolder

__all__ = [
    "check_folder_apart",
    "dataset_files",
    "label_maps_of",
    "prepare_files",
    "recording_files",
    "run_files",
]

_INDEX = ".evdet-index"  # beside a RAW recording
_WEIGHTS = ".safetensors"
_OF_WEIGHTS = ("config.json", "README.md")  # beside them
_OF_DATA_SET = (LABEL_MAP_FILE, SPLIT_JOURNAL, "simulation.yaml")
# The layout of DSEC-Detection: SEQUENCE/events/left/events.h5, SEQUENCE/object_detections/...
_DSEC_LABELS = Path("object_detections/left/tracks.npy")
_DSEC_DEPTH = 2


def prepare_files(
    named: Iterable[Path | None],
    *,
    derived: Iterable[Path] = (),
    read: Iterable[Path | None] = (),
) -> None:
    """Refuse outputs that would replace what is read, or each other, before any work.

    Files are compared by path, through symbolic links, and as hard links. What a killed command
    left beside the outputs is removed.

    Args:
        named: files to write that the user names; None passes.
        derived: further files to write, such as x-0.png for x.png.
        read: files and folders that are read; a folder stands for every file below it. None and
            missing ones pass.

    Raises:
        ValueError: a file is read, or is to be written twice.
    """
    inputs = _Inputs(path for path in read if path is not None)
    written: dict[str, Path] = {}
    outputs = [*(path for path in named if path is not None), *derived]
    for path in outputs:
        reason = inputs.reason(path)
        if reason is not None:
            raise ValueError(f"cannot write {path}: {reason}; name another file")
        # Hard links to one file, as best.ckpt and last.ckpt may be, are replaced one by one.
        places = [mark for mark in _marks(path) if isinstance(mark, str)]
        for place in places:
            if place in written:
                what = "" if str(written[place]) == str(path) else f" (also as {written[place]})"
                raise ValueError(f"cannot write {path}: it is named twice as an output{what}")
        written |= dict.fromkeys(places, path)
    remove_leftovers(outputs)


def check_folder_apart(folder: Path | None, *, read: Iterable[Path | None]) -> None:
    """Refuse a folder for results that is, or lies in, a folder that is read; None passes.

    Raises:
        ValueError: results would be read as further inputs.
    """
    if folder is None:
        return
    place = os.path.realpath(folder)
    for one in read:
        if one is not None and one.is_dir() and _lies_in(place, os.path.realpath(one)):
            raise ValueError(
                f"cannot write to {folder}: it lies in {one}, which is read; name another folder"
            )


def recording_files(recording: Path | None) -> list[Path]:
    """A recording, or another source, and what belongs to it, whether it exists or not.

    Returns:
        Its index, the label files of its name beside it (NAME_bbox.npy), and the label map of its
        data set.
    """
    if recording is None:
        return []
    files = [recording, recording.with_name(f"{recording.name}{_INDEX}")]
    here = recording.absolute()
    files += [path for path in _files_beside(here) if _may_be_labels(path, here)]
    if len(here.parents) > _DSEC_DEPTH:
        files.append(here.parents[_DSEC_DEPTH] / _DSEC_LABELS)
    return [*files, *label_maps_of(recording)]


def label_maps_of(path: Path | None) -> list[Path]:
    """The label map that belongs to a recording or a label file, if there is one."""
    if path is None:
        return []
    here = path.absolute()
    folders = (here, *here.parents) if path.is_dir() else here.parents
    found = (folder / LABEL_MAP_FILE for folder in folders)
    return [file for file in found if file.exists()][:1]


def dataset_files(folder: Path | None) -> list[Path]:
    """What is read of a data set: its splits, its label map, and how it was made."""
    if folder is None or not folder.is_dir():
        return []
    # Here, because it loads torch, which takes longer than `evdet info`.
    from evdet.data import SPLITS, layout_of

    files = [folder / name for name in _OF_DATA_SET]
    try:
        layout = layout_of(folder)
    except FolderError:  # said when the folder is opened
        return files
    return [*files, *(part for split in SPLITS for part in layout.folders(folder, split))]


def run_files(checkpoint: Path | None, *, but: Sequence[str] = ()) -> list[Path]:
    """The files of a run, or of a folder of weights, given the folder or a file in it.

    Args:
        checkpoint: a file or folder; the name of bundled weights, or None, has no run.
        but: attributes of `RunFolder` that are left out: the command's own results.
    """
    if checkpoint is None or not checkpoint.exists():
        return []
    run = RunFolder(checkpoint) if checkpoint.is_dir() else RunFolder.of_checkpoint(checkpoint)
    is_run = checkpoint.is_dir() or run.config_file.exists() or run.checkpoints.is_dir()
    names = ("config_file", "checkpoints", "logs", "training_file", "evaluation", "video",
             "speed_file", "report", "comparison")  # fmt: skip
    files = [getattr(run, name) for name in names if is_run and name not in but]
    weights = [checkpoint] if checkpoint.suffix.lower() == _WEIGHTS else []
    if checkpoint.is_dir():
        weights = list(checkpoint.glob(f"*{_WEIGHTS}"))
        files += checkpoint.rglob("*.ckpt")
    else:
        files.append(checkpoint)
    return [*files, *weights, *(one.with_name(name) for one in weights for name in _OF_WEIGHTS)]


class _Inputs:
    """Files and folders that are read."""

    def __init__(self, paths: Iterable[Path]) -> None:
        there = [path for path in dict.fromkeys(paths) if os.path.lexists(path)]
        self._folders = {os.path.realpath(path): path for path in there if path.is_dir()}
        self._marks = {mark: path for path in there for mark in _marks(path)}

    def reason(self, path: Path) -> str | None:
        """Why a file must not be written; None where it may."""
        if not os.path.lexists(path):
            return None
        marks = _marks(path)
        if any(mark in self._marks for mark in marks):
            return "it is read"
        places = [mark for mark in marks if isinstance(mark, str)]
        for real, folder in self._folders.items():
            if any(_lies_in(place, real) for place in places) or _is_link_into(path, folder):
                return f"it is read, as a file of {folder}"
        return None


def _marks(path: Path) -> list[str | tuple[int, int]]:
    """What identifies a file: its path, that of its target, and its number in the file system."""
    parent = os.path.realpath(path.absolute().parent)
    marks: list[str | tuple[int, int]] = [
        os.path.normcase(os.path.join(parent, path.name)),
        os.path.normcase(os.path.realpath(path)),
    ]
    try:
        status = path.stat()
    except OSError:  # it does not exist, or is a link to nothing
        return marks
    return [*marks, (status.st_dev, status.st_ino)]


def _lies_in(place: str, folder: str) -> bool:
    return os.path.normcase(place) == os.path.normcase(folder) or os.path.normcase(
        place
    ).startswith(os.path.join(os.path.normcase(folder), ""))


def _is_link_into(path: Path, folder: Path) -> bool:
    """Whether a file is a hard link to one in a folder."""
    try:
        status = path.stat()
    except OSError:
        return False
    if status.st_nlink < 2 or path.is_dir():
        return False
    return any(
        (entry.st_dev, entry.st_ino) == (status.st_dev, status.st_ino) for entry in _all_in(folder)
    )


def _all_in(folder: Path) -> Iterator[os.stat_result]:
    for here, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.stat(os.path.join(here, name))
            except OSError:
                continue


def _files_beside(recording: Path) -> list[Path]:
    try:
        return sorted(recording.parent.iterdir())
    except OSError:
        return []


def _may_be_labels(path: Path, recording: Path) -> bool:
    """Whether a file is named as labels of the recording, such as drive_bbox.npy.

    drive.csv is not protected: a second detection in drive.raw may replace the first one's result.
    """
    if path.name == recording.name or path.suffix.lower() not in ("", *LABEL_SUFFIXES):
        return False
    key = key_of(recording)
    return key_of(path) == key and path.stem != key
