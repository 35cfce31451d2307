"""What is evaluated: the detector of a checkpoint, or an exported one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evdet.config import ConfigError, DetectionConfig

if TYPE_CHECKING:
    from evdet.detectors import OnnxDetector
    from evdet.models import DetectorProtocol

__all__ = ["Subject", "open_subject"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is evaluated."""

    path: Path
    detector: "DetectorProtocol"
    config: DetectionConfig
    """Of its training; for an exported detector what it says of its frames."""
    num_parameters: int | None
    """None for an exported detector."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What it can find."""
        return self.config.class_names


def open_subject(path: Path, *, dataset_path: Path | None, device: str) -> Subject:
    """Load what is to be evaluated.

    Args:
        path: a checkpoint, a run's folder, whose best checkpoint is taken, or an exported model.
        dataset_path: what it is going to play, where it is not the data set of its training.
        device: cpu, cuda, ... or auto.

    Returns:
        The detector, in evaluation mode.

    Raises:
        CheckpointError: it is no checkpoint.
        ConfigError: an exported model without a data set.
        ExportError: it is no such model.
        ValueError: there is no such device.
    """
    from torch import nn

    from evdet.cli.chosen_detector import checkpoint_of, load_chosen_detector
    from evdet.detectors import OnnxDetector, config_of, load_checkpoint

    path = checkpoint_of(path)
    detector = load_chosen_detector(path, device=device)
    if isinstance(detector, OnnxDetector):
        return _exported(path, detector, dataset_path)
    config = config_of(load_checkpoint(path))
    weights = detector.parameters() if isinstance(detector, nn.Module) else ()
    return Subject(
        path=path,
        detector=detector,
        config=config,
        num_parameters=sum(weight.numel() for weight in weights),
    )


def _exported(path: Path, detector: "OnnxDetector", dataset_path: Path | None) -> Subject:
    if dataset_path is None:
        raise ConfigError(
            f"{path} does not know what it was trained on: give --dataset-path, a folder of "
            "recordings"
        )
    spec = detector.frame_spec
    lanes, _, _, _ = detector.frame_shape
    config = DetectionConfig(
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
    return Subject(path=path, detector=detector, config=config, num_parameters=None)
