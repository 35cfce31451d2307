"""`evdet evaluate`: a checkpoint -> scores, pictures and a video on unseen frames."""

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import tyro

from evdet.atomic_file import write_text
from evdet.build import read_options
from evdet.cli.evaluate.playing import open_played, played_at, progress_of, with_progress
from evdet.cli.many import digest_of, settings_of
from evdet.cli.options import (
    Flag,
    ProtocolName,
    ProviderNames,
    ReadingOptions,
    ThreadCount,
    TrackingOptions,
    asked_size,
    check_at_least,
    check_result_folder,
    check_share,
    check_threads,
    check_writable,
    default,
)
from evdet.cli.score import (
    check_has_truth,
    check_rates,
    describe_rates,
    describe_scores,
    describe_tracks,
    measure_rates,
)
from evdet.config import TOY_PROBLEM, ConfigError, DetectionConfig, config_to_yaml
from evdet.data import MixedLoader, StreamLoader, open_folder
from evdet.detectors import checkpoint_file, hub_name, use_threads
from evdet.evaluation import (
    DataStatistics,
    EvaluatedDetector,
    Evaluation,
    EvaluationProgress,
    PlayedRecording,
    RateScore,
    describe_folder,
    describe_truth,
    evaluate as score,
    keep_evaluation,
    keep_video,
    measure_further,
    open_evaluated,
)
from evdet.labels import describe_counts
from evdet.metrics import Protocol, get_protocol
from evdet.models import device_of
from evdet.outputs import check_folder_apart, dataset_files, prepare_files, run_files
from evdet.processes import only_writer
from evdet.runs import RunFolder

__all__ = ["EvaluateOptions", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Evaluate a checkpoint on recordings that it was not trained on."""

    checkpoint: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT")]]
    """Checkpoint (*.ckpt), run folder, exported model (*.onnx, *.safetensors), hf://ORG/NAME, or
    events-digits (bundled)."""
    protocol: ProtocolName = "coco"
    """Evaluation protocol."""
    dataset_path: Annotated[Path | None, default("that of the training", "DIR")] = None
    """Data set folder."""
    split: Literal["test", "val"] = "test"
    """Part of the data set."""
    classes: Annotated[tuple[str, ...], default("the protocol's; all for coco")] = ()
    """Classes of the label map to score; person+rider=pedestrian merges and renames."""
    frames: Annotated[int | None, default("all; test_frames of toy_problem", "INT")] = None
    """Maximum number of frames to score."""
    score_thresh: Annotated[float | None, default("as configured", "FLOAT")] = None
    """Score threshold in [0, 1]; boxes below it are dropped."""
    nms_thresh: Annotated[float | None, default("as configured", "FLOAT")] = None
    """IoU threshold in [0, 1] of non-maximum suppression."""
    tracking: tyro.conf.OmitArgPrefixes[TrackingOptions] = field(default_factory=TrackingOptions)
    """How detections become tracks; HOTA, MOTA and IDF1 score them."""
    sensor_size: Annotated[str | None, default("that of the training, or as stated", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recordings; by default as the training did, if --dataset-path is left out."""
    rates: Annotated[tuple[float, ...], default("none", "HZ ...")] = ()
    """Frame rates to score at besides the training's, in frames per second: 10 20 50 100."""
    from_first_event: Flag = False
    """Play recordings from their first event, where the protocol starts later (a deviation)."""
    reset_every: Annotated[int | None, default("never", "FRAMES")] = None
    """Frames after which memory is emptied, as in the released code of S5-ViT."""
    count_events: bool = True
    """Count the events in every box, for the curve over them; reads recordings twice."""
    json: Annotated[Path | None, default("none", "FILE")] = None
    """JSON file for the scores and their protocol."""
    output_dir: Annotated[Path | None, default("the run's folder", "DIR")] = None
    """Folder for evaluation.json, pictures and demo.mp4."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, ... or auto."""
    provider: ProviderNames = ()
    """Execution providers for an exported model (*.onnx), first choice first: cuda, tensorrt,
    openvino, directml, coreml, cpu."""
    threads: ThreadCount = 0
    """Threads of the CPU."""


def evaluate(options: EvaluateOptions) -> None:
    """Evaluate, print the scores, and write the files of the report.

    Raises:
        ValueError: an option is out of range, or does not fit the checkpoint.
    """
    check_threads(options.threads)
    check_at_least(1, options, "frames", "reset_every")
    check_share(options, "score_thresh", "nms_thresh")
    check_writable(options.json)
    check_result_folder(options.output_dir)
    _check_apart(options, options.dataset_path)
    check_rates(options.rates)
    if options.rates and options.reset_every is not None:
        raise ValueError("--rates carries memory at every rate: leave --reset-every out")
    protocol = get_protocol(options.protocol)
    options.tracking.check()
    evaluated = open_evaluated(
        options.checkpoint,
        dataset_path=options.dataset_path,
        device=options.device,
        num_threads=options.threads,
        providers=options.provider,
    )
    run = _results_of(options, evaluated.path)
    run.path.mkdir(parents=True, exist_ok=True)
    busy = (
        f"another process evaluates into {run.path}: wait for its end, or choose another folder "
        "(--output-dir)"
    )
    with only_writer(run.evaluation_lock, busy=busy):
        _evaluate_into(run, options, evaluated, protocol)


def _evaluate_into(
    run: RunFolder, options: EvaluateOptions, evaluated: EvaluatedDetector, protocol: Protocol
) -> None:
    use_threads(evaluated.detector, options.threads)
    config, deviations = _config_for(options, evaluated, protocol)
    _check_apart(options, Path(config.dataset_path))
    thresholds = config.thresholds
    if protocol.start_before_label is not None and _is_whole(options, config):
        protocol = dataclasses.replace(protocol, start_before_label=None)
        deviations.append("recordings played from their first event")
    loader, played, unplayed = open_played(config, options.split, protocol)
    progress = progress_of(run, loader, played, _settings_of(options, evaluated, config))
    evaluation = _score(
        options, evaluated, config, protocol, loader, played, progress, deviations=deviations
    )
    check_has_truth(evaluation.scores, f"{options.split} of {config.dataset_path}")
    bin_time = evaluation.delta_t or config.delta_t
    tracker = options.tracking.open_tracker(bin_time, options.score_thresh)
    further = measure_further(
        evaluation.recordings,
        config.class_names,
        protocol,
        size=evaluation.size,
        delta_t=evaluation.delta_t,
        scores_tracks=tracker is not None,
        tracker=tracker,
    )
    rates = _score_rates(options, evaluated, config, protocol)
    video = keep_video(
        run,
        evaluated,
        config,
        options.split,
        thresholds,
        loader=None if played is None else loader,
        reset_every=options.reset_every,
    )
    ignored = Counter[str]()
    for recording in played or []:
        ignored.update({} if recording.labeled is None else recording.labeled.counts)
    notes = [*unplayed, *further.notes, *video, *describe_counts(ignored)]
    scores = evaluation.scores.as_dict()
    numbers = {
        "evaluated": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "checkpoint": str(hub_name(options.checkpoint) or evaluated.path),
        "dataset": config.dataset_path,
        "split": options.split,
        "test_frames": evaluation.num_frames,
        "thresholds": dataclasses.asdict(thresholds),
        "num_parameters": evaluated.num_parameters,
        "notes": notes,
        "broken": {**({} if progress is None else progress.broken), **loader.broken},
        **scores,
        "curves": further.curves,
        "tracks": further.tracks,
        "rates": [one.as_dict() for one in rates],
        "data": _statistics(config, evaluation, options.split).as_dict(),
    }
    keep_evaluation(run, evaluation, numbers)
    if progress is not None:
        progress.remove()
    if options.json is not None:
        asked = {name: numbers[name] for name in ("tracks", "rates")}
        write_text(options.json, json.dumps({**scores, **asked}, indent=1) + "\n")
    print(describe_scores(evaluation.scores))
    if further.tracks is not None:
        print(describe_tracks(further.tracks))
    if rates:
        print(describe_rates(rates, evaluated))
    print("\n".join([*notes, f"scores and pictures: {run.evaluation}"]))


def _score(
    options: EvaluateOptions,
    evaluated: EvaluatedDetector,
    config: DetectionConfig,
    protocol: Protocol,
    loader: StreamLoader | MixedLoader,
    played: list[PlayedRecording] | None,
    progress: EvaluationProgress | None,
    *,
    deviations: list[str],
) -> Evaluation:
    """Detect in all recordings, or in the rest of them."""
    first = 0 if progress is None else progress.num_batches
    return score(
        evaluated.detector,
        with_progress(loader, config, options.frames, first=first),
        config.class_names,
        show_frame=loader.get_vis_func(),
        thresholds=config.thresholds,
        protocol=protocol,
        played=played,
        detector_classes=evaluated.class_names,
        counts_events=options.count_events,
        reset_every=options.reset_every,
        deviations=deviations,
        progress=progress,
        broken=lambda: loader.broken,
    )


def _settings_of(
    options: EvaluateOptions, evaluated: EvaluatedDetector, config: DetectionConfig
) -> dict[str, str]:
    """What decides what is found: an evaluation with other settings is not continued."""
    file = checkpoint_file(evaluated.path)
    return {
        "checkpoint": digest_of(file),
        "config": config_to_yaml(config),
        "device": str(device_of(evaluated.detector)),
        **settings_of(options, but=("checkpoint", "json", "output_dir", "threads", "rates")),
    }


def _score_rates(
    options: EvaluateOptions,
    evaluated: EvaluatedDetector,
    config: DetectionConfig,
    protocol: Protocol,
) -> list[RateScore]:
    if not options.rates:
        return []
    seconds = None if options.frames is None else options.frames * config.delta_t / 1e6
    return measure_rates(
        evaluated,
        config,
        options.rates,
        lambda delta_t: played_at(delta_t, config, options.split, protocol, seconds=seconds),
        protocol=protocol,
    )


def _results_of(options: EvaluateOptions, checkpoint: Path) -> RunFolder:
    """The folder for the results."""
    if options.output_dir is not None:
        return RunFolder(options.output_dir)
    # Not into the cache of the Hub's files.
    name = hub_name(options.checkpoint)
    return (
        RunFolder.of_checkpoint(checkpoint) if name is None else RunFolder(Path("runs") / name.name)
    )


def _check_apart(options: EvaluateOptions, dataset: Path | None) -> None:
    """Refuse results that would replace what is read, or each other."""
    path = options.checkpoint
    run = _results_of(options, path)
    if options.output_dir is None and path.is_dir():
        run = RunFolder(path)
    read = [*run_files(path, but=["evaluation", "video"]), *dataset_files(dataset)]
    derived = [run.evaluation_file, run.video]
    derived += run.evaluation.glob("*.png")
    prepare_files([options.json], derived=derived, read=read)
    check_folder_apart(options.output_dir, read=dataset_files(dataset))


def _statistics(config: DetectionConfig, evaluation: Evaluation, split: str) -> DataStatistics:
    if config.dataset_path == TOY_PROBLEM:
        return describe_truth(evaluation.recordings, config.class_names, split)
    return describe_folder(
        open_folder(Path(config.dataset_path), options=read_options(config)),
        config.classes,
        config.class_names,
        size=asked_size(config.sensor_size or None),
        frame_period=config.frame_period or config.delta_t,
    )


def _config_for(
    options: EvaluateOptions, evaluated: EvaluatedDetector, protocol: Protocol
) -> tuple[DetectionConfig, list[str]]:
    """The configuration of the loader, and its deviations from the protocol."""
    config = evaluated.config
    if options.dataset_path is not None:
        config = dataclasses.replace(config, dataset_path=str(options.dataset_path))
    config = _reading_as_asked(options, config)
    classes = _classes(options, evaluated, protocol)
    # The same box rules hold for pictures and confusion matrix, which come from the loader.
    pixels = 2 if protocol.pixels == "half sensor" else 1
    config = dataclasses.replace(
        config,
        classes=classes,
        test_frames=config.test_frames if options.frames is None else options.frames,
        score_thresh=_or(options.score_thresh, config.score_thresh),
        nms_thresh=_or(options.nms_thresh, config.nms_thresh),
        min_box_diag=protocol.min_diag * pixels,
        min_box_side=protocol.min_side * pixels,
        max_box_share=1.0,
        clip_boxes=protocol.clips_truth,
    )
    deviations = []
    if protocol.classes and config.class_names != protocol.classes:
        deviations.append(f"other classes than {', '.join(protocol.classes)}")
    return config, deviations


def _reading_as_asked(options: EvaluateOptions, config: DetectionConfig) -> DetectionConfig:
    """The configuration with what the options say of the recordings."""
    asked_size(options.sensor_size)  # refuses text that is not a size
    asked = options.reading.options()
    # What the training says of its recordings does not hold for those of another folder.
    trained = config if options.dataset_path is None else DetectionConfig()
    return dataclasses.replace(
        config,
        format=asked.format or trained.format,
        time_unit=asked.time_unit or trained.time_unit,
        columns=asked.columns or trained.columns,
        stream=asked.stream or trained.stream,
        sensor_size=options.sensor_size or trained.sensor_size,
        strict=asked.strict or config.strict,
    )


def _or(given: float | None, configured: float) -> float:
    return configured if given is None else given


def _classes(
    options: EvaluateOptions, evaluated: EvaluatedDetector, protocol: Protocol
) -> tuple[str, ...]:
    """The classes to score, in the words of the data set."""
    known = dict(zip(evaluated.class_names, evaluated.config.classes, strict=True))
    if not (options.classes or protocol.classes):
        return evaluated.config.classes
    # Classes that the training merged are merged again, on its own data set.
    is_own = options.dataset_path is None
    wanted = options.classes or protocol.classes
    texts = tuple(known.get(text, text) if is_own else text for text in wanted)
    names = [text.rpartition("=")[2].strip() for text in texts]
    unknown = [name for name in names if name not in known]
    if unknown:
        remedy = (
            "rename classes of the labels, as in person=pedestrian"
            if options.classes
            else "choose classes with --classes (a deviation), or use --protocol coco"
        )
        whose = "--classes names" if options.classes else f"{protocol.name} scores"
        raise ConfigError(
            f"{whose} {', '.join(names)}, but the detector knows {', '.join(known)}: {remedy}"
        )
    if evaluated.config.dataset_path == TOY_PROBLEM and is_own and set(names) != set(known):
        raise ConfigError(f"--classes cannot be used with {TOY_PROBLEM}, which has all classes")
    return texts


def _is_whole(options: EvaluateOptions, config: DetectionConfig) -> bool:
    """Whether recordings are played from their first event, whatever the protocol says."""
    return options.from_first_event or config.dataset_path == TOY_PROBLEM
