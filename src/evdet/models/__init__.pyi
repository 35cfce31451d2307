from .adapter import MemoryAdapter as MemoryAdapter
from .compiling import compile_reason as compile_reason
from .detector import (
    Detector as Detector,
    DetectorProtocol as DetectorProtocol,
    KnowsTime as KnowsTime,
    check_positive as check_positive,
    device_of as device_of,
    step_timed as step_timed,
    takes_durations as takes_durations,
)
from .folding import fold_batch_norm as fold_batch_norm
from .layers import ConvLayer as ConvLayer, SqueezeExciteBlock as SqueezeExciteBlock
from .memory import cut_at_resets as cut_at_resets, keep_memory as keep_memory
from .overview import detector_html as detector_html, detector_line as detector_line
from .postprocess import (
    Selection as Selection,
    choose_candidates as choose_candidates,
    select_boxes as select_boxes,
    select_detections as select_detections,
    suppress_candidates as suppress_candidates,
    to_detections as to_detections,
)
from .published import PUBLISHED as PUBLISHED, Publication as Publication
from .recurrent import (
    ConvGRU as ConvGRU,
    ConvLSTM as ConvLSTM,
    ConvS5 as ConvS5,
    PeepholeLSTM as PeepholeLSTM,
)
from .rtdetr import (
    EVRT_DETR_PLANS as EVRT_DETR_PLANS,
    RT_DETR_PLANS as RT_DETR_PLANS,
    RTDETR as RTDETR,
    RTDETRPlan as RTDETRPlan,
)
from .rvt import (
    RVT as RVT,
    RVT_PLANS as RVT_PLANS,
    S5_VIT_PLANS as S5_VIT_PLANS,
    RVTPlan as RVTPlan,
)
from .ssd.anchors import (
    COCO_ANCHORS as COCO_ANCHORS,
    DIGIT_ANCHORS as DIGIT_ANCHORS,
    MNIST_ANCHORS as MNIST_ANCHORS,
    PSEE_ANCHORS as PSEE_ANCHORS,
    Anchors as Anchors,
)
from .ssd.detector import SSD as SSD
from .ssd.feature_extractors import (
    FeatureExtractor as FeatureExtractor,
    RecurrentPyramid as RecurrentPyramid,
    Vanilla as Vanilla,
    VanillaGRU as VanillaGRU,
    VanillaS5 as VanillaS5,
    VggLike as VggLike,
)
from .ssd.heads import BoxHead as BoxHead
from .ssd.losses import DetectionLoss as DetectionLoss
from .state_space import S5 as S5, S5Block as S5Block
