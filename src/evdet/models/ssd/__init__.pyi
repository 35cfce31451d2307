from .anchors import (
    COCO_ANCHORS as COCO_ANCHORS,
    DIGIT_ANCHORS as DIGIT_ANCHORS,
    MNIST_ANCHORS as MNIST_ANCHORS,
    PSEE_ANCHORS as PSEE_ANCHORS,
    Anchors as Anchors,
)
from .detector import SSD as SSD
from .feature_extractors import (
    Vanilla as Vanilla,
    VanillaGRU as VanillaGRU,
    VanillaS5 as VanillaS5,
    VggLike as VggLike,
)
from .heads import BoxHead as BoxHead
from .losses import LOSSES as LOSSES, DetectionLoss as DetectionLoss
