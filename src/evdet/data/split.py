"""Split a folder's recordings into train, val and test; no recording is cut."""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from evdet.data.folder_layouts import RecordingEntry, pair_up
from evdet.data.shares import assign
from evdet.labels import FolderError, key_of

__all__ = ["SplitPart", "SplitPlan", "do_split", "plan_split"]

_NEXT_TO_KEY = re.compile(r"[._-]|$")


@dataclass(frozen=True)
class SplitPart:
    """A recording and the files that belong to it."""

    name: str
    """Path in the folder, without extension."""
    files: tuple[Path, ...]
    """The recording, its labels, and other files of its name."""
    weight: int
    """Its duration in microseconds, or 1 if recordings are counted."""
    has_labels: bool
    """Whether a label file lies beside it."""
    num_boxes: Mapping[str, int] = field(default_factory=dict)
    """Boxes of each class, if they are counted."""


@dataclass(frozen=True)
class SplitPlan:
    """Which recording goes into which split."""

    folder: Path
    parts: Mapping[str, tuple[SplitPart, ...]]
    """The recordings of each split, sorted by name."""

    def share(self, split: str) -> float:
        """The split's share of the total weight, in [0, 1]."""
        total = sum(part.weight for parts in self.parts.values() for part in parts)
        return sum(part.weight for part in self.parts[split]) / max(total, 1)

    def num_boxes(self, split: str) -> dict[str, int]:
        """Boxes of each class in a split, in the order of the classes' first recordings."""
        counts = {name: 0 for parts in self.parts.values() for p in parts for name in p.num_boxes}
        for part in self.parts[split]:
            for name, count in part.num_boxes.items():
                counts[name] += count
        return counts


def plan_split(
    folder: Path,
    *,
    shares: Mapping[str, float],
    seed: int = 0,
    weigh: Callable[[Path], int] | None = None,
    count_boxes: Callable[[RecordingEntry], Mapping[str, int]] | None = None,
    progress: Callable[[Sequence[RecordingEntry]], Iterable[RecordingEntry]] = iter,
) -> SplitPlan:
    """Plan the split of each recording of a folder; no file is changed.

    Args:
        folder: has recordings with their labels beside them, in it or in folders below.
        shares: how much each split gets, by name; in any unit.
        seed: the same seed gives the same plan for the same recordings.
        weigh: the weight of a recording, such as its duration; by default 1.
        count_boxes: boxes of each class in a recording. With it every split gets its share of
            each class, and no class is missing from a split where that is possible.
        progress: wraps the recordings while they are weighed.

    Raises:
        FolderError: the folder does not exist, is split already, or has too few recordings.
        ValueError: a share is negative or infinite, or all are 0.
    """
    wanted = _check_shares(shares)
    if not folder.is_dir():
        what = "is a file: give the folder that it lies in" if folder.exists() else "does not exist"
        raise FolderError(f"{folder} {what}")
    for split in shares:
        if (folder / split).exists():
            raise FolderError(
                f"{folder / split} exists already, and is not changed. Move it away to split "
                "again, or use the folder as it is."
            )
    entries = pair_up(folder).entries
    if len(entries) < len(wanted):
        raise FolderError(
            f"{folder} has {len(entries)} recordings for the splits {', '.join(wanted)}. "
            "Recordings are not cut, as their parts would be too similar: record more, or give a "
            "split the share 0."
        )
    weights, boxes = [], []
    for entry in progress(entries):
        weights.append(1 if weigh is None else max(weigh(entry.recording), 1))
        boxes.append({} if count_boxes is None else dict(count_boxes(entry)))
    files = _files_of(entries)  # now, since reading may have left an index beside a recording
    parts = [
        SplitPart(entry.name, files[entry.name], weight, entry.boxes is not None, counts)
        for entry, weight, counts in zip(entries, weights, boxes, strict=True)
    ]
    names = sorted({name for counts in boxes for name in counts})
    counts_of = [[counts.get(name, 0) for name in names] for counts in boxes] if names else None
    assigned = assign(weights, list(wanted.values()), seed, counts_of)
    chosen = {
        split: tuple(parts[i] for i in sorted(indices))
        for split, indices in zip(wanted, assigned, strict=True)
    }
    return SplitPlan(folder, chosen)


def do_split(plan: SplitPlan, how: Literal["move", "link", "copy"] = "move") -> None:
    """Carry out a plan, completely or not at all.

    Args:
        plan: the split of each recording.
        how: move the files, or put hard links or copies into the new folders.

    Raises:
        OSError: a file could not be placed; all earlier steps are undone.
    """
    undo: list[Callable[[], object]] = []
    try:
        for split, parts in plan.parts.items():
            for part in parts:
                for source in part.files:
                    target = plan.folder / split / source.relative_to(plan.folder)
                    undo += _make_folders(target.parent)
                    if os.path.lexists(target):
                        raise FileExistsError(f"{target} exists already")
                    undo.append(_place(source, target, how))
    except BaseException:  # signals, too
        for step in reversed(undo):
            step()
        raise


def _check_shares(shares: Mapping[str, float]) -> dict[str, float]:
    bad = [split for split, share in shares.items() if not 0 <= share < float("inf")]
    total = sum(shares.values())
    if bad or total <= 0:
        given = ", ".join(f"{split} {share:g}" for split, share in shares.items())
        raise ValueError(f"shares must be 0 or more and not all 0, got {given}")
    return {split: share / total for split, share in shares.items() if share > 0}


def _files_of(entries: Sequence[RecordingEntry]) -> dict[str, tuple[Path, ...]]:
    """All files of each recording: those of its name, and not of a longer recording's name."""
    by_folder: dict[Path, dict[str, str]] = {}
    for entry in entries:
        by_folder.setdefault(entry.recording.parent, {})[key_of(entry.recording)] = entry.name
    files: dict[str, list[Path]] = {entry.name: [] for entry in entries}
    for folder, name_of in by_folder.items():
        keys = sorted(name_of, key=len, reverse=True)
        for path in sorted(folder.iterdir()):
            # Hidden files too: readers keep indexes as `.name.raw...` beside a recording.
            name = path.name.removeprefix(".")
            owner = next(
                (k for k in keys if name.startswith(k) and _NEXT_TO_KEY.match(name[len(k) :])), None
            )
            if owner is not None and (path.is_file() or _goes_along(path, owner, entries)):
                files[name_of[owner]].append(path)
    return {name: tuple(paths) for name, paths in files.items()}


def _goes_along(folder: Path, owner: str, entries: Sequence[RecordingEntry]) -> bool:
    """Whether a folder belongs to a recording, and does not contain recordings itself."""
    return not any(folder in entry.recording.parents for entry in entries) and (
        key_of(folder) == owner
    )


def _make_folders(folder: Path) -> list[Callable[[], object]]:
    """Make a folder and its parents; returns the steps to undo that."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [path.rmdir for path in reversed(missing)]


def _place(source: Path, target: Path, how: str) -> Callable[[], object]:
    """Put one file or folder into place; returns the step to undo that."""
    if how == "move":
        if source.is_symlink() and not source.readlink().is_absolute():
            text = source.readlink()  # relative to where it was
            target.symlink_to(source.resolve())
            source.unlink()

            def link_again() -> None:
                target.unlink()
                source.symlink_to(text)

            return link_again
        source.rename(target)
        return lambda: target.rename(source)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link if how == "link" else shutil.copy2)
        return lambda: shutil.rmtree(target)
    if how == "link":
        target.hardlink_to(source)
    else:
        shutil.copy2(source, target)
    return target.unlink
