from .command import ScoreOptions as ScoreOptions, score as score
from .table import describe_scores as describe_scores, describe_tracks as describe_tracks
