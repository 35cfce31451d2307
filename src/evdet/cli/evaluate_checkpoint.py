"""`evdet evaluate CHECKPOINT`: a detector -> numbers, pictures and a video on unseen frames."""

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evdet.atomic_file import write_text
from evdet.cli.score_table import describe_scores, describe_tracks
from evdet.config import TOY_PROBLEM, ConfigError, DetectionConfig
from evdet.runs import RunFolder

if TYPE_CHECKING:
    from evdet.cli.evaluate_options import EvaluateOptions
    from evdet.data import Batch, MixedLoader, StreamLoader
    from evdet.evaluation import EvaluatedDetector, PlayedRecording
    from evdet.metrics import Protocol

__all__ = ["evaluate_checkpoint"]

_SPLITS = ("test", "val")


def evaluate_checkpoint(options: "EvaluateOptions") -> None:
    """Evaluate a checkpoint on the recordings of a folder, or on Moving MNIST.

    Args:
        options: what the user asked for; `checkpoint` is given.
    """
    from evdet.build import build_loader
    from evdet.evaluation import (
        evaluate as score,
        keep_evaluation,
        keep_video,
        measure_further,
        open_evaluated,
    )
    from evdet.metrics import get_protocol
    from evdet.tracking import Tracker

    protocol = get_protocol(options.protocol)
    if options.split not in _SPLITS:
        raise ConfigError(f"split must be one of {', '.join(_SPLITS)}, got {options.split!r}")
    if options.tracks:
        Tracker(options.tracker)  # says at once that it does not exist, or needs a library
    evaluated = open_evaluated(
        options.checkpoint or Path(), dataset_path=options.dataset_path, device=options.device
    )
    config, deviations = _config_for(options, evaluated, protocol)
    thresholds = config.thresholds
    loader = build_loader(config, options.split)
    evaluation = score(
        evaluated.detector,
        _with_progress(loader, config, options.frames),
        config.class_names,
        show_frame=loader.get_vis_func(),
        thresholds=thresholds,
        protocol=protocol,
        played=_played(config, loader, options.split),
        detector_classes=evaluated.class_names,
        counts_events=options.count_events,
        deviations=deviations,
    )
    further = measure_further(
        evaluation.recordings,
        config.class_names,
        protocol,
        size=evaluation.size,
        delta_t=evaluation.delta_t,
        scores_tracks=options.tracks,
        tracker=options.tracker,
    )
    run = RunFolder(options.output) if options.output else RunFolder.of_checkpoint(evaluated.path)
    video = keep_video(run, evaluated, config, options.split, thresholds)
    notes = [*further.notes, *video]
    scores = evaluation.scores.as_dict()
    numbers = {
        "checkpoint": str(evaluated.path),
        "dataset": config.dataset_path,
        "split": options.split,
        "test_frames": evaluation.num_frames,
        "thresholds": dataclasses.asdict(thresholds),
        "num_parameters": evaluated.num_parameters,
        "notes": notes,
        "broken": loader.broken,
        **scores,
        "curves": further.curves,
        "tracks": further.tracks,
    }
    keep_evaluation(run, evaluation, numbers)
    if options.json is not None:
        write_text(options.json, json.dumps({**scores, "tracks": further.tracks}, indent=1) + "\n")
    print(describe_scores(evaluation.scores))
    if further.tracks is not None:
        print(describe_tracks(further.tracks))
    print("\n".join([*notes, f"numbers and pictures: {run.evaluation}"]))


def _config_for(
    options: "EvaluateOptions", evaluated: "EvaluatedDetector", protocol: "Protocol"
) -> tuple[DetectionConfig, list[str]]:
    """The configuration of the loader, and where it departs from the protocol."""
    config = evaluated.config
    if options.dataset_path is not None:
        config = dataclasses.replace(config, dataset_path=str(options.dataset_path))
    classes = _classes(options, evaluated, protocol)
    # Pictures and confusion are of the frames that the loader plays, under the same rules.
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


def _or(given: float | None, configured: float) -> float:
    return configured if given is None else given


def _classes(
    options: "EvaluateOptions", evaluated: "EvaluatedDetector", protocol: "Protocol"
) -> tuple[str, ...]:
    """The classes to score, as the data set is to be asked for them."""
    known = dict(zip(evaluated.class_names, evaluated.config.classes, strict=True))
    if not (options.classes or protocol.classes):
        return evaluated.config.classes
    # What the training merged from several classes is merged again, on its own data set.
    is_own = options.dataset_path is None
    wanted = options.classes or protocol.classes
    texts = tuple(known.get(text, text) if is_own else text for text in wanted)
    names = [text.rpartition("=")[2].strip() for text in texts]
    unknown = [name for name in names if name not in known]
    if unknown:
        remedy = (
            "rename those of the labels, as in person=pedestrian"
            if options.classes
            else "choose the classes to score with --classes, which the numbers then say, or take "
            "--protocol coco"
        )
        whose = "--classes names" if options.classes else f"{protocol.name} scores"
        raise ConfigError(
            f"{whose} {', '.join(names)}, but the detector knows {', '.join(known)}: {remedy}"
        )
    if evaluated.config.dataset_path == TOY_PROBLEM and is_own and set(names) != set(known):
        raise ConfigError(f"{TOY_PROBLEM} is scored with all its classes: leave out --classes")
    return texts


def _played(
    config: DetectionConfig, loader: "StreamLoader | MixedLoader", split: str
) -> "list[PlayedRecording] | None":
    """The label files of the recordings that a loader plays; None for Moving MNIST."""
    from evdet.data import SequentialClips, StreamLoader, open_folder
    from evdet.evaluation import to_played

    if not isinstance(loader, StreamLoader) or not isinstance(loader.streams, SequentialClips):
        return None
    return to_played(
        loader.streams.source.videos,
        open_folder(Path(config.dataset_path)),
        split,
        classes=config.classes,
        frame_period=config.frame_period or config.delta_t,
    )


@dataclass(frozen=True)
class _FirstBatches:
    """So many batches from the start of a loader, as often as they are asked for."""

    loader: "StreamLoader | MixedLoader"
    num_batches: int

    def __iter__(self) -> "Iterator[Batch]":
        return itertools.islice(self.loader, self.num_batches)


def _with_progress(
    loader: "StreamLoader | MixedLoader", config: DetectionConfig, frames: int | None
) -> "Iterable[Batch]":
    from tqdm import tqdm

    num_batches = len(loader)
    if config.dataset_path != TOY_PROBLEM and frames is not None:
        num_batches = min(num_batches, math.ceil(frames / (config.num_tbins * config.batch_size)))
    batches = _FirstBatches(loader, num_batches)
    # Not its iterator: who checks types may ask for a batch.
    shown: Iterable[Batch] = tqdm(
        batches, desc="Evaluating", unit="batch", total=num_batches, leave=False
    )
    return shown
