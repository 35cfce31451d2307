from .average_precision import (
    CONFIDENT_SCORE as CONFIDENT_SCORE,
    AveragePrecision as AveragePrecision,
    ClassPrecision as ClassPrecision,
    average_precision as average_precision,
)
from .curves import Curves as Curves, performance_curves as performance_curves
from .errors import (
    FrameErrors as FrameErrors,
    confusion_matrix as confusion_matrix,
    worst_frames as worst_frames,
)
from .frame_table import (
    Detection as Detection,
    Truth as Truth,
    are_sound as are_sound,
    to_box_table as to_box_table,
)
from .frames import FrameKey as FrameKey, FrameResults as FrameResults, merge as merge
from .grouped_precision import RECALL_POINTS as RECALL_POINTS
from .matching import match_boxes as match_boxes
from .protocols import (
    PROTOCOLS as PROTOCOLS,
    Protocol as Protocol,
    get_protocol as get_protocol,
    keep_counted as keep_counted,
    score_recordings as score_recordings,
)
from .recordings import (
    ScoredRecording as ScoredRecording,
    pair_own_bin as pair_own_bin,
    without_ignored as without_ignored,
)
from .time_pairing import rows_in_bins as rows_in_bins, rows_within as rows_within
from .track_scores import (
    TrackNumbers as TrackNumbers,
    TrackScores as TrackScores,
    track_scores as track_scores,
)
