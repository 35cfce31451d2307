"""Frames -> features -> boxes. Only torch is needed here."""

from evdet.frame_spec import FrameSpec
from evdet.models.detector import AnyDetector, StreamDetector
from evdet.models.layers import ConvLayer, SqueezeExciteBlock
from evdet.models.postprocess import SelectionThresholds
from evdet.models.recurrent import ConvGRU, ConvLSTM
from evdet.models.rvt import RVT, RVT_PLANS, RVTPlan
from evdet.models.ssd.anchors import COCO_ANCHORS, MNIST_ANCHORS, PSEE_ANCHORS, Anchors
from evdet.models.ssd.detector import Detector
from evdet.models.ssd.feature_extractors import (
    FeatureExtractor,
    RecurrentPyramid,
    Vanilla,
    VanillaGRU,
    VggLike,
)
from evdet.models.ssd.heads import BoxHead
from evdet.models.ssd.losses import DetectionLoss

__all__ = [
    "COCO_ANCHORS",
    "MNIST_ANCHORS",
    "PSEE_ANCHORS",
    "RVT",
    "RVT_PLANS",
    "Anchors",
    "AnyDetector",
    "BoxHead",
    "ConvGRU",
    "ConvLSTM",
    "ConvLayer",
    "DetectionLoss",
    "Detector",
    "FeatureExtractor",
    "FrameSpec",
    "RVTPlan",
    "RecurrentPyramid",
    "SelectionThresholds",
    "SqueezeExciteBlock",
    "StreamDetector",
    "Vanilla",
    "VanillaGRU",
    "VggLike",
]
