"""The plan of a split: which recording goes into train, val and test; no recording is cut."""

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evdet.data.folder_layouts import RecordingEntry, pair_up
from evdet.data.split.journal import SPLIT_JOURNAL
from evdet.data.split.shares import assign
from evdet.labels import FolderError, key_of

__all__ = ["SplitPart", "SplitPlan", "plan_split"]

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
        FolderError: the folder does not exist, is split already or halfway, or has too few
            recordings.
        ValueError: a share is negative or infinite, or all are 0.
    """
    wanted = _check_shares(shares)
    if not folder.is_dir():
        what = "is a file: give the folder that it lies in" if folder.exists() else "does not exist"
        raise FolderError(f"{folder} {what}")
    if (folder / SPLIT_JOURNAL).exists():
        raise FolderError(
            f"{folder} has an unfinished split, which `evdet split {folder}` undoes before it "
            "splits again"
        )
    for split in shares:
        if (folder / split).exists():
            raise FolderError(
                f"{folder / split} exists already, and is not changed. Move it away to split "
                "again, or use the folder as it is."
            )
    entries = pair_up(folder).entries
    if len(entries) < len(wanted):
        raise FolderError(
            f"the splits {', '.join(wanted)} need a recording each, and {folder} has "
            f"{len(entries)}. Recordings are not cut, as their parts would be too similar: record "
            "more, or give a split the share 0."
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
    # Folders that contain recordings stay where they are.
    with_recordings = {parent for entry in entries for parent in entry.recording.parents}
    files: dict[str, list[Path]] = {entry.name: [] for entry in entries}
    for folder, name_of in by_folder.items():
        for path in sorted(folder.iterdir()):
            # Hidden files too: readers keep indexes as `.name.raw...` beside a recording.
            owner = _owner(path.name.removeprefix("."), name_of)
            if owner is None:
                continue
            goes_along = path not in with_recordings and key_of(path) == owner
            if path.is_file() or goes_along:
                files[name_of[owner]].append(path)
    return {name: tuple(paths) for name, paths in files.items()}


def _owner(name: str, keys: Container[str]) -> str | None:
    """The longest key that a file's name begins with, before its end, a dot, _ or -."""
    for end in range(len(name), 0, -1):
        if _NEXT_TO_KEY.match(name[end : end + 1]) and name[:end] in keys:
            return name[:end]
    return None
