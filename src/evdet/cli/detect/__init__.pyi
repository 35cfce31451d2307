from .command import (
    SCORE_THRESH as SCORE_THRESH,
    DetectOptions as DetectOptions,
    UnfinishedError as UnfinishedError,
    detect as detect,
)
from .tracker_options import (
    TrackingOptions as TrackingOptions,
    chosen_start_thresh as chosen_start_thresh,
    line_without_tracks as line_without_tracks,
)
