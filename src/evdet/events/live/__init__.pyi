from .age_bound import AgeBound as AgeBound
from .byte_sources import (
    BinaryStream as BinaryStream,
    ByteSource as ByteSource,
    FollowedFile as FollowedFile,
    Pipe as Pipe,
)
from .cameras import (
    ConnectedCamera as ConnectedCamera,
    list_cameras as list_cameras,
    open_camera as open_camera,
)
from .dv_network import DvNetwork as DvNetwork
from .inputs import EventSource as EventSource
from .live_events import LiveEvents as LiveEvents, WaitingBins as WaitingBins
from .opening import (
    STANDARD_INPUT as STANDARD_INPUT,
    check_camera_name as check_camera_name,
    is_camera_name as is_camera_name,
    open_live_source as open_live_source,
)
from .raw_file import RawFile as RawFile, check_raw_file as check_raw_file
from .recorder import LiveRecording as LiveRecording, record as record
