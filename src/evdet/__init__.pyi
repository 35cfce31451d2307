from .boxes import (
    BOX_DTYPE as BOX_DTYPE,
    cxcywh_to_xyxy as cxcywh_to_xyxy,
    decode_boxes as decode_boxes,
    encode_boxes as encode_boxes,
    pairwise_iou as pairwise_iou,
    to_box_events as to_box_events,
)
from .build import build_detector as build_detector, build_loader as build_loader
from .compat import (
    EventBbox as EventBbox,
    MovingMNISTDataset as MovingMNISTDataset,
    box_api as box_api,
    box_processing as box_processing,
    box_vectors_to_bboxes as box_vectors_to_bboxes,
    deltas_to_bbox as deltas_to_bbox,
    load_detector as load_detector,
    xywh2xyxy as xywh2xyxy,
)
from .config import DetectionConfig as DetectionConfig, read_config as read_config
from .data import StreamLoader as StreamLoader
from .detectors import (
    load_onnx as load_onnx,
    open_detector as open_detector,
    search_latest_checkpoint as search_latest_checkpoint,
)
from .draw import (
    draw_anchors as draw_anchors,
    draw_anchors_and_predictions as draw_anchors_and_predictions,
    draw_box_events as draw_box_events,
    image_grid as image_grid,
    write_video as write_video,
)
from .evaluation import detect_batches as detect_batches, evaluate as evaluate
from .events import (
    EVENT_DTYPE as EVENT_DTYPE,
    RecordingError as RecordingError,
    SensorSize as SensorSize,
    TimeBin as TimeBin,
    open_recording as open_recording,
)
from .export import export_onnx as export_onnx
from .frame_spec import FrameSpec as FrameSpec, SelectionThresholds as SelectionThresholds
from .metrics import (
    average_precision as average_precision,
    performance_curves as performance_curves,
    track_scores as track_scores,
)
from .models import (
    SSD as SSD,
    Anchors as Anchors,
    BoxHead as BoxHead,
    DetectionLoss as DetectionLoss,
    Detector as Detector,
    Vanilla as Vanilla,
    VanillaGRU as VanillaGRU,
    VanillaS5 as VanillaS5,
    VggLike as VggLike,
    keep_memory as keep_memory,
)
from .models.rvt import RVT as RVT
from .nms import nms as nms
from .outputs import open_outputs as open_outputs
from .pipeline import detect as detect
from .samples import sample_recording as sample_recording
from .sources import open_frames as open_frames, open_live as open_live
from .synthetic import make_moving_mnist as make_moving_mnist
from .tracking import (
    Tracker as Tracker,
    from_supervision as from_supervision,
    to_supervision as to_supervision,
)
from .training import LightningDetectionModel as LightningDetectionModel, train as train

__version__: str
