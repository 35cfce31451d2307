"""`evdet split`: a folder of recordings -> train/, val/ and test/."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

if TYPE_CHECKING:
    from evdet.data import SplitPlan

__all__ = ["SplitOptions", "describe_plan", "split"]


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Deal the recordings of a folder out into train/, val/ and test/, none of them cut."""

    folder: tyro.conf.Positional[Path]
    """Folder of recordings with their label files beside them."""
    train: float = 0.7
    """Share of the recordings to train on."""
    val: float = 0.15
    """Share to score after each epoch."""
    test: float = 0.15
    """Share to score at the end."""
    by: Literal["duration", "count"] = "duration"
    """What is shared: time, for which every recording is opened, or the number of recordings."""
    seed: int = 0
    """The same seed deals the same recordings in the same way."""
    how: Literal["move", "link", "copy"] = "move"
    """Move the files, or leave them and make hard links or copies of them."""
    dry_run: bool = False
    """Say what would be done, and do nothing."""


def split(options: SplitOptions) -> None:
    """Split a folder and print what went where.

    Args:
        options: what the user asked for.
    """
    from tqdm import tqdm

    from evdet.data import do_split, plan_split
    from evdet.labels import LABEL_MAP_FILE

    plan = plan_split(
        options.folder,
        shares={"train": options.train, "val": options.val, "test": options.test},
        seed=options.seed,
        weigh=_duration if options.by == "duration" else None,
        progress=lambda entries: tqdm(entries, desc="Reading", unit="recording", leave=False),
    )
    if not options.dry_run:
        do_split(plan, options.how)
    print(describe_plan(plan, by=options.by))
    if options.dry_run:
        print("nothing was done: --dry-run")
    elif not (options.folder / LABEL_MAP_FILE).exists():
        print(
            f"now name the classes in {options.folder / LABEL_MAP_FILE}, such as "
            '{"0": "car", "1": "pedestrian"}'
        )


def describe_plan(plan: "SplitPlan", *, by: str = "duration") -> str:
    """Put a plan into words.

    Args:
        plan: which recording goes where.
        by: what was shared, duration or count.

    Returns:
        The lines.
    """
    lines = []
    for name, parts in plan.parts.items():
        total = sum(part.weight for part in parts)
        amount = f", {total / 1e6:,.1f} s" if by == "duration" else ""
        count = f"{len(parts)} recording{'' if len(parts) == 1 else 's'}"
        lines.append(f"{name}: {count}{amount} ({plan.share(name):.0%})")
        lines += [
            f"  {part.name}" + ("" if part.has_labels else " (has no labels)") for part in parts
        ]
    return "\n".join(lines)


def _duration(path: Path) -> int:
    """Duration of a recording; ready-made frames count by their size."""
    from evdet.data import is_metavision_tensors
    from evdet.events import open_recording

    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if path.suffix.lower() in (".h5", ".hdf5") and is_metavision_tensors(path):
        return path.stat().st_size
    return open_recording(path).duration
