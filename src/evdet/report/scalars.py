"""TensorBoard's event files -> curves."""

import os
from pathlib import Path

from evdet.report.contents import Curve

__all__ = ["read_scalars"]


def read_scalars(logs_dir: str | os.PathLike[str]) -> dict[str, Curve]:
    """Read every logged scalar of a run.

    A run that was resumed has several files. They are read in the order in which they were
    begun; where two have a value for the same step, the later one counts.

    Args:
        logs_dir: folder with event files, at any depth. It may be missing.

    Returns:
        (step, value) pairs by name, in the order of the steps.
    """
    # Here, because TensorBoard takes a second to load.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    by_name: dict[str, dict[int, float]] = {}
    for path in sorted(Path(logs_dir).rglob("events.out.tfevents.*"), key=_begun):
        # 0 keeps all scalars; of everything else one is enough, it is not used.
        keep = {"scalars": 0, "images": 1, "tensors": 1, "histograms": 1}
        events = EventAccumulator(str(path), size_guidance=keep)
        events.Reload()
        for name in events.Tags()["scalars"]:
            values = {event.step: event.value for event in events.Scalars(name)}
            by_name.setdefault(name, {}).update(values)
    return {name: sorted(values.items()) for name, values in sorted(by_name.items())}


def _begun(path: Path) -> tuple[int, str]:
    # events.out.tfevents.<second>.<host>.<process>.<count>
    second = path.name.split(".")[3]
    return (int(second) if second.isdigit() else 0, path.name)
