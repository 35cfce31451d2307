"""Which class is taken for which."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from evdet.metrics.frames import Detection, Truth, read_frames
from evdet.metrics.pairing import check_thresholds, pair_boxes

__all__ = ["confusion_matrix"]


def confusion_matrix(
    truths: Sequence[Truth],
    detections: Sequence[Detection],
    class_names: Sequence[str],
    *,
    score_thresh: float = 0.3,
    iou_thresh: float = 0.5,
) -> Int64[np.ndarray, "K K"]:
    """Count which class was found where which class is.

    Boxes are paired by position alone, the best score first (`pairing.pair_boxes`).

    Args:
        truths: the objects of each frame.
        detections: the detections of the same frames.
        class_names: the C classes without background; label 1 is the first.
        score_thresh: detections with a lower score do not take part, in [0, 1].
        iou_thresh: lowest IoU of a detection and the object it found, in (0, 1].

    Returns:
        (C + 1, C + 1) counts; row = label of the truth, column = label of the detection. Row 0
        are false alarms, column 0 missed objects; [0, 0] is 0.

    Raises:
        ValueError: truths and detections do not fit each other or the class names, or a
            threshold is out of range.
    """
    check_thresholds(score_thresh, iou_thresh)
    matrix = np.zeros((len(class_names) + 1, len(class_names) + 1), np.int64)
    for frame in read_frames(truths, detections, num_classes=len(class_names)):
        pairs = pair_boxes(frame, score_thresh=score_thresh, iou_thresh=iou_thresh)
        np.add.at(matrix, (pairs.truth, pairs.found), 1)
    return matrix
