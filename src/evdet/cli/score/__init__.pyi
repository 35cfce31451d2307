from .command import ScoreOptions as ScoreOptions, score as score
from .rates import (
    check_rates as check_rates,
    describe_load as describe_load,
    describe_rates as describe_rates,
    measure_rates as measure_rates,
)
from .table import (
    check_has_truth as check_has_truth,
    describe_scores as describe_scores,
    describe_tracks as describe_tracks,
)
