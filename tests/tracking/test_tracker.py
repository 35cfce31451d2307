import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.events.simulation.sensor import SensorModel
from evdet.metrics.recordings import ScoredRecording
from evdet.metrics.track_scores import track_scores
from evdet.synthetic.scenes.scene import SceneOptions, draw_scene, label_scene
from evdet.tracking import (
    TRACKERS,
    Tracker,
    TrackingUnavailableError,
    from_supervision,
    to_supervision,
)

DELTA_T = 50_000
SEEDS = st.integers(0, 2**32 - 1)
NAMES = st.sampled_from(TRACKERS)
# A stream is many updates: 5 examples, and 200 under the profile `long`.
FEW = settings(max_examples=settings().max_examples // 6)


def boxes_of(t, *rows):
    """Rows (x, y, w, h) or (x, y, w, h, class id) or (x, y, w, h, class id, score)."""
    defaults = (1, 0.9)
    filled = [(*row, *defaults[len(row) - 4 :]) for row in rows]
    return np.array([(t, *row[:5], 0, row[5]) for row in filled], BOX_DTYPE)


def walk(tracker, windows, *, start=DELTA_T):
    """Track ids of the boxes of windows one after another."""
    times = range(start, start + len(windows) * DELTA_T, DELTA_T)
    return [
        tracker.update(t, boxes_of(t, *rows))["track_id"].tolist()
        for t, rows in zip(times, windows, strict=True)
    ]


def test_without_boxes_there_is_no_reason_for_no_tracks():
    tracker = Tracker("sort")
    assert (tracker.best_score, tracker.reason_without_tracks()) == (None, None)
    tracker.update(DELTA_T, boxes_of(DELTA_T))
    assert (tracker.best_score, tracker.reason_without_tracks()) == (None, None)


@pytest.mark.parametrize("name", TRACKERS)
def test_the_reason_for_no_tracks_names_the_best_score(name):
    tracker = Tracker(name)
    walk(tracker, [[(10, 10, 20, 20, 1, score)] for score in (0.3, 0.55, 0.2)])
    assert tracker.best_score == pytest.approx(0.55)
    assert "score 0.55" in tracker.reason_without_tracks()
    tracker.reset()
    assert tracker.reason_without_tracks() is None
    walk(tracker, [[(10, 10, 20, 20)]] * 3)
    assert tracker.reason_without_tracks() is None


@pytest.mark.parametrize("name", TRACKERS)
def test_the_reason_for_no_tracks_can_be_the_overlap(name):
    tracker = Tracker(name)
    walk(tracker, [[(200 * step, 10, 20, 20)] for step in range(4)])
    assert "2 time bins in a row" in tracker.reason_without_tracks()


def random_stream(seed, *, num_windows=9):
    """Objects of two classes that walk and are missed, false boxes, useless boxes, gaps."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 150, (4, 2))
    speed, side = rng.normal(0, 4, (4, 2)), rng.uniform(10, 40, (4, 2))
    label = rng.integers(1, 3, 4)
    t = int(rng.integers(0, 10**6))
    for _ in range(num_windows):
        t += int(rng.choice([1, 1, 1, 3, 30])) * DELTA_T
        corner += speed
        seen = np.flatnonzero(rng.random(4) < 0.8)
        rows = [(*corner[k], *side[k], label[k], rng.uniform(0.3, 1)) for k in seen]
        if rng.random() < 0.3:
            rows.append((*rng.uniform(0, 150, 2), 0, 12))
        if rng.random() < 0.3:
            rows.append((*rng.uniform(0, 150, 2), 20, 20, 1, rng.uniform(0, 1)))
        yield t, boxes_of(t, *[rows[k] for k in rng.permutation(len(rows))])


def track_all(tracker, stream):
    return [tracker.update(t, boxes) for t, boxes in stream]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", TRACKERS)
def test_windows_without_boxes_stay_empty(name):
    tracker = Tracker(name)
    for t in (DELTA_T, 2 * DELTA_T, 9 * DELTA_T):
        tracked = tracker.update(t, boxes_of(t))
        assert len(tracked) == 0
        assert tracked.dtype == BOX_DTYPE


@pytest.mark.parametrize("name", TRACKERS)
def test_two_objects_keep_their_numbers_while_they_pass_each_other(name):
    windows = [[(10 + 4 * k, 20, 20, 20), (90 - 4 * k, 48, 20, 20)] for k in range(12)]
    track_ids = walk(Tracker(name), windows)
    assert track_ids[0] == [0, 0]
    assert track_ids[3:] == [[1, 2]] * 9


@pytest.mark.parametrize("name", TRACKERS)
def test_a_box_has_no_track_until_its_track_is_believed_in(name):
    assert walk(Tracker(name), [[(10, 10, 20, 20)]] * 3) == [[0], [1], [1]]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_stricter_tracker_believes_later(name):
    # What is there from the start on convinces OC-SORT earlier; hence the other object.
    windows = [[(90, 90, 20, 20)]] * 8 + [[(90, 90, 20, 20), (10, 10, 20, 20)]] * 5
    track_ids = walk(Tracker(name, min_windows=4), windows)
    assert [ids[1] for ids in track_ids[8:]] == [0, 0, 0, 2, 2]


def classes_of(tracker, windows):
    """Classes of the boxes of windows one after another."""
    return [
        tracker.update(t, boxes_of(t, *rows))["class_id"].tolist()
        for t, rows in enumerate_times(windows)
    ]


def enumerate_times(windows):
    return [((k + 1) * DELTA_T, rows) for k, rows in enumerate(windows)]


@pytest.mark.parametrize("name", TRACKERS)
def test_an_object_whose_class_changes_keeps_its_track(name):
    stays = (10, 10, 20, 20)
    windows = [[(*stays, label)] for label in (1, 1, 2, 1, 3, 1)]
    assert walk(Tracker(name), windows) == [[0], [1], [1], [1], [1], [1]]


@pytest.mark.parametrize("name", TRACKERS)
def test_the_class_of_a_track_is_that_of_most_of_its_scores(name):
    stays = (10, 10, 20, 20)
    windows = [[(*stays, 1)]] * 4 + [[(*stays, 2, 0.95)]] * 6
    # The first box has no track. Three boxes of 0.9 weigh more than two of 0.95, not than three.
    assert classes_of(Tracker(name), windows) == [[1]] * 6 + [[2]] * 4


@pytest.mark.parametrize("name", TRACKERS)
def test_of_two_classes_on_one_object_the_better_box_extends_the_track(name):
    stays = (10, 10, 20, 20)
    windows = [[(*stays, 2, 0.7), (*stays, 1, 0.9), (80, 80, 20, 20, 2)]] * 4
    assert walk(Tracker(name), windows)[-1] == [0, 1, 2]
    assert classes_of(Tracker(name), windows)[-1] == [2, 1, 2]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_bad_score_starts_no_track(name):
    assert walk(Tracker(name), [[(10, 10, 20, 20, 1, 0.55)]] * 6) == [[0]] * 6
    easy = Tracker(name, start_thresh=0.5)
    assert walk(easy, [[(10, 10, 20, 20, 1, 0.55)]] * 6)[-1] == [1]


@pytest.mark.parametrize(("name", "last"), [("bytetrack", 1), ("sort", 1), ("ocsort", 0)])
def test_a_bad_score_extends_a_track_where_the_tracker_wants_it(name, last):
    windows = [[(10, 10, 20, 20)]] * 4 + [[(10, 10, 20, 20, 1, 0.45)]]
    assert walk(Tracker(name), windows)[-1] == [last]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_box_that_nobody_believes_in_extends_no_track(name):
    windows = [[(10, 10, 20, 20)]] * 4 + [[(10, 10, 20, 20, 1, 0.15)]]
    assert walk(Tracker(name), windows)[-2:] == [[1], [0]]
    assert walk(Tracker("sort", extend_thresh=0.1), windows)[-1] == [1]


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize(("gap", "same"), [(500_000, True), (500_001, False)])
def test_a_track_lives_for_the_lost_time_however_many_windows_there_were(name, gap, same):
    box = (10, 10, 20, 20)
    for num_windows in (0, 4):  # windows without boxes in the gap
        tracker = Tracker(name, lost_time=500_000)
        walk(tracker, [[box]] * 4)
        last = 4 * DELTA_T
        for k in range(1, num_windows + 1):
            tracker.update(last + k * DELTA_T, boxes_of(0))
        again = last + gap
        tracker.update(again, boxes_of(again, box))
        track_ids = walk(tracker, [[box]] * 3, start=again + DELTA_T)
        assert track_ids[-1] == [1 if same else 2]


@given(SEEDS, NAMES)
@FEW
def test_boxes_come_back_in_their_order_and_only_a_track_changes_a_class(seed, name):
    tracker = Tracker(name)
    for t, boxes in random_stream(seed):
        boxes["track_id"] = 77
        before = boxes.copy()
        tracked = tracker.update(t, boxes)
        np.testing.assert_array_equal(boxes, before)
        for field in set(BOX_DTYPE.names) - {"track_id", "class_id"}:
            np.testing.assert_array_equal(tracked[field], boxes[field])
        untracked = tracked["track_id"] == 0
        np.testing.assert_array_equal(tracked["class_id"][untracked], boxes["class_id"][untracked])


@given(SEEDS, NAMES)
@FEW
def test_numbers_start_at_one_and_leave_none_out(seed, name):
    known = set()
    for tracked in track_all(Tracker(name), random_stream(seed)):
        numbers = tracked["track_id"][tracked["track_id"] > 0].tolist()
        assert len(set(numbers)) == len(numbers)
        new = set(numbers) - known
        assert sorted(new) == list(range(len(known) + 1, len(known) + len(new) + 1))
        known |= new
        assert not tracked["track_id"][tracked["w"] == 0].any()


@given(SEEDS, SEEDS, NAMES, NAMES)
@FEW
def test_trackers_do_not_share_numbers(seed, other_seed, name, other_name):
    stream, other = list(random_stream(seed)), list(random_stream(other_seed))
    alone = track_all(Tracker(name), stream), track_all(Tracker(other_name), other)

    first, second = Tracker(name), Tracker(other_name)
    pairs = [
        (first.update(*ours), second.update(*theirs))
        for ours, theirs in zip(stream, other, strict=True)
    ]

    assert_same(alone[0], [ours for ours, _ in pairs])
    assert_same(alone[1], [theirs for _, theirs in pairs])


@given(SEEDS, SEEDS, NAMES)
@FEW
def test_a_reset_leaves_nothing_of_the_stream_before(seed, other_seed, name):
    tracker, stream = Tracker(name), list(random_stream(seed))
    track_all(tracker, random_stream(other_seed))
    tracker.reset()
    assert_same(track_all(tracker, stream), track_all(Tracker(name), stream))


@given(SEEDS, NAMES, st.integers(-(10**6), 2 * 10**15))
@FEW
def test_only_differences_of_time_count(seed, name, shift):
    stream = list(random_stream(seed))
    moved = [(t + shift, boxes.copy()) for t, boxes in stream]
    for t, boxes in moved:
        boxes["t"] = t
    plain = [boxes["track_id"] for boxes in track_all(Tracker(name), stream)]
    assert_same(plain, [boxes["track_id"] for boxes in track_all(Tracker(name), moved)])


@given(SEEDS, NAMES)
@FEW
def test_regular_windows_give_the_tracks_of_the_library(seed, name):
    import trackers

    make = {
        "sort": lambda: trackers.SORTTracker(30, 20, 0.6, 2, 0.2),
        "bytetrack": lambda: trackers.ByteTrackTracker(30, 20, 0.6, 2, 0.2, 0.6),
        "ocsort": lambda: trackers.OCSORTTracker(30, 20, 1, 0.2, high_conf_det_threshold=0.6),
    }
    tracker, library = Tracker(name), make[name]()
    numbers = {-1: 0}
    for window, (_, boxes) in enumerate(random_stream(seed), start=1):
        boxes = boxes[(boxes["w"] > 0) & (boxes["class_confidence"] >= 0.2)]
        boxes["t"], boxes["class_id"] = window * DELTA_T, 1
        tracked = tracker.update(window * DELTA_T, boxes)

        detections = to_supervision(boxes)
        detections.data["row"] = np.arange(len(boxes))
        result = library.update(detections)
        for row, number in zip(result.data.get("row", []), result.tracker_id, strict=True):
            assert numbers.setdefault(number, tracked["track_id"][row]) == tracked["track_id"][row]
    assert len(set(numbers.values())) == len(numbers)


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize(
    ("field", "value"), [("w", 0), ("h", -1), ("x", np.nan), ("class_confidence", np.inf)]
)
def test_a_box_that_no_filter_can_follow_keeps_no_track(name, field, value):
    tracker = Tracker(name)
    for t in range(DELTA_T, 6 * DELTA_T, DELTA_T):
        boxes = boxes_of(t, (10, 10, 20, 20), (70, 70, 20, 20))
        boxes[field][0] = value
        tracked = tracker.update(t, boxes)
    assert tracked["track_id"].tolist() == [0, 1]


def test_fields_of_the_detector_survive():
    wide = np.dtype([*BOX_DTYPE.descr, ("class_score", "<f4")])
    boxes = np.array([(*boxes_of(DELTA_T, (10, 10, 20, 20))[0], 0.25)], wide)
    assert Tracker("sort").update(DELTA_T, boxes)["class_score"].tolist() == [0.25]


@pytest.mark.parametrize("name", TRACKERS)
def test_long_windows_are_tracked_too(name):
    tracker, delta_t = Tracker(name, delta_t=3_000_000), 3_000_000
    times = range(delta_t, 5 * delta_t, delta_t)
    tracked = [tracker.update(t, boxes_of(t, (10, 10, 20, 20)))["track_id"][0] for t in times]
    assert tracked == [0, 1, 1, 1]


def test_dead_tracks_are_forgotten():
    tracker = Tracker("bytetrack", lost_time=DELTA_T)
    for k in range(60):
        # Another place every three windows: another object.
        walk(tracker, [[(100 * k, 0, 20, 20)]] * 3, start=(5 * k + 1) * DELTA_T)
    assert tracker.update(10**9, boxes_of(0)).size == 0
    assert len(tracker._tracks) == 0


def test_time_must_go_on():
    tracker = Tracker("sort")
    tracker.update(2 * DELTA_T, boxes_of(0))
    for t in (2 * DELTA_T, DELTA_T):
        with pytest.raises(ValueError, match=f"{t} us follows 100000 us: call reset"):
            tracker.update(t, boxes_of(0))
    tracker.reset()
    tracker.update(DELTA_T, boxes_of(0))


def test_boxes_of_other_windows_are_refused():
    boxes = np.concatenate([boxes_of(DELTA_T, (0, 0, 9, 9)), boxes_of(70_000, (0, 0, 9, 9))])
    tracker = Tracker("sort")
    with pytest.raises(ValueError, match="got a box of time 70000 us: give it the boxes of one"):
        tracker.update(DELTA_T, boxes)
    tracker.update(DELTA_T, boxes[:1])  # the refused call left nothing behind


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "deepsort"}, "tracker 'deepsort'.* bytetrack, ocsort, sort"),
        ({"delta_t": 0}, "delta_t must be at least 1 microsecond, got 0"),
        ({"lost_time": 49_999}, "lost_time must be at least delta_t.*got 49999"),
        ({"min_windows": 1}, "min_windows must be at least 2, got 1"),
        ({"start_thresh": 1.5}, "start_thresh must be from 0 to 1, got 1.5"),
        ({"extend_thresh": 0.7}, "extend_thresh must be from 0 to 0.6, got 0.7"),
        ({"iou_thresh": -0.1}, "iou_thresh must be from 0 to 1, got -0.1"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Tracker(**{"name": "sort", **values})


@pytest.mark.parametrize("library", ["trackers", "supervision"])
def test_a_missing_library_is_one_line_that_says_how_to_install_it(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    call = {
        "trackers": lambda: Tracker("sort"),
        "supervision": lambda: to_supervision(boxes_of(0)),
    }
    with pytest.raises(TrackingUnavailableError, match=r"pip install 'evdet\[tracking\]'") as info:
        call[library]()
    assert "\n" not in str(info.value)


def test_no_boxes_are_no_supervision_detections():
    assert to_supervision(boxes_of(0)).is_empty()
    assert from_supervision(to_supervision(boxes_of(0))).dtype == BOX_DTYPE


def test_supervision_counts_classes_from_zero():
    boxes = boxes_of(7, (10, 20, 30, 40, 2, 0.5), (1, 2, 3, 4, 1))
    detections = to_supervision(boxes)
    assert detections.xyxy.tolist() == [[10, 20, 40, 60], [1, 2, 4, 6]]
    assert [("cat", "dog")[k] for k in detections.class_id] == ["dog", "cat"]
    assert detections.tracker_id is None
    boxes["track_id"] = (0, 3)
    assert to_supervision(boxes).tracker_id.tolist() == [-1, 3]


NUMBER = st.floats(0, 2000, width=32)
BOX = st.tuples(
    st.integers(0, 2**60), NUMBER, NUMBER, NUMBER, NUMBER,
    st.integers(1, 99), st.integers(0, 999), st.floats(0, 1, width=32),
)  # fmt: skip


@given(st.lists(BOX, max_size=5))
def test_the_way_to_supervision_and_back_changes_nothing(rows):
    boxes = np.array(rows, BOX_DTYPE)
    back = from_supervision(to_supervision(boxes))
    for field in set(BOX_DTYPE.names) - {"w", "h"}:
        np.testing.assert_array_equal(back[field], boxes[field])
    # A side that is many orders smaller than its corner's place is rounded.
    for field in ("w", "h"):
        np.testing.assert_allclose(back[field], boxes[field], rtol=1e-6, atol=1e-9)


def test_detections_of_others_are_read_with_what_they_have():
    import supervision

    detections = supervision.Detections(xyxy=np.array([[1.0, 2, 4, 8]]))
    assert from_supervision(detections, t=5).tolist() == [(5, 1, 2, 3, 6, 1, 0, 1)]


@pytest.fixture(scope="module")
def scenes():
    """The boxes of digits that move, stop and hide one another."""
    options, boxes = SceneOptions(seconds=2.0, frame_rate=100.0), []
    for number in range(3):
        scene = draw_scene(options, SensorModel(), "val", number)
        labelled = np.flatnonzero(scene.times % DELTA_T == 0)[1:].tolist()
        boxes.append(np.concatenate([label_scene(scene, frame) for frame in labelled]))
    return boxes


@pytest.mark.parametrize("name", TRACKERS)
def test_digits_that_move_stop_and_hide_one_another_are_followed(name, scenes):
    recordings = []
    for number, truth in enumerate(scenes):
        tracker, times = Tracker(name), np.unique(truth["t"])
        tracked = [tracker.update(t, truth[truth["t"] == t]) for t in times.tolist()]
        recordings.append(ScoredRecording(str(number), truth, times, np.concatenate(tracked)))
    overall = track_scores(recordings, [str(k) for k in range(10)], delta_t=DELTA_T).overall
    # The first box of a track has no number: one box in 40 is missed.
    assert overall.hota > 0.9
    assert overall.num_tracks < 1.3 * overall.num_objects
