"""evdet trains and runs object detectors that remember.

The names below are loaded when they are first used, so importing evdet costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "evdet.boxes": (
        "BOX_DTYPE", "cxcywh_to_xyxy", "decode_boxes", "encode_boxes", "nms", "pairwise_iou",
        "to_box_events",
    ),
    "evdet.build": ("build_detector", "build_loader"),
    "evdet.detectors.checkpoints": ("load_detector", "search_latest_checkpoint"),
    "evdet.compat": (
        "EventBbox", "MovingMNISTDataset", "box_api", "box_processing", "box_vectors_to_bboxes",
        "deltas_to_bbox", "xywh2xyxy",
    ),
    "evdet.config": ("DetectionConfig", "read_config"),
    "evdet.data": ("StreamLoader",),
    "evdet.synthetic": ("make_moving_mnist",),
    "evdet.sources.opening": ("open_frames",),
    "evdet.sources.live": ("open_live",),
    "evdet.draw": (
        "draw_anchors", "draw_anchors_and_predictions", "draw_box_events", "image_grid",
        "write_video",
    ),
    "evdet.evaluation": ("detect_batches", "evaluate"),
    "evdet.events": ("EVENT_DTYPE", "RecordingError", "SensorSize", "TimeBin"),
    "evdet.events.recording": ("open_recording",),
    "evdet.export": ("export_onnx", "load_onnx"),
    "evdet.metrics": ("average_precision", "track_scores"),
    "evdet.metrics.curves": ("performance_curves",),
    "evdet.models": (
        "Anchors", "BoxHead", "DetectionLoss", "Detector", "SelectionThresholds", "Vanilla",
        "VanillaGRU", "VggLike",
    ),
    "evdet.models.rvt": ("RVT",),
    "evdet.pipeline": ("detect",),
    "evdet.samples": ("sample_recording",),
    "evdet.tracking": ("Tracker", "from_supervision", "to_supervision"),
    "evdet.training": ("LightningDetectionModel", "train"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'evdet' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
