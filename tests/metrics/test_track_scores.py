import json
import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.metrics import ScoredRecording
from evdet.metrics.track_scores import track_scores

DELTA_T = 50_000
NAMES = ("car", "person", "bike")
# Our names and TrackEval's.
HOTA = {
    "hota": "HOTA", "det_a": "DetA", "ass_a": "AssA", "det_re": "DetRe", "det_pr": "DetPr",
    "ass_re": "AssRe", "ass_pr": "AssPr", "loc_a": "LocA",
}  # fmt: skip
CLEAR = {
    "mota": "MOTA", "motp": "MOTP", "recall": "CLR_Re", "precision": "CLR_Pr",
    "num_switches": "IDSW", "num_fragments": "Frag", "num_mostly_tracked": "MT",
    "num_partly_tracked": "PT", "num_mostly_lost": "ML",
}  # fmt: skip
FEW = settings(max_examples=settings().max_examples // 2)
IDENTITY = {"idf1": "IDF1", "id_recall": "IDR", "id_precision": "IDP"}


def boxes_of(*rows):
    """Rows (t, x, y, w, h, class id, track id)."""
    return np.array([(*row, 1.0) for row in rows], BOX_DTYPE)


def recording_of(truth, detections, *, name="drive", times=None):
    labeled = np.unique(truth["t"]) if times is None else np.array(times, np.int64)
    return ScoredRecording(name, truth, labeled.astype(np.int64), detections)


def score(*recordings, names=NAMES):
    return track_scores(recordings, names, delta_t=DELTA_T)


def followed(num_frames, track_of, *, x=0.0):
    """One object over some windows, and the track that its box has in each, 0 for no box."""
    times = range(DELTA_T, (num_frames + 1) * DELTA_T, DELTA_T)
    truth = boxes_of(*[(t, x, 0, 10, 10, 1, 5) for t in times])
    found = [(t, x, 0, 10, 10, 1, k) for t, k in zip(times, track_of, strict=True) if k]
    return truth, boxes_of(*found)


def random_recording(rng, name):
    """Objects that walk, are missed, hide, change numbers; false boxes; empty frames."""
    num_frames, num_objects = int(rng.integers(1, 13)), int(rng.integers(0, 6))
    corner = rng.integers(0, 40, (num_objects, 2)).astype(np.float64)
    side = rng.choice([0, 8, 16, 24], (num_objects, 2), p=[0.05, 0.35, 0.3, 0.3])
    label = rng.integers(1, 3, num_objects)  # the last class never occurs in the truth
    track = rng.permutation(20)[:num_objects] + 1
    truth, found, times = [], [], []
    t = 0
    for _ in range(num_frames):
        t += int(rng.choice([1, 1, 1, 4])) * DELTA_T
        times.append(t)
        corner += rng.integers(-6, 7, corner.shape)
        if rng.random() < 0.1:
            continue
        for k in range(num_objects):
            if rng.random() < 0.15:
                track[k] = rng.choice(np.setdiff1d(np.arange(1, 30), track))
            if rng.random() < 0.85:
                truth.append((t, *corner[k], *side[k], label[k], k))
            if rng.random() < 0.8:
                moved = corner[k] + rng.choice([0, 0, 1, 3], 2)
                seen_as = label[k] if rng.random() < 0.9 else 3
                found.append((t, *moved, *side[k], seen_as, track[k]))
        for k in range(rng.integers(0, 3)):
            # Some of them have no track.
            number = int(rng.choice([0, 40 + k]))
            found.append((t, *rng.integers(0, 40, 2), 16, 16, rng.integers(1, 4), number))
    return recording_of(boxes_of(*truth), boxes_of(*found), name=name, times=times)


def random_set(seed):
    rng = np.random.default_rng(seed)
    return [random_recording(rng, f"drive {k}") for k in range(rng.integers(1, 4))]


def trackeval_input(one, label):
    """One class of a recording, as TrackEval's data sets hand it to its metrics."""
    from trackeval.datasets import MotChallenge2DBox

    def by_frame(boxes):
        return [boxes[boxes["t"] == t] for t in one.labeled_times]

    def numbers_of(frames):
        ids = np.unique(np.concatenate([frame["track_id"] for frame in frames]))
        return [np.searchsorted(ids, frame["track_id"]) for frame in frames], len(ids)

    def table(boxes):
        columns = [boxes[k].astype(np.float64) for k in ("x", "y", "w", "h")]
        return np.stack(columns, axis=-1)

    truth = by_frame(one.truth[one.truth["class_id"] == label])
    is_track = (one.detections["class_id"] == label) & (one.detections["track_id"] > 0)
    found = by_frame(one.detections[is_track])
    gt_ids, num_gt_ids = numbers_of(truth)
    tracker_ids, num_tracker_ids = numbers_of(found)
    return {
        "gt_ids": gt_ids,
        "tracker_ids": tracker_ids,
        "num_gt_ids": num_gt_ids,
        "num_tracker_ids": num_tracker_ids,
        "num_gt_dets": sum(map(len, truth)),
        "num_tracker_dets": sum(map(len, found)),
        "num_timesteps": len(truth),
        "similarity_scores": [
            MotChallenge2DBox._calculate_box_ious(table(a), table(b), box_format="xywh")
            for a, b in zip(truth, found, strict=True)
        ],
    }


def trackeval_scores(recordings, num_classes, thresh=0.5):
    """By metric: the scores of each class, of all boxes, and the mean over classes."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    config = {"THRESHOLD": thresh, "PRINT_CONFIG": False}
    for metric in (HOTA(), CLEAR(config), Identity(config)):
        classes = {
            label: metric.combine_sequences(
                {
                    one.name: metric.eval_sequence.__wrapped__(metric, trackeval_input(one, label))
                    for one in recordings
                }
            )
            for label in range(1, num_classes + 1)
        }
        yield classes, metric.combine_classes_det_averaged(classes), classes


def test_no_recordings_and_no_boxes_have_no_score():
    nothing = boxes_of()
    for scores in (score(), score(recording_of(nothing, nothing, times=[DELTA_T]))):
        assert math.isnan(scores.overall.hota)
        assert math.isnan(scores.class_mean.idf1)
        assert math.isnan(scores.per_class["car"].mota)
        assert scores.overall.num_tracks == 0


def test_an_object_that_is_followed_has_full_marks():
    overall = score(recording_of(*followed(6, [1] * 6))).overall
    assert overall.hota == overall.mota == overall.idf1 == overall.loc_a == 1
    assert (overall.num_objects, overall.num_tracks, overall.num_switches) == (1, 1, 0)
    assert (overall.num_truths, overall.num_detections) == (6, 6)


def test_a_switch_half_way_is_counted_once_and_halves_the_association():
    overall = score(recording_of(*followed(6, [1, 1, 1, 2, 2, 2]))).overall
    assert overall.num_switches == 1
    assert overall.mota == pytest.approx(1 - 1 / 6)
    assert overall.idf1 == pytest.approx(1 / 2)
    assert (overall.det_a, overall.ass_a) == pytest.approx((1, 1 / 2))
    assert overall.hota == pytest.approx(math.sqrt(1 / 2))


def test_boxes_without_a_track_are_left_out():
    truth, found = followed(4, [1, 1, 1, 1])
    found["track_id"][:2] = 0
    overall = score(recording_of(truth, found)).overall
    assert overall.num_detections == 2
    assert overall.mota == overall.det_a == pytest.approx(1 / 2)


def test_a_track_of_another_class_finds_nothing():
    truth, found = followed(4, [1, 1, 1, 1])
    found["class_id"] = 2
    scores = score(recording_of(truth, found))
    assert scores.overall.hota == 0
    assert scores.per_class["car"].num_detections == 0
    assert scores.per_class["person"].num_truths == 0
    assert math.isnan(scores.per_class["bike"].hota)


def test_a_label_is_answered_by_the_window_that_it_lies_in():
    truth, found = followed(4, [1, 1, 1, 1])
    found["t"] += DELTA_T // 2
    assert score(recording_of(truth, found)).overall.hota == 1
    found["t"] += DELTA_T // 2
    assert score(recording_of(truth, found)).overall.num_detections == 3


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.5, 0.75]))
@FEW
def test_the_numbers_are_those_of_trackeval(seed, thresh):
    recordings = random_set(seed)
    if not any(one.detections["track_id"].any() for one in recordings):
        return
    with mock.patch("evdet.metrics.track_scores._IOU_THRESH", thresh):
        scores = score(*recordings)

    metrics = zip(trackeval_scores(recordings, 3, thresh), (HOTA, CLEAR, IDENTITY), strict=True)
    for (by_class, pooled, classes), names in metrics:
        for label, ours in enumerate(scores.per_class.values(), start=1):
            compare(ours, by_class[label], names)
        compare(scores.overall, pooled, names)
        used = [k for k, v in enumerate(scores.per_class.values(), 1) if not math.isnan(v.hota)]
        for name, key in names.items():
            mean = np.mean([np.mean(classes[label][key]) for label in used])
            if not name.startswith("num_"):
                assert getattr(scores.class_mean, name) == pytest.approx(mean, abs=1e-9, rel=1e-9)


def compare(ours, reference, names):
    if math.isnan(ours.hota):
        assert ours.num_truths == ours.num_detections == 0
        return
    for name, key in names.items():
        expected = float(np.mean(reference[key]))
        assert getattr(ours, name) == pytest.approx(expected, abs=1e-9, rel=1e-9), name


def test_json_has_the_names_of_the_field_and_no_nan():
    scores = score(recording_of(*followed(3, [1, 1, 1])))
    plain = json.loads(json.dumps(scores.as_dict(), allow_nan=False))
    assert next(iter(plain)) == "protocol"
    assert plain["HOTA"] == plain["MOTA"] == plain["IDF1"] == 1
    assert plain["IDSW"] == 0
    assert plain["per_class"]["person"]["HOTA"] is None
    assert plain["class_mean"]["HOTA"] == 1


def test_labels_without_numbers_are_refused():
    truth, found = followed(2, [1, 1])
    twice = np.concatenate([truth, truth])
    twice["track_id"] = 0
    twice.sort(order="t")
    with pytest.raises(ValueError, match=r"2 ground-truth boxes of drive have .* id 1 .* id 0"):
        score(recording_of(twice, found))


def test_detections_that_nobody_tracked_are_refused_with_the_remedy():
    truth, found = followed(2, [1, 1])
    found["track_id"] = 0
    with pytest.raises(ValueError, match="none of the 2 detections has a track"):
        score(recording_of(truth, found))


def test_class_names_that_are_alike_are_refused():
    with pytest.raises(ValueError, match="class names must be all different"):
        score(names=("car", "car"))
