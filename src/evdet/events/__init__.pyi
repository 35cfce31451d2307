from .bags import is_bag_folder as is_bag_folder
from .box_counts import count_events_inside as count_events_inside
from .convert import (
    Conversion as Conversion,
    check_output as check_output,
    convert as convert,
    readable_size as readable_size,
)
from .dtypes import (
    EVENT_DTYPE as EVENT_DTYPE,
    TRIGGER_DTYPE as TRIGGER_DTYPE,
    Events as Events,
    RecordingError as RecordingError,
    SensorSize as SensorSize,
    TimeBin as TimeBin,
    Triggers as Triggers,
    parse_size as parse_size,
)
from .files import (
    AS_STATED as AS_STATED,
    FORMAT_NAMES as FORMAT_NAMES,
    TIME_UNITS as TIME_UNITS,
    ReadOptions as ReadOptions,
    StreamChoiceError as StreamChoiceError,
    cut_bins as cut_bins,
    join_events as join_events,
)
from .noise import (
    HotPixels as HotPixels,
    filter_background_activity as filter_background_activity,
    find_hot_pixels as find_hot_pixels,
    hot_pixel_mask as hot_pixel_mask,
    pick_hot_pixels as pick_hot_pixels,
    remove_hot_pixels as remove_hot_pixels,
)
from .pictures import (
    events_to_picture as events_to_picture,
    frame_to_picture as frame_to_picture,
    frame_to_rgb as frame_to_rgb,
)
from .readers import RECORDING_SUFFIXES as RECORDING_SUFFIXES
from .recording import Recording as Recording, open_recording as open_recording
from .summary import (
    LONG_GAP as LONG_GAP,
    PEAK_WINDOW as PEAK_WINDOW,
    RateOverTime as RateOverTime,
    RecordingSummary as RecordingSummary,
    summarize as summarize,
)
from .text import has_event_header as has_event_header
