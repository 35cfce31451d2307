"""`evdet split`: a folder of recordings -> train/, val/ and test/."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from evdet.cli.options import Flag, ReadingOptions, asked_size, counted, default
from evdet.cli.terminal import tqdm
from evdet.data import (
    RecordingEntry,
    SplitPlan,
    do_split,
    is_metavision_tensors,
    plan_split,
    undo_split,
)
from evdet.events import Recording, RecordingError, is_bag_folder, open_recording
from evdet.labels import LABEL_MAP_FILE, LabelError, read_boxes, read_label_map

__all__ = ["SplitOptions", "describe_plan", "split"]


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Split a folder of recordings into train/, val/ and test/; every recording stays whole."""

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """Folder of recordings with their label files next to them."""
    train: float = 0.7
    """Share for training."""
    val: float = 0.15
    """Share for validation after each epoch."""
    test: float = 0.15
    """Share for the test at the end."""
    by: Literal["duration", "count"] = "duration"
    """Unit of the shares: duration, which opens every recording, or count of recordings."""
    seed: int = 0
    """Random seed."""
    how: Literal["move", "link", "copy"] = "move"
    """Move the files, hard-link them, or copy them."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recordings."""
    dry_run: Flag = False
    """Print the plan without touching a file."""


def split(options: SplitOptions) -> None:
    """Split a folder and print the plan."""
    size = asked_size(options.sensor_size)
    opened = partial(open_recording, size=size, options=options.reading.options())
    if not options.dry_run:
        num_undone = undo_split(options.folder)
        if num_undone is not None:
            undone = counted(num_undone, "file")
            print(f"an unfinished split of {options.folder} was undone: {undone} in place again")
    plan = plan_split(
        options.folder,
        shares={"train": options.train, "val": options.val, "test": options.test},
        seed=options.seed,
        count_boxes=_box_counter(options.folder, opened),
        weigh=(lambda path: _duration(path, opened)) if options.by == "duration" else None,
        progress=lambda entries: tqdm(entries, desc="Reading", unit="recording", leave=False),
    )
    if not options.dry_run:
        do_split(plan, options.how)
    print(describe_plan(plan, by=options.by))
    if options.dry_run:
        print("dry run: no file was touched")
    elif not (options.folder / LABEL_MAP_FILE).exists():
        print(
            f"next step: name the classes in {options.folder / LABEL_MAP_FILE}, such as "
            '{"0": "car", "1": "pedestrian"}'
        )


def describe_plan(plan: SplitPlan, *, by: str = "duration") -> str:
    """Put a plan into words.

    Args:
        plan: the recordings of each part.
        by: unit of the shares, duration or count.
    """
    lines = []
    for name, parts in plan.parts.items():
        total = sum(part.weight for part in parts)
        amount = f", {total / 1e6:,.1f} s" if by == "duration" else ""
        count = counted(len(parts), "recording")
        lines.append(f"{name}: {count}{amount} ({plan.share(name):.0%})")
        lines += [f"  {part.name}" + ("" if part.has_labels else " (no labels)") for part in parts]
    return "\n".join([*lines, *_describe_classes(plan)])


def _describe_classes(plan: SplitPlan) -> list[str]:
    """The boxes of each class in each split, and which class is missing where and why."""
    counts = {split: plan.num_boxes(split) for split in plan.parts}
    lines = []
    for name in next(iter(counts.values()), {}):
        each = ", ".join(f"{split} {found[name]:,}" for split, found in counts.items())
        missing = [split for split, found in counts.items() if not found[name]]
        if missing:
            have = sum(name in part.num_boxes for parts in plan.parts.values() for part in parts)
            each += f" (missing in {' and '.join(missing)}: {counted(have, 'recording')} with it)"
        lines.append(f"boxes of {name}: {each}")
    return lines


def _box_counter(
    folder: Path, opened: Callable[[Path], Recording]
) -> Callable[[RecordingEntry], Mapping[str, int]] | None:
    """A function that counts a recording's boxes by class; None without a label map."""
    if not (folder / LABEL_MAP_FILE).exists():
        return None
    label_map = read_label_map(folder / LABEL_MAP_FILE)

    def count(entry: RecordingEntry) -> dict[str, int]:
        if entry.boxes is None or entry.kind == "frames":
            return {}
        try:
            recording = opened(entry.recording)
            # Times do not matter here, so that any period of frames will do.
            labeled = read_boxes(entry.boxes, label_map, recording=recording, frame_period=50_000)
        except (LabelError, RecordingError):
            return {}  # `evdet check` says what is wrong with it
        ids, counts = np.unique(labeled.boxes["class_id"], return_counts=True)
        found = zip(ids.tolist(), counts.tolist(), strict=True)
        return {label_map.get(i - 1, f"class {i - 1}"): n for i, n in found}

    return count


def _duration(path: Path, opened: Callable[[Path], Recording]) -> int:
    """Duration of a recording; ready-made frames count by their size."""
    if path.is_dir() and not is_bag_folder(path):
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if path.suffix.lower() in (".h5", ".hdf5") and is_metavision_tensors(path):
        return path.stat().st_size
    return opened(path).duration
