"""Recordings -> clips -> lanes -> batches."""

from evdet.data.augment.augmentation import Augmentation, AugmentRules
from evdet.data.batch import Batch, Clip, ClipShape, VideoInfo, make_batch
from evdet.data.lanes import LanePlan, deal_lanes
from evdet.data.mixed_loader import MixedLoader
from evdet.data.random_clips import RandomClips
from evdet.data.recording_frames import open_recordings
from evdet.data.sequential_clips import RecordingStreams
from evdet.data.stream_loader import StreamLoader, Streams, frame_to_rgb
from evdet.data.tensors import open_tensors

__all__ = [
    "AugmentRules",
    "Augmentation",
    "Batch",
    "Clip",
    "ClipShape",
    "LanePlan",
    "MixedLoader",
    "RandomClips",
    "RecordingStreams",
    "StreamLoader",
    "Streams",
    "VideoInfo",
    "deal_lanes",
    "frame_to_rgb",
    "make_batch",
    "open_recordings",
    "open_tensors",
]
