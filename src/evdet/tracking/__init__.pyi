from .libraries import TrackingUnavailableError as TrackingUnavailableError
from .supervision_boxes import (
    from_supervision as from_supervision,
    to_supervision as to_supervision,
)
from .tracker import (
    IOU_THRESH as IOU_THRESH,
    START_THRESH as START_THRESH,
    TRACKERS as TRACKERS,
    Tracker as Tracker,
)
