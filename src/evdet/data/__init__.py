"""Recordings -> clips -> lanes -> batches."""

from evdet.data.batch import Batch, Clip, ClipShape, VideoInfo, make_batch
from evdet.data.lanes import LanePlan, deal_lanes
from evdet.data.mnist_digits import Digits, load_digits
from evdet.data.moving_mnist import MovingMNIST, make_moving_mnist
from evdet.data.stream_loader import StreamLoader, Streams, frame_to_rgb

__all__ = [
    "Batch",
    "Clip",
    "ClipShape",
    "Digits",
    "LanePlan",
    "MovingMNIST",
    "StreamLoader",
    "Streams",
    "VideoInfo",
    "deal_lanes",
    "frame_to_rgb",
    "load_digits",
    "make_batch",
    "make_moving_mnist",
]
