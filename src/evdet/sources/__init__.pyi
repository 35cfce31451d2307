from .event_frames import (
    EventFrames as EventFrames,
    clean_bins as clean_bins,
    make_frame as make_frame,
)
from .frame import FrameStream as FrameStream, StreamedFrame as StreamedFrame
from .frame_layout import FrameLayout as FrameLayout
from .live import (
    MAX_BACKLOG as MAX_BACKLOG,
    MAX_DELAY as MAX_DELAY,
    LiveSource as LiveSource,
    open_live as open_live,
)
from .noise_removal import NoiseRemoval as NoiseRemoval, find_hot_mask as find_hot_mask
from .opening import (
    IMAGE_SUFFIXES as IMAGE_SUFFIXES,
    is_pictures as is_pictures,
    is_video as is_video,
    open_frames as open_frames,
    open_live_pictures as open_live_pictures,
)
from .picture_cameras import (
    check_picture_camera as check_picture_camera,
    is_picture_camera as is_picture_camera,
)
from .recording_source import (
    RecordingSource as RecordingSource,
    check_event_detector as check_event_detector,
)
