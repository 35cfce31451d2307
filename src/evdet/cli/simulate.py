"""`evdet simulate`: moving digits or shapes, seen by a simulated event sensor -> a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from evdet.synthetic import SimulationPlan

__all__ = ["SimulateOptions", "simulate"]

MICROSECONDS = "MICROSECONDS"


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """Make a data set of event recordings with exact boxes, to train on or to try things out.

    Objects move, stop for 0.5 to 3 seconds, in which there are almost no events, and pass behind
    one another. The boxes say for how long each has been still.
    """

    output: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(name="OUT")]]
    """The folder to make; it must not exist, or be empty."""
    kind: Literal["digits", "shapes", "nmnist"] = "digits"
    """MNIST digits, filled shapes, or real event recordings of digits (N-MNIST)."""
    count: int = 20
    """Recordings in total: 70 in 100 for training, 15 each for validation and testing."""
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Duration of all recordings together; by default 10 seconds each."""
    train: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Recordings for training, instead of those of --count."""
    val: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Recordings for validation, instead of those of --count."""
    test: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Recordings for testing, instead of those of --count."""
    height: int = 128
    """Height of the sensor, in pixels."""
    width: int = 128
    """Width of the sensor, in pixels."""
    max_objects: int = 3
    """Most objects in a recording."""
    label_period: Annotated[int, tyro.conf.arg(metavar=MICROSECONDS)] = 50_000
    """From one label to the next; labels stand at the ends of bins of this length."""
    frame_rate: float = 500.0
    """Frames per second that are drawn; events have times in between."""
    texture: float = 0.1
    """Contrast of the background's texture; 0 is flat."""
    threshold: float = 0.25
    """Change of the logarithm of the intensity that gives an event."""
    mismatch: float = 0.03
    """Standard deviation of the threshold from pixel to pixel."""
    refractory: Annotated[int, tyro.conf.arg(metavar=MICROSECONDS)] = 500
    """How long a pixel is blind after an event."""
    leak_rate: float = 0.1
    """ON events per second that a pixel at rest leaks."""
    shot_noise: float = 0.25
    """Noise events per second of a pixel in the dark; bright ones have a quarter of them."""
    digits: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER-OR-ZIP")] = None
    """For nmnist: the recordings of digits; by default the ten that come with evdet."""
    format: Literal["dat", "raw", "hdf5"] = "dat"
    """Format of the recordings: DAT, RAW (EVT3) or HDF5 (DSEC layout)."""
    workers: int = 1
    """Processes; they change nothing but the time that it takes."""
    seed: int = 0
    """Another seed makes other recordings."""


def simulate(options: SimulateOptions) -> None:
    """Make the folder, and say what is in it.

    Args:
        options: what the user asked for.
    """
    from tqdm import tqdm

    from evdet.synthetic import check_free, write_simulated_folder

    check_free(options.output)
    plan = _plan_of(options)
    if options.kind == "nmnist":
        _tell_of_digits(options)
    with tqdm(total=plan.num_recordings, desc="Simulating", unit="recording", leave=False) as bar:

        def advance(_: str) -> None:
            bar.update()

        write_simulated_folder(options.output, plan, workers=options.workers, on_recording=advance)
    seconds = plan.scenes.num_labels * plan.scenes.label_period / 1e6
    print(
        f"{options.output}: {plan.num_recordings} recordings of {seconds:g} s "
        f"(train {plan.train}, val {plan.val}, test {plan.test}), "
        f"{plan.scenes.width}x{plan.scenes.height} pixels, a box per object every "
        f"{plan.scenes.label_period / 1000:g} ms"
    )


def _plan_of(options: SimulateOptions) -> "SimulationPlan":
    from evdet.events.simulation import SensorModel
    from evdet.synthetic import SimulationPlan, share_out
    from evdet.synthetic.scenes import SceneOptions

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
            height=options.height,
            width=options.width,
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


def _tell_of_digits(options: SimulateOptions) -> None:
    from evdet.synthetic.nmnist import find_digits

    if find_digits(options.digits).is_shared:
        print(
            "note: some digits have fewer than 3 recordings, so train, val and test show the same "
            "ones: good for trying things out, not for measuring. --digits takes more of them."
        )
