from .assignment import assign_objects as assign_objects
from .average_precision import (
    RECALL_POINTS as RECALL_POINTS,
    AveragePrecision as AveragePrecision,
    ClassPrecision as ClassPrecision,
    average_precision as average_precision,
)
from .confusion import confusion_matrix as confusion_matrix
from .curves import Curves as Curves, performance_curves as performance_curves
from .failures import FrameErrors as FrameErrors, worst_frames as worst_frames
from .frames import (
    Detection as Detection,
    FrameKey as FrameKey,
    FrameResults as FrameResults,
    Truth as Truth,
    merge as merge,
)
from .protocols import (
    PROTOCOLS as PROTOCOLS,
    Protocol as Protocol,
    keep_counted as keep_counted,
    protocol_called as protocol_called,
    score_recordings as score_recordings,
)
from .scored_recording import ScoredRecording as ScoredRecording
from .time_pairing import rows_in_bins as rows_in_bins, rows_within as rows_within
from .timed_frames import pair_own_window as pair_own_window
from .track_scores import (
    TrackNumbers as TrackNumbers,
    TrackScores as TrackScores,
    track_scores as track_scores,
)
