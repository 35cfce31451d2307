"""The detector to evaluate, with the configuration of its data and its number of weights."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from evdet.config import ConfigError, DetectionConfig
from evdet.detectors import (
    OnnxDetector,
    Provider,
    config_of,
    find_checkpoint,
    load_checkpoint,
    open_detector,
)
from evdet.models import DetectorProtocol

__all__ = ["EvaluatedDetector", "open_evaluated"]


@dataclass(frozen=True, kw_only=True)
class EvaluatedDetector:
    """A detector, and what its evaluation needs."""

    path: Path
    """The checkpoint or the exported model."""
    detector: DetectorProtocol
    """In evaluation mode."""
    config: DetectionConfig
    """The training's configuration; for an exported detector, that of its `frame_spec`."""
    num_parameters: int | None
    """None for an exported detector."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the detector."""
        return self.config.class_names


def open_evaluated(
    path: str | os.PathLike[str],
    *,
    dataset_path: Path | None = None,
    device: str = "cpu",
    num_threads: int = 0,
    providers: Sequence[Provider] = (),
) -> EvaluatedDetector:
    """Open a detector to evaluate it.

    Args:
        path: a checkpoint or an exported model, as for `open_detector`.
        dataset_path: the data set to evaluate on; by default the one of its training.
        device: cpu, cuda, ... or auto.
        num_threads: of a model in ONNX, as for `open_detector`.
        providers: of a model in ONNX, as for `open_detector`.

    Returns:
        The detector, and the configuration with which a loader feeds it.

    Raises:
        CheckpointError: the file is not a checkpoint.
        ConfigError: an exported model without a data set.
        ExportError: the file is not an exported model.
        ValueError: the device does not exist.
    """
    path = find_checkpoint(path)
    detector = open_detector(path, device=device, num_threads=num_threads, providers=providers)
    if isinstance(detector, OnnxDetector):
        config, num_parameters = _config_of_exported(path, detector, dataset_path), None
    else:
        config = config_of(load_checkpoint(path))
        weights = detector.parameters() if isinstance(detector, nn.Module) else ()
        num_parameters = sum(weight.numel() for weight in weights)
    return EvaluatedDetector(
        path=path, detector=detector, config=config, num_parameters=num_parameters
    )


def _config_of_exported(
    path: Path, detector: OnnxDetector, dataset_path: Path | None
) -> DetectionConfig:
    if dataset_path is None:
        raise ConfigError(
            f"{path} does not contain the path of its data set: give --dataset-path, a folder of "
            "recordings"
        )
    spec = detector.frame_spec
    lanes, _, _, _ = detector.frame_shape
    return DetectionConfig(
        dataset_path=str(dataset_path),
        classes=spec.class_names,
        preprocess=spec.preprocess,
        delta_t=spec.delta_t,
        height=spec.height,
        width=spec.width,
        in_channels=spec.in_channels,
        remove_hot_pixels=spec.remove_hot_pixels,
        background_filter=spec.background_filter,
        score_thresh=spec.thresholds.score_thresh,
        nms_thresh=spec.thresholds.nms_thresh,
        max_boxes_per_input=spec.thresholds.max_boxes,
        batch_size=lanes or DetectionConfig.batch_size,
        num_tbins=1,
    )
