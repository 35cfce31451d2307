from pathlib import Path

import numpy as np
import torch

from evdet.boxes import BOX_DTYPE
from evdet.data.batch import Batch, ClipInfo
from evdet.evaluation.played_recordings import PlayedRecording
from evdet.evaluation.recording_results import RecordingResults
from evdet.events.dtypes import SensorSize
from evdet.labels.binning import LabeledTimes
from evdet.metrics import PROTOCOLS

DELTA_T = 50_000
FRAME = (12, 16)
SENSOR = SensorSize(height=24, width=32)
EXHAUSTED = ClipInfo("", -1, 0, 0)


def found_of(*rows, class_scores=None):
    """Rows x1 y1 x2 y2 label score."""
    table = torch.tensor(list(rows), dtype=torch.float32).reshape(-1, 6)
    found = {"boxes": table[:, :4], "labels": table[:, 4].long(), "scores": table[:, 5]}
    return found if class_scores is None else {**found, "class_scores": class_scores}


def batch_of(infos, labels, labeled):
    """A batch of T frames of B lanes; labels[t][b] are rows."""
    num_bins, num_lanes = len(labels), len(infos)
    return Batch(
        inputs=torch.zeros(num_bins, num_lanes, 1, *FRAME),
        labels=[[torch.tensor(rows).reshape(-1, 5) for rows in lanes] for lanes in labels],
        mask_keep_memory=torch.ones(num_lanes, 1, 1, 1),
        frame_is_labeled=torch.tensor(labeled),
        video_infos=infos,
    )


def one_lane(results, found, *, first_frame=0, labels=None):
    labels = labels or [[[]] for _ in found]
    labeled = [[bool(rows)] for [rows] in labels]
    info = ClipInfo("one", 0, first_frame, DELTA_T)
    results.add(batch_of([info], labels, labeled), [[frame] for frame in found])


def played_of(first_bin, num_bins, boxes=None, times=()):
    boxes = np.zeros(0, BOX_DTYPE) if boxes is None else boxes
    labeled = LabeledTimes(boxes, np.array(times, np.int64))
    return PlayedRecording("one", Path("nowhere"), SENSOR, first_bin, num_bins, labeled)


def test_without_a_batch_there_is_nothing():
    results = RecordingResults(PROTOCOLS["coco"], None)
    assert results.recordings() == []
    assert (results.size, results.delta_t) == ((0, 0), 0)


def test_without_label_files_labels_and_detections_lie_at_the_ends_of_bins():
    results = RecordingResults(PROTOCOLS["coco"], None)
    frames = [found_of(), found_of((1, 2, 4, 6, 1, 0.5))]
    one_lane(results, frames, first_frame=2, labels=[[[]], [[1.0, 2.0, 4.0, 6.0, 1.0]]])
    [one] = results.recordings()
    assert one.name == "one"
    assert one.labeled_times.tolist() == [4 * DELTA_T]
    assert one.truth[["t", "x", "y", "w", "h"]].tolist() == [(4 * DELTA_T, 1, 2, 3, 4)]
    assert one.detections["t"].tolist() == [4 * DELTA_T]
    assert results.size == FRAME


def test_clips_of_a_recording_follow_one_another_and_dry_lanes_are_none():
    results = RecordingResults(PROTOCOLS["coco"], None)
    for first_frame in (0, 2):
        infos = [ClipInfo("a", 1, first_frame, DELTA_T), EXHAUSTED]
        frame = found_of((0, 0, 4, 4, 1, 0.5))
        results.add(
            batch_of(infos, [[[], []]] * 2, [[False, False]] * 2), [[frame, frame], [frame, frame]]
        )
    [one] = results.recordings()
    assert one.detections["t"].tolist() == [DELTA_T, 2 * DELTA_T, 3 * DELTA_T, 4 * DELTA_T]
    assert len(one.labeled_times) == 0


def test_time_counts_from_0_and_padding_after_the_last_bin_is_left_out():
    results = RecordingResults(PROTOCOLS["coco"], [played_of(first_bin=7, num_bins=2)])
    one_lane(results, [found_of((0, 0, 4, 4, 1, 0.5))] * 4)
    [one] = results.recordings()
    assert one.detections["t"].tolist() == [8 * DELTA_T, 9 * DELTA_T]


def test_boxes_are_measured_in_the_pixels_of_the_protocol():
    truth = np.zeros(1, BOX_DTYPE)
    truth["t"], truth["x"], truth["w"], truth["h"], truth["class_id"] = DELTA_T, 16, 8, 8, 1
    frame = found_of((8, 0, 12, 4, 1, 0.5))  # the same box, in frames of half the size
    for name, size, x in (
        ("coco", FRAME, 8),
        ("perot2020-gen1", SENSOR, 16),
        ("rvt-1mpx", FRAME, 8),
    ):
        results = RecordingResults(PROTOCOLS[name], [played_of(0, 1, truth, [DELTA_T])])
        one_lane(results, [frame], labels=[[[0.0, 0.0, 1.0, 1.0, 1.0]]])
        [one] = results.recordings()
        assert results.size == size
        assert one.truth["x"].tolist() == one.detections["x"].tolist() == [x]
        assert one.truth["w"].tolist() == one.detections["w"].tolist() == [x / 2]


def test_class_scores_go_along():
    results = RecordingResults(PROTOCOLS["rvt-gen1"], None)
    frame = found_of((0, 0, 4, 4, 1, 0.5), class_scores=torch.tensor([0.75]))
    one_lane(results, [frame])
    assert results.recordings()[0].detections["class_score"].tolist() == [0.75]
