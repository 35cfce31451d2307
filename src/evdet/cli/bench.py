"""`evdet bench`: a detector, or a configuration -> how fast it is, and what makes it faster."""

import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from evdet.atomic_file import write_text
from evdet.config import TOY_PROBLEM, DetectionConfig
from evdet.runs import RunFolder

if TYPE_CHECKING:
    import torch

    from evdet.events import SensorSize
    from evdet.frame_spec import FrameSpec, SelectionThresholds
    from evdet.models import Detector
    from evdet.speed import TimeBins
    from evdet.tracking import Tracker

__all__ = ["BenchOptions", "bench"]

_CONFIG_SUFFIXES = (".yaml", ".yml")
_OPTIONAL = ("onnxruntime", "trackers")
_PLACEHOLDER_CLASSES = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Measure how fast a detector is: raw events in, boxes out, one window after another."""

    model: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT-OR-CONFIG")]]
    """A checkpoint, a run's folder, events-digits (comes with evdet), or a configuration
    (*.yaml), of which the detector gets random weights."""
    source: Annotated[Path | None, tyro.conf.arg(metavar="RECORDING")] = None
    """A recording, a video or a folder of images; by default the recording that comes with evdet,
    or a simulated one for larger frames, or Moving MNIST for detectors of pictures."""
    windows: int = 200
    """Windows to measure; a shorter source is played over and over."""
    warm_up: int = 20
    """Windows before them, which do not count."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Threads of the CPU's operators; by default one per core."""
    device: str = "auto"
    """cpu, cuda, ... or auto."""
    variants: tuple[str, ...] = ("all",)
    """What to compare with plain PyTorch: all, none, onnx, or parts put together with + signs:
    fold, channels-last, half, compile, graphs (fold+channels-last, say)."""
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Batch sizes for the frames per second of the network and the selection."""
    track: Literal["sort", "bytetrack", "ocsort", "none"] = "sort"
    """The tracker of the last stage."""
    score: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Candidates with a lower score are dropped; by default as configured. 0 lets as many into
    non-maximum suppression as may enter: the worst case."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write everything that was measured to this file as well; that of a run's folder lies in its
    speed.json, where `evdet report` finds it."""


def bench(options: BenchOptions) -> None:
    """Measure, and print a table.

    Args:
        options: what the user asked for.

    Raises:
        ValueError: a value is out of range, or there is no such device.
    """
    import torch

    from evdet.detectors import resolve_device
    from evdet.report import describe_environment
    from evdet.speed import DEFAULT_VARIANTS, describe_speed, measure_speed

    if options.threads is not None:
        if options.threads < 1:
            raise ValueError(f"--threads must be at least 1, got {options.threads}")
        torch.set_num_threads(options.threads)
    named = {"all": DEFAULT_VARIANTS, "none": ()}
    variants = named.get(" ".join(options.variants), options.variants)
    device = resolve_device(options.device)
    with contextlib.ExitStack() as temporary:
        folder = Path(temporary.enter_context(tempfile.TemporaryDirectory()))
        detector, weights, windows = _open(options, device, folder)
        tracker, notes = _tracker_called(options.track, windows.delta_t)
        report = measure_speed(
            detector.to(device).eval(),
            windows,
            _thresholds(detector, options),
            num_tbins=options.windows,
            warm_up=options.warm_up,
            batches=options.batches,
            variants=variants,
            tracker=tracker,
            tell=lambda what: print(f"measuring: {what}", file=sys.stderr),
        )
    environment = {**describe_environment(), **_versions_of(_OPTIONAL)}
    lines = [f"{'model':18}{options.model}: {weights}", *notes]
    lines += [f"{name:18}{value}" for name, value in environment.items()]
    print("\n".join([*lines, describe_speed(report)]))
    content: dict[str, Any] = {
        "model": str(options.model),
        "weights": weights,
        "environment": environment,
        **report.as_dict(),
    }
    if options.json is not None:
        write_text(options.json, json.dumps(content, indent=1) + "\n")
    if options.model.is_dir():
        run = RunFolder(options.model)
        run.write_speed(content)
        print(f"written to {run.speed_file}; evdet report {options.model} shows it")


def _versions_of(packages: Sequence[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _open(
    options: BenchOptions, device: "torch.device", folder: Path
) -> "tuple[Detector, str, TimeBins]":
    """The detector, where its weights are from, and what it is played."""
    from evdet.build import build_detector
    from evdet.configs import find_config
    from evdet.detectors import load_network
    from evdet.speed import open_time_bins, picture_bins

    if options.model.suffix in _CONFIG_SUFFIXES:
        config = _fill_in(find_config(str(options.model)), options.source)
        detector, weights = build_detector(config), "random weights: boxes are not what it finds"
    else:
        detector, weights = load_network(options.model), "trained weights"
    spec = detector.frame_spec
    if spec is None:
        raise ValueError(f"{options.model} does not say what its frames are made of")
    if options.source is None and spec.preprocess == "none":
        return detector, weights, picture_bins(spec, device=device)
    source = options.source or _recording_for(spec, folder)
    return detector, weights, open_time_bins(source, spec, device=device)


def _fill_in(config: DetectionConfig, source: Path | None) -> DetectionConfig:
    """Choose what a configuration leaves to its data set, where that is not at hand."""
    from evdet.build import complete_config
    from evdet.events.representations import get_representation

    if config.dataset_path == TOY_PROBLEM or Path(config.dataset_path).exists():
        return complete_config(config)
    preprocess = "histogram" if config.preprocess == "auto" else config.preprocess
    size = _size_of(source)
    return dataclasses.replace(
        config,
        classes=config.classes or _PLACEHOLDER_CLASSES,
        preprocess=preprocess,
        in_channels=config.in_channels or get_representation(preprocess).num_channels,
        height=config.height or size.height,
        width=config.width or size.width,
    )


def _size_of(source: Path | None) -> "SensorSize":
    from evdet.events import open_recording
    from evdet.samples import sample_recording

    return open_recording(source or sample_recording()).size


def _recording_for(spec: "FrameSpec", folder: Path) -> Path:
    """The bundled recording, or one that is as large as the frames."""
    from evdet.events import SensorSize
    from evdet.samples import sample_recording
    from evdet.synthetic import simulate_recording

    size = _size_of(None)
    if (size.height, size.width) == (spec.height, spec.width):
        return sample_recording()
    return simulate_recording(folder, SensorSize(spec.height, spec.width))


def _thresholds(detector: "Detector", options: BenchOptions) -> "SelectionThresholds":
    spec = detector.frame_spec
    if spec is None:
        raise ValueError(f"{options.model} does not say what its thresholds are")
    if options.score is not None and not 0 <= options.score <= 1:
        raise ValueError(f"--score must be between 0 and 1, got {options.score}")
    return spec.thresholds.but(score_thresh=options.score)


def _tracker_called(name: str, delta_t: int) -> "tuple[Tracker | None, list[str]]":
    """The tracker; without its library the stage is left out, and a line says why."""
    from evdet.tracking import Tracker, TrackingUnavailableError

    if name == "none":
        return None, []
    try:
        return Tracker(name, delta_t=delta_t), [f"{'tracker':18}{name}"]
    except TrackingUnavailableError as error:
        return None, [f"{'tracker':18}{error}"]
