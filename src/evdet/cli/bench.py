"""`evdet bench`: a detector or a configuration -> its speed, by stage and by variant."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from evdet.atomic_file import temporary_folder, write_text
from evdet.build import build_detector, complete_config
from evdet.cli.options import (
    ProviderNames,
    ReadingOptions,
    ThreadCount,
    TrackerName,
    asked_size,
    check_at_least,
    check_share,
    check_threads,
    check_writable,
    chosen_start_thresh,
    default,
    line_without_tracks,
)
from evdet.cli.score import describe_load
from evdet.config import TOY_PROBLEM, DetectionConfig
from evdet.configs import find_config
from evdet.detectors import check_providers, load_network, resolve_device, use_threads
from evdet.events import AS_STATED, SensorSize, open_recording
from evdet.events.representations import get_representation
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models import Detector
from evdet.outputs import dataset_files, prepare_files, recording_files, run_files
from evdet.report import describe_environment
from evdet.runs import RunFolder
from evdet.samples import find_recording, sample_recording
from evdet.speed import (
    DEFAULT_VARIANTS,
    TimeBins,
    describe_speed,
    measure_speed,
    open_time_bins,
    picture_bins,
)
from evdet.synthetic import simulate_recording
from evdet.tracking import Tracker, TrackingUnavailableError

__all__ = ["BenchOptions", "bench"]

_CONFIG_SUFFIXES = (".yaml", ".yml")
_OPTIONAL = ("onnxruntime", "trackers")
_PLACEHOLDER_CLASSES = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Measure the speed of a detector from raw events to boxes, one time bin after another."""

    model: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT|CONFIG")]]
    """Checkpoint (*.ckpt), run folder, weights (*.safetensors), hf://ORG/NAME, events-digits
    (bundled), or configuration (*.yaml)."""
    source: Annotated[
        Path | None, default("the bundled or a simulated recording; Moving MNIST", "FILE|DIR")
    ] = None
    """Event recording, video or folder of images; sample and sample-nmnist are bundled."""
    time_bins: int = 200
    """Number of time bins to measure; a shorter source is repeated."""
    warm_up: int = 20
    """Number of time bins before the measurement."""
    threads: ThreadCount = 0
    """Threads of the CPU."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, ... or auto."""
    variants: tuple[str, ...] = ("all",)
    """Variants: all, none, onnx, or fold, channels-last, half, compile, graphs joined by +."""
    provider: ProviderNames = ()
    """Execution providers for the variant onnx, first choice first: cuda, tensorrt, openvino,
    directml, coreml, cpu."""
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Batch sizes for the throughput of network and selection."""
    tracker: TrackerName = "sort"
    """Tracker of the last stage."""
    track_thresh: Annotated[float | None, default("0.6, or a lower --score-thresh", "FLOAT")] = None
    """Lowest score in [0, 1] of a box that starts a track."""
    score_thresh: Annotated[float | None, default("as configured", "FLOAT")] = None
    """Score threshold in [0, 1]; 0 measures the worst case of non-maximum suppression."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""
    json: Annotated[Path | None, default("none", "FILE")] = None
    """JSON file for all measurements; evdet report reads speed.json of the run folder."""


def bench(options: BenchOptions) -> None:
    """Measure, and print a table.

    Raises:
        ValueError: an option is out of range, or the device does not exist.
    """
    check_threads(options.threads)
    check_at_least(1, options, "time_bins")
    check_at_least(0, options, "warm_up")
    check_share(options, "score_thresh", "track_thresh")
    if options.source is not None:
        options = dataclasses.replace(options, source=find_recording(options.source))
    check_writable(options.json)
    _check_apart(options)
    named = {"all": DEFAULT_VARIANTS, "none": ()}
    variants = named.get(" ".join(options.variants), options.variants)
    if options.provider and "onnx" not in variants:
        raise ValueError("--provider is of the variant onnx: add it to --variants")
    check_providers(options.provider)
    device = resolve_device(options.device)
    with contextlib.ExitStack() as temporary:
        folder = temporary.enter_context(temporary_folder())
        detector, weights, windows = _open(options, device, folder)
        use_threads(detector, options.threads)
        tracker, notes = _open_tracker(options, windows.delta_t)
        report = measure_speed(
            detector.to(device).eval(),
            windows,
            _thresholds(detector, options),
            num_tbins=options.time_bins,
            warm_up=options.warm_up,
            batches=options.batches,
            variants=variants,
            tracker=tracker,
            providers=options.provider,
            tell=lambda what: print(f"measuring: {what}", file=sys.stderr),
        )
    environment = {**describe_environment(), **_versions_of(_OPTIONAL)}
    without = None if tracker is None else line_without_tracks(tracker)
    notes += [] if without is None else [f"{'':18}{without}"]
    lines = [f"{'model':18}{options.model}: {weights}", *notes]
    lines += [f"{name:18}{value}" for name, value in environment.items()]
    load = describe_load(options.model, report.stages.window.p50)
    print("\n".join([*lines, describe_speed(report), *load]))
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


def _check_apart(options: BenchOptions) -> None:
    """Refuse a file of measurements that is read, or is written anyway."""
    read = [options.model, *run_files(options.model, but=["speed_file"])]
    read += recording_files(options.source)
    if options.model.suffix in _CONFIG_SUFFIXES and options.model.is_file():
        read += dataset_files(Path(find_config(str(options.model)).dataset_path))
    is_run = options.model.is_dir()
    derived = [RunFolder(options.model).speed_file] if is_run else []
    prepare_files([options.json], derived=derived, read=read[is_run:])


def _versions_of(packages: Sequence[str]) -> dict[str, str]:
    """The versions of the installed packages."""
    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _open(
    options: BenchOptions, device: torch.device, folder: Path
) -> tuple[Detector, str, TimeBins]:
    """The detector, the origin of its weights, and its input."""
    if options.model.suffix in _CONFIG_SUFFIXES:
        config = _fill_in(find_config(str(options.model)), options)
        detector, weights = build_detector(config), "random weights, so boxes mean nothing"
    else:
        detector, weights = load_network(options.model), "trained weights"
    spec = detector.frame_spec
    if spec is None:
        raise ValueError(f"{options.model} has no frame specification")
    if options.source is None and spec.preprocess == "none":
        return detector, weights, picture_bins(spec, device=device)
    source = options.source or _recording_for(spec, folder)
    reading = AS_STATED if options.source is None else options.reading.options()
    size = None if options.source is None else asked_size(options.sensor_size)
    bins = open_time_bins(source, spec, device=device, options=reading, size=size)
    return detector, weights, bins


def _fill_in(config: DetectionConfig, options: BenchOptions) -> DetectionConfig:
    """Complete a configuration, also without its data set."""
    if config.dataset_path == TOY_PROBLEM or Path(config.dataset_path).exists():
        return complete_config(config)
    preprocess = "histogram" if config.preprocess == "auto" else config.preprocess
    size = _size_of(options)
    return dataclasses.replace(
        config,
        classes=config.classes or _PLACEHOLDER_CLASSES,
        preprocess=preprocess,
        in_channels=config.in_channels or get_representation(preprocess).num_channels,
        height=config.height or size.height,
        width=config.width or size.width,
    )


def _size_of(options: BenchOptions) -> SensorSize:
    if options.source is None:
        return open_recording(sample_recording()).size
    size = asked_size(options.sensor_size)
    return open_recording(options.source, size=size, options=options.reading.options()).size


def _recording_for(spec: FrameSpec, folder: Path) -> Path:
    """The bundled recording, or a simulated one of the frame size."""
    size = open_recording(sample_recording()).size
    if (size.height, size.width) == (spec.height, spec.width):
        return sample_recording()
    return simulate_recording(folder, SensorSize(spec.height, spec.width))


def _thresholds(detector: Detector, options: BenchOptions) -> SelectionThresholds:
    spec = detector.frame_spec
    if spec is None:
        raise ValueError(f"{options.model} has no thresholds")
    return spec.thresholds.but(score_thresh=options.score_thresh)


def _open_tracker(options: BenchOptions, delta_t: int) -> tuple[Tracker | None, list[str]]:
    """The tracker and its line; without its library None, and a line with the remedy."""
    name = options.tracker
    if name == "none":
        return None, []
    start_thresh = chosen_start_thresh(options.track_thresh, options.score_thresh)
    try:
        tracker = Tracker(name, delta_t=delta_t, start_thresh=start_thresh)
    except TrackingUnavailableError as error:
        return None, [f"{'tracker':18}{error}"]
    return tracker, [f"{'tracker':18}{name}, tracks start from score {start_thresh:g} on"]
