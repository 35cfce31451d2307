from .event_frames import EventFrames as EventFrames
from .frame_layout import FrameLayout as FrameLayout
from .live import LiveStream as LiveStream, open_live as open_live
from .noise_removal import (
    NoiseRemoval as NoiseRemoval,
    check_noise_window as check_noise_window,
    find_hot_mask as find_hot_mask,
)
from .opening import (
    IMAGE_SUFFIXES as IMAGE_SUFFIXES,
    VIDEO_SUFFIXES as VIDEO_SUFFIXES,
    FrameStream as FrameStream,
    StreamedFrame as StreamedFrame,
    check_event_detector as check_event_detector,
    open_frames as open_frames,
)
