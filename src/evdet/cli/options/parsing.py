"""Command-line words -> a dataclass of options, by tyro; `--config` files become the defaults."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import tyro

from evdet.config import MAX_THREADS, DetectionConfig
from evdet.configs import find_config, shipped_config
from evdet.events import ReadOptions, SensorSize, parse_size
from evdet.outputs import prepare_files
from evdet.runs import RunFolder

__all__ = [
    "RETIRED",
    "Flag",
    "FormatName",
    "ProtocolName",
    "ProviderNames",
    "ReadingOptions",
    "ThreadCount",
    "TrackerName",
    "asked_size",
    "check_above",
    "check_at_least",
    "check_no_reading",
    "check_result_folder",
    "check_share",
    "check_threads",
    "check_writable",
    "counted",
    "default",
    "named",
    "parse",
    "refuse_retired",
    "required",
]

Options = TypeVar("Options")

Flag: TypeAlias = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""An option that is off unless it is typed."""
FormatName = Literal[
    "aedat2", "aedat2-davis", "aedat2-dvs128", "aedat3", "aedat4", "dat", "es", "evt2", "evt2.1",
    "evt3", "hdf5", "nmnist", "npy", "npz", "raw", "rosbag", "text",
]  # fmt: skip
"""`evdet.events.FORMAT_NAMES`."""
ProtocolName = Literal[
    "coco",
    "perot2020-gen1",
    "perot2020-1mpx",
    "rvt-gen1",
    "rvt-1mpx",
    "s5-gen1",
    "s5-1mpx",
    "evrtdetr-gen1",
    "evrtdetr-1mpx",
]
"""The keys of `evdet.metrics.PROTOCOLS`."""
ProviderName = Literal["cpu", "cuda", "tensorrt", "openvino", "directml", "coreml"]
"""The keys of `evdet.detectors.PROVIDERS`."""
TrackerName = Literal["bytetrack", "ocsort", "sort", "none"]
"""`evdet.tracking.TRACKERS`, or none of them."""

# Seconds beyond are no microseconds that 64 bits can hold.
_TOO_LARGE = 1e12
_OF_SCORE = "evdet score --detections FILE --boxes FILE"
RETIRED = {
    "convert": {
        "--size": "--sensor-size WxH",
        "--remove-noise": "--background-filter US",
        "--end": "--duration SECONDS",
    },
    "simulate": {"--height": "--sensor-size WxH", "--width": "--sensor-size WxH"},
    "demo": {"--noise-window": "--background-filter US"},
    "train": {"--noise-window": "--background-filter US"},
    "evaluate": {
        "--output": "--output-dir DIR",
        **dict.fromkeys(("--detections", "--boxes", "--frame-period", "--size"), _OF_SCORE),
        **dict.fromkeys(("--label-map", "--delta-t"), _OF_SCORE),
    },
    "score": {
        "--output": "--output-dir DIR",
        "--size": "--sensor-size WxH",
    },
    "detect": {"--score": "--score-thresh", "--nms": "--nms-thresh"},
    "export": {"--windows": "--time-bins N"},
    "bench": {
        "--track": "--tracker NAME",
        "--score": "--score-thresh",
        "--levers": "--variants",
        "--windows": "--time-bins N",
    },
    "models": {"--height": "--sensor-size WxH", "--width": "--sensor-size WxH"},
    "import": {"--height": "--sensor-size WxH", "--width": "--sensor-size WxH"},
}
"""What earlier versions called an option of a command, and what to type now."""


def default(text: str, metavar: str | None = None) -> Any:
    """Say in the help what an option is where it is left out, for `Annotated`.

    Args:
        text: the default in words.
        metavar: what stands for the value.
    """
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {text})")


ThreadCount: TypeAlias = Annotated[int, default("0, automatic", "INT")]
"""`--threads`; `check_threads` checks it and `evdet.detectors.use_threads` takes it."""


ProviderNames: TypeAlias = Annotated[tuple[ProviderName, ...], default("cpu", "NAME ...")]
"""`--provider`; `evdet.detectors.open_detector` takes it."""


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How to read recordings whose files leave that open."""

    format: Annotated[FormatName | None, default("from the content", "FORMAT")] = None
    """Format of a recording."""
    time_unit: Annotated[
        Literal["ns", "us", "ms", "s"] | None, default("from the file", "us|ms|s|ns")
    ] = None
    """Unit of times in text, NumPy and HDF5 recordings."""
    columns: Annotated[str | None, default("from the file", "txyp")] = None
    """Order of columns in text, NumPy and HDF5 recordings, such as txyp; - skips a column."""
    stream: Annotated[str | None, default("the only one", "NAME")] = None
    """Stream, camera or topic, where a recording has several."""
    strict: Flag = False
    """Refuse a recording that ends within an event, instead of a warning."""

    def options(self) -> ReadOptions:
        """The options that `open_recording` takes.

        Raises:
            ValueError: the message names the option.
        """
        try:
            return ReadOptions(
                format=self.format,
                time_unit=self.time_unit,
                columns=self.columns,
                stream=self.stream,
                strict=self.strict,
            )
        except ValueError as error:
            raise ValueError(f"--{error}") from None


def check_no_reading(reading: ReadOptions, *, size: SensorSize | None = None) -> None:
    """Refuse options of files for a camera or network stream.

    Args:
        reading: how to read a file.
        size: the sensor's size; None where the source takes it, or where it is not given.

    Raises:
        ValueError: the message names the first of them.
    """
    given = [field.name for field in fields(reading) if getattr(reading, field.name)]
    given += [] if size is None else ["sensor_size"]
    if given:
        raise ValueError(f"{named(given[0])} cannot be used with a camera: it is for files")


def asked_size(text: str | None) -> SensorSize | None:
    """The size that `--sensor-size` gives; None where it is left out.

    Raises:
        ValueError: it is not a size.
    """
    return None if text is None else parse_size(text, name="--sensor-size")


def parse(options_type: type[Options], words: Sequence[str], *, prog: str, summary: str) -> Options:
    """Parse the words of one command.

    Args:
        options_type: a dataclass; a field `configuration` of it is a whole configuration,
            whose defaults come from the file that `--config` names, from the run that `--resume`
            continues, or from the configuration of the demo's `--events`.
        words: what the user typed after the command.
        prog: how the command is called.
        summary: what it does.

    Returns:
        The options. Words that cannot be parsed end the process with status 2 and tyro's message.

    Raises:
        ConfigError: the file cannot be used, or a value is out of range.
    """
    make: Any = options_type
    start = _starting_config(words) if "configuration" in make.__dataclass_fields__ else None
    if start is None:
        return tyro.cli(options_type, args=list(words), prog=prog, description=summary)
    given: Options = make(configuration=start)
    return tyro.cli(options_type, args=list(words), prog=prog, description=summary, default=given)


def required(metavar: str) -> Any:
    """Say in the help that at least one value is needed, for `Annotated`."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="(required)")


def counted(count: int, noun: str) -> str:
    """Put a count and its noun into words: 1 box, 1,000 boxes."""
    plural = "es" if noun.endswith(("s", "x")) else "s"
    return f"{count:,} {noun}{plural * (count != 1)}"


def refuse_retired(command: str, words: Sequence[str]) -> None:
    """Answer the spelling of an earlier version.

    Args:
        command: the name of a command.
        words: what the user typed after it.

    Raises:
        ValueError: a word is in `RETIRED`; the message names the new spelling.
    """
    for word in words:
        name = word.partition("=")[0].replace("_", "-")
        if name in RETIRED.get(command, {}):
            raise ValueError(f"{command} has no option {name}: use {RETIRED[command][name]}")


def named(field: str) -> str:
    """Give the option of a field: --delta-t for delta_t."""
    return f"--{field.replace('_', '-')}"


def check_at_least(least: int, options: object, *fields: str) -> None:
    """Refuse values below a limit; None passes.

    Raises:
        ValueError: the message names the option.
    """
    for field in fields:
        value = _finite(options, field)
        if value is not None and value < least:
            raise ValueError(f"{named(field)} must be at least {least}, got {value:g}")


def check_above(limit: int, options: object, *fields: str) -> None:
    """Refuse a limit and values below it; None passes.

    Raises:
        ValueError: the message names the option.
    """
    for field in fields:
        value = _finite(options, field)
        if value is not None and value <= limit:
            raise ValueError(f"{named(field)} must be more than {limit}, got {value:g}")


def check_share(options: object, *fields: str) -> None:
    """Refuse values outside [0, 1]; None passes.

    Raises:
        ValueError: the message names the option.
    """
    for field in fields:
        value = _finite(options, field)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{named(field)} must be from 0 to 1, got {value:g}")


def check_threads(num_threads: int) -> None:
    """Refuse a number that `--threads` cannot have.

    Raises:
        ValueError: the message names the option.
    """
    if not 0 <= num_threads <= MAX_THREADS:
        raise ValueError(
            f"--threads must be from 0 (automatic) to {MAX_THREADS}, got {num_threads}"
        )


def check_result_folder(path: Path | None) -> None:
    """Refuse a folder for results where a file has its name; None passes.

    Raises:
        ValueError: it is a file.
    """
    if path is not None and path.exists() and not path.is_dir():
        raise ValueError(f"cannot write to {path}: it is a file, not a folder")


def check_writable(
    path: Path | None, *, suffixes: Sequence[str] = (), read: Iterable[Path | None] = ()
) -> None:
    """Refuse a file that cannot be written, before any long work.

    Args:
        path: the file to write; None passes.
        suffixes: the endings that it may have; none allows all.
        read: files and folders that the command reads, which it must not replace.

    Raises:
        ValueError: an unsupported ending, a folder, a missing folder, or a file that is read.
    """
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(
            f"cannot write {path}: unsupported format {path.suffix!r} "
            f"(supported: {', '.join(suffixes)})"
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    prepare_files([path], read=read)


def _finite(options: object, field: str) -> float | int | None:
    value: float | int | None = getattr(options, field)
    if value is not None and not abs(value) < _TOO_LARGE:
        raise ValueError(f"{named(field)} must be finite and below {_TOO_LARGE:g}, got {value:g}")
    return value


def _starting_config(words: Sequence[str]) -> DetectionConfig | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--config", "--root-dir", "--root_dir"):
        parser.add_argument(name, nargs="?", dest=name.strip("-").replace("-", "_"))
    for name in ("--resume", "--resume-from", "--resume_from"):
        parser.add_argument(name, nargs="?", const=True, dest="resume")
    known, _ = parser.parse_known_args(list(words))
    if known.config is not None:
        return find_config(known.config)
    if "--events" in words:
        return shipped_config("events_digits_quick.yaml")
    if known.resume is not None and known.root_dir is not None:
        run = RunFolder(Path(known.root_dir))
        return run.read_config() if run.config_file.exists() else None
    return None
