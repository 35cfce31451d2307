"""Frames -> features -> boxes. Only torch is needed here."""

from evdet.models.anchors import COCO_ANCHORS, MNIST_ANCHORS, PSEE_ANCHORS, Anchors
from evdet.models.detector import Detector
from evdet.models.feature_extractors import (
    FeatureExtractor,
    RecurrentPyramid,
    Vanilla,
    VanillaGRU,
    VggLike,
)
from evdet.models.frame_spec import FrameSpec
from evdet.models.heads import BoxHead
from evdet.models.layers import ConvLayer, SqueezeExciteBlock
from evdet.models.losses import DetectionLoss
from evdet.models.recurrent import ConvGRU, ConvLSTM

__all__ = [
    "COCO_ANCHORS",
    "MNIST_ANCHORS",
    "PSEE_ANCHORS",
    "Anchors",
    "BoxHead",
    "ConvGRU",
    "ConvLSTM",
    "ConvLayer",
    "DetectionLoss",
    "Detector",
    "FeatureExtractor",
    "FrameSpec",
    "RecurrentPyramid",
    "SqueezeExciteBlock",
    "Vanilla",
    "VanillaGRU",
    "VggLike",
]
