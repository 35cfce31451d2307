from .box_files import BoxFiles as BoxFiles, read_box_files as read_box_files
from .data_statistics import (
    DataStatistics as DataStatistics,
    describe_folder as describe_folder,
    describe_truth as describe_truth,
)
from .detecting import (
    Found as Found,
    detect_batches as detect_batches,
    rename_classes as rename_classes,
)
from .evaluated import EvaluatedDetector as EvaluatedDetector, open_evaluated as open_evaluated
from .further_scores import FurtherScores as FurtherScores, measure_further as measure_further
from .gallery import Moment as Moment
from .keeping import keep_evaluation as keep_evaluation, keep_video as keep_video
from .lane_grid import LaneGrid as LaneGrid
from .loop import ConfusionMatrix as ConfusionMatrix, Evaluation as Evaluation, evaluate as evaluate
from .played_recordings import PlayedRecording as PlayedRecording, to_played as to_played
from .progress import EvaluationProgress as EvaluationProgress, fingerprint as fingerprint
from .rates import PlayedAt as PlayedAt, RateScore as RateScore, score_rates as score_rates
from .shown import ShowFrame as ShowFrame
from .starts import (
    StartedRecordings as StartedRecordings,
    begin_before_labels as begin_before_labels,
)
