import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.metrics import ScoredRecording
from evdet.metrics.first_detection import measure_first_detection
from evdet.metrics.matching import match_boxes
from evdet.metrics.recordings import pair_own_bin

DELTA_T = 50_000


def boxes_of(*rows):
    """Box events of (window, track, class id, score); a track lies at a place of its own."""
    boxes = np.zeros(len(rows), BOX_DTYPE)
    for box, (window, track, label, score) in zip(boxes, rows, strict=True):
        box["t"], box["x"], box["w"], box["h"] = window * DELTA_T, track * 100, 20, 20
        box["track_id"], box["class_id"], box["class_confidence"] = track, label, score
    return boxes[np.argsort(boxes["t"], kind="stable")]


def measure(*recordings, score_thresh=0.5):
    scored = [
        ScoredRecording(str(number), truth, np.unique(truth["t"]), found)
        for number, (truth, found) in enumerate(recordings)
    ]
    frames = pair_own_bin(scored, delta_t=DELTA_T)
    matches = match_boxes(frames, max_detections=100)
    return measure_first_detection(frames, matches, score_thresh=score_thresh)


TRACKS = boxes_of(*[(window, track, 1, 1) for track in (1, 2, 3) for window in (1, 2, 3, 4)])


def test_without_tracks_there_are_no_delays():
    assert measure() is None
    assert measure((boxes_of((1, 0, 1, 1)), boxes_of((1, 0, 1, 1)))) is None


def test_what_is_never_found_has_no_delay():
    delays = measure((TRACKS, boxes_of()))

    assert (delays.num_tracks, delays.num_found, delays.share_never) == (3, 0, 1)
    assert math.isnan(delays.median_us)
    assert delays.curve == ()


def test_delays_worked_by_hand():
    # Track 1 at once, track 2 two windows later, track 3 never.
    found = boxes_of((1, 1, 1, 0.9), (3, 2, 1, 0.9), (4, 2, 1, 0.9))
    delays = measure((TRACKS, found))

    assert (delays.num_tracks, delays.num_found) == (3, 2)
    assert delays.share_never == pytest.approx(1 / 3)
    assert delays.median_us == 2 * DELTA_T
    assert math.isnan(delays.p90_us)
    assert delays.curve == ((0, pytest.approx(1 / 3)), (2 * DELTA_T, pytest.approx(2 / 3)))


def test_a_wrong_class_a_low_score_or_a_wrong_place_finds_nothing():
    found = boxes_of((1, 1, 2, 0.9), (1, 2, 1, 0.4), (1, 4, 1, 0.9))

    assert measure((TRACKS, found)).num_found == 0
    assert measure((TRACKS, found), score_thresh=0.4).num_found == 1


def test_recordings_may_number_their_tracks_alike():
    late = boxes_of((3, 1, 1, 0.9))
    delays = measure((TRACKS[TRACKS["track_id"] == 1], late), (TRACKS, late))

    assert (delays.num_tracks, delays.num_found) == (4, 2)


def test_a_label_within_a_window_is_found_when_the_window_ends():
    truth = boxes_of((1, 1, 1, 1))
    truth["t"] -= 20_000

    assert measure((truth, boxes_of((1, 1, 1, 0.9)))).median_us == 20_000


def test_boxes_without_a_track_are_found_but_count_nowhere():
    truth = boxes_of((1, 0, 1, 1), (1, 1, 1, 1))
    delays = measure((truth, boxes_of((1, 0, 1, 0.9))))

    assert (delays.num_tracks, delays.num_found) == (1, 0)


def test_the_curve_stays_short_and_ends_with_all_that_were_found():
    truth = boxes_of(*[(window, track, 1, 1) for track in range(1, 301) for window in (1, track)])
    found = boxes_of(*[(track, track, 1, 0.9) for track in range(1, 301)])
    curve = measure((truth, found)).curve

    assert len(curve) == 101
    assert curve[0] == (0, pytest.approx(1 / 300))
    assert curve[-1] == (299 * DELTA_T, 1)


rows = st.tuples(st.integers(1, 6), st.integers(1, 4), st.just(1), st.just(1))
tracks = st.lists(rows, min_size=1, max_size=12, unique=True).map(lambda some: boxes_of(*some))


@given(tracks)
def test_a_perfect_detector_has_no_delay(truth):
    delays = measure((truth, truth))

    assert delays.median_us == delays.p90_us == delays.share_never == 0
    assert delays.curve == ((0, 1),)


@given(tracks, st.data())
def test_finding_less_never_makes_it_faster(truth, data):
    kept = data.draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth)))
    more, less = measure((truth, truth)), measure((truth, truth[kept]))

    assert less.num_found <= more.num_found
    assert not less.median_us < more.median_us
    assert all(a[1] <= b[1] for a, b in zip(less.curve, less.curve[1:], strict=False))
