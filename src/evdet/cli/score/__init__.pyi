from .command import ScoreOptions as ScoreOptions, score as score
from .table import (
    check_has_truth as check_has_truth,
    describe_scores as describe_scores,
    describe_tracks as describe_tracks,
)
