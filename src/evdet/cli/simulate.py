"""`evdet simulate`: moving digits or shapes, recorded by a simulated event sensor -> a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from evdet.cli.options import check_above, check_at_least, counted, default
from evdet.cli.terminal import tqdm
from evdet.events import SensorSize, parse_size
from evdet.events.simulation import SensorModel
from evdet.processes import EndedError
from evdet.synthetic import (
    SimulationPlan,
    check_free,
    is_simulated,
    share_out,
    write_simulated_folder,
)
from evdet.synthetic.nmnist import find_digits
from evdet.synthetic.scenes import SceneOptions

__all__ = ["SimulateOptions", "simulate"]


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """Simulate a data set of event recordings with exact boxes.

    Objects move, stop for 0.5 to 3 seconds with almost no events, and occlude one another. The
    boxes store how long each object has been still.
    """

    output: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """Folder to create; it must not exist, be empty, or be one that the same command began."""
    kind: Literal["digits", "shapes", "nmnist"] = "digits"
    """Objects: MNIST digits, filled shapes, or event recordings of digits (N-MNIST)."""
    count: int = 20
    """Number of recordings: 70 % for training, 15 % for validation, 15 % for the test."""
    minutes: Annotated[float | None, default("10 seconds a recording", "FLOAT")] = None
    """Total duration of all recordings in minutes."""
    train: Annotated[int | None, default("share of --count", "INT")] = None
    """Number of recordings for training."""
    val: Annotated[int | None, default("share of --count", "INT")] = None
    """Number of recordings for validation."""
    test: Annotated[int | None, default("share of --count", "INT")] = None
    """Number of recordings for the test."""
    sensor_size: Annotated[str, tyro.conf.arg(metavar="WxH")] = "128x128"
    """Sensor width and height in pixels."""
    max_objects: int = 3
    """Maximum number of objects in a recording."""
    label_period: Annotated[int, tyro.conf.arg(metavar="US")] = 50_000
    """Time between labels in microseconds, which is also the duration of a time bin."""
    frame_rate: float = 500.0
    """Rendered frames per second; event times are interpolated between frames."""
    texture: float = 0.1
    """Contrast of the background texture; 0 is flat."""
    threshold: float = 0.25
    """Contrast threshold: change of the log intensity that triggers an event."""
    mismatch: float = 0.03
    """Standard deviation of the threshold over the pixels."""
    refractory: Annotated[int, tyro.conf.arg(metavar="US")] = 500
    """Refractory period of a pixel after an event, in microseconds."""
    leak_rate: float = 0.1
    """ON events per second from leakage, for each pixel."""
    shot_noise: float = 0.25
    """Noise events per second of a dark pixel; bright pixels have a quarter."""
    digits: Annotated[Path | None, default("ten recordings bundled with evdet", "DIR|ZIP")] = None
    """Recordings of digits for --kind nmnist."""
    format: Literal["dat", "raw", "hdf5"] = "dat"
    """File format: DAT, RAW (EVT3) or HDF5 (DSEC layout)."""
    workers: int = 1
    """Number of processes; the recordings do not depend on it."""
    seed: int = 0
    """Random seed."""


def simulate(options: SimulateOptions) -> None:
    """Write the data set folder, and print what it holds.

    Raises:
        ValueError: an option is out of range.
    """
    check_at_least(0, options, "train", "val", "test", "seed")
    check_above(0, options, "minutes", "threshold")
    if None in (options.train, options.val, options.test):
        check_at_least(3, options, "count")
    if options.digits is not None and options.kind != "nmnist":
        raise ValueError("--digits needs --kind nmnist")
    check_at_least(1, options, "workers")
    size = parse_size(options.sensor_size, name="--sensor-size")
    plan = _plan_of(options, size)
    if is_simulated(options.output, plan):
        recordings = counted(plan.num_recordings, "recording")
        print(f"{options.output}: {recordings} made before with these settings, nothing to do")
        return
    check_free(options.output)
    if options.kind == "nmnist":
        _note_shared_digits(options)
    with tqdm(total=plan.num_recordings, desc="Simulating", unit="recording", leave=False) as bar:
        num_before = _write(options, plan, bar)
    if num_before:
        print(f"continued: {counted(num_before, 'recording')} were there from an earlier command")
    seconds = plan.scenes.num_labels * plan.scenes.label_period / 1e6
    recordings = counted(plan.num_recordings, "recording")
    print(
        f"{options.output}: {recordings} of {seconds:g} s "
        f"(train {plan.train}, val {plan.val}, test {plan.test}), "
        f"{plan.scenes.width}x{plan.scenes.height} pixels, a box per object every "
        f"{plan.scenes.label_period / 1000:g} ms"
    )


def _write(options: SimulateOptions, plan: SimulationPlan, bar: Any) -> int:
    """Make the folder; a signal says how far it came."""
    names: set[str] = set()

    def advance(name: str) -> None:
        names.add(name)
        bar.update()

    try:
        return write_simulated_folder(
            options.output, plan, workers=options.workers, on_recording=advance
        )
    except (KeyboardInterrupt, EndedError) as stop:
        if not names:
            raise
        made = f"{len(names):,} of {counted(plan.num_recordings, 'recording')} made"
        told = f"{made}; the same command continues with the others"
        if isinstance(stop, EndedError):
            raise EndedError(stop.number, told) from None
        raise KeyboardInterrupt(told) from None


def _plan_of(options: SimulateOptions, size: SensorSize) -> SimulationPlan:
    counts = {"train": options.train, "val": options.val, "test": options.test}
    if None in counts.values():
        shares = zip(counts, share_out(options.count), strict=True)
        counts |= {split: share for split, share in shares if counts[split] is None}
    train, val, test = (n or 0 for n in counts.values())
    seconds = 10.0
    if options.minutes is not None:
        seconds = 60 * options.minutes / max(1, train + val + test)
    return SimulationPlan(
        scenes=SceneOptions(
            kind=options.kind,
            height=size.height,
            width=size.width,
            seconds=seconds,
            label_period=options.label_period,
            frame_rate=options.frame_rate,
            max_objects=options.max_objects,
            texture=options.texture,
            seed=options.seed,
        ),
        sensor=SensorModel(
            threshold_on=options.threshold,
            threshold_off=options.threshold,
            mismatch=options.mismatch,
            refractory_us=options.refractory,
            leak_rate_hz=options.leak_rate,
            shot_noise_hz=options.shot_noise,
            seed=options.seed,
        ),
        train=train,
        val=val,
        test=test,
        digits=options.digits,
        file_format=options.format,
    )


def _note_shared_digits(options: SimulateOptions) -> None:
    if find_digits(options.digits).is_shared:
        print(
            "note: some digits have fewer than 3 recordings, so train, val and test share them, "
            "and scores are too high; --digits names a folder with more recordings"
        )
