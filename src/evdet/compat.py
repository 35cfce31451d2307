"""Old names: those of the seed tutorial (docs/architecture.md has the table) and of evdet 0.1.0."""

from types import SimpleNamespace

from evdet.boxes import BOX_DTYPE, cxcywh_to_xyxy, decode_boxes, to_box_events
from evdet.detectors import open_detector
from evdet.synthetic import make_moving_mnist

__all__ = [
    "EventBbox",
    "MovingMNISTDataset",
    "box_api",
    "box_processing",
    "box_vectors_to_bboxes",
    "deltas_to_bbox",
    "load_detector",
    "xywh2xyxy",
]

EventBbox = BOX_DTYPE
MovingMNISTDataset = make_moving_mnist
box_vectors_to_bboxes = to_box_events
deltas_to_bbox = decode_boxes
load_detector = open_detector
xywh2xyxy = cxcywh_to_xyxy
box_processing = SimpleNamespace(box_vectors_to_bboxes=to_box_events)
box_api = box_processing
