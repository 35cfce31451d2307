"""What a detector's frames are made of, and what it calls what it finds."""

from dataclasses import dataclass

__all__ = ["FrameSpec"]


@dataclass(frozen=True, kw_only=True)
class FrameSpec:
    """What somebody with a recording must know to feed a detector and to read its boxes."""

    preprocess: str
    """The representation that makes a frame of events; none for RGB pictures in [0, 1]."""
    delta_t: int
    """Duration of a time bin, in microseconds."""
    height: int
    """Height of the frames of the training, in pixels."""
    width: int
    """Width of the frames of the training, in pixels."""
    in_channels: int
    """Channels of a frame."""
    class_names: tuple[str, ...]
    """The classes without background; label 1 is the first."""
    remove_hot_pixels: bool = False
    """Whether the training left out the events of pixels that fire by themselves."""
    noise_window: int = 0
    """The training left out events without another beside them in so many microseconds before;
    0 kept all."""
    score_thresh: float = 0.05
    """Detections with a lower score were dropped in the training's evaluation."""
    nms_thresh: float = 0.6
    """The IoU above which the worse of two boxes of a class was dropped."""
    max_boxes: int = 500
    """Candidates of a frame that entered non-maximum suppression."""
