"""Writes the numbers, pictures and video of an evaluation into a run's folder."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from evdet.atomic_file import write_bytes
from evdet.build import build_loader
from evdet.config import DetectionConfig
from evdet.data import MixedLoader, StreamLoader
from evdet.draw import VideoUnavailableError, encode_png, write_video
from evdet.evaluation.detecting import detect_batches, rename_classes
from evdet.evaluation.evaluated import EvaluatedDetector
from evdet.evaluation.lane_grid import LaneGrid
from evdet.evaluation.loop import Evaluation
from evdet.frame_spec import SelectionThresholds
from evdet.runs import RunFolder
from evdet.shapes import Picture

__all__ = ["keep_evaluation", "keep_video"]

_VIDEO_FRAMES = 120


def keep_evaluation(run: RunFolder, evaluation: Evaluation, numbers: Mapping[str, Any]) -> None:
    """Write numbers and pictures to the files that a report reads.

    Args:
        run: the folder to write to.
        evaluation: pictures and confusion.
        numbers: everything else.
    """
    run.evaluation.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, list[dict[str, str]]] = {}
    for kind, moments in (
        ("strip", evaluation.strip),
        ("best", evaluation.best),
        ("typical", evaluation.typical),
        ("failures", evaluation.failures),
    ):
        pictures[kind] = []
        for index, (heading, caption, image) in enumerate(moments):
            name = f"{kind}-{index:02d}.png"
            write_bytes(run.evaluation / name, encode_png(image))
            pictures[kind].append({"file": name, "heading": heading, "caption": caption})
    confusion = evaluation.confusion.tolist()
    run.write_evaluation({**numbers, "confusion": confusion, "pictures": pictures})


def keep_video(
    run: RunFolder,
    evaluated: EvaluatedDetector,
    config: DetectionConfig,
    split: str,
    thresholds: SelectionThresholds,
    *,
    loader: StreamLoader | MixedLoader | None = None,
    reset_every: int | None = None,
) -> list[str]:
    """Write a video of detections and ground truth.

    Args:
        run: the folder to write to.
        evaluated: the detector.
        config: of the loader.
        split: the split to play.
        thresholds: select detections among the candidates.
        loader: that of the evaluation, to play the recordings from where they were scored; it is
            not changed. None opens the split anew.
        reset_every: frames of a recording after which memory is emptied; None carries it.

    Returns:
        What is missing and why, one line each.
    """
    if isinstance(loader, StreamLoader):
        loader = loader.with_streams(loader.streams)
    else:
        # Longer than the scored videos, to show the effect of memory.
        long = max(_VIDEO_FRAMES, config.max_frames_per_video)
        loader = build_loader(dataclasses.replace(config, max_frames_per_video=long), split)
    show_frame, label_map = loader.get_vis_func(), ["background", *config.class_names]
    frames_per_second = 1e6 / next(iter(loader))["video_infos"][0].delta_t

    # A picture shows one box per object; the scores of a protocol count class by class.
    drawn = thresholds.but(agnostic=True)

    def pictures() -> Iterator[Picture]:
        grid = LaneGrid(label_map, show_frame, nms_thresh=drawn.nms_thresh)
        for batch, found in detect_batches(
            evaluated.detector, loader, drawn, reset_every=reset_every
        ):
            shown = rename_classes(found, evaluated.class_names, config.class_names)
            yield from grid.draw(batch, shown)

    try:
        run.path.mkdir(parents=True, exist_ok=True)
        write_video(run.video, itertools.islice(pictures(), _VIDEO_FRAMES), frames_per_second)
    except VideoUnavailableError as error:
        return [str(error)]
    return []
