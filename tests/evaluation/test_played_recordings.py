import json
from pathlib import Path

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.data.folder import open_folder
from evdet.data.recording_frames import open_recordings
from evdet.evaluation.played_recordings import (
    PlayedRecording,
    count_events,
    select_truth,
    to_played,
)
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.frame_spec import FrameSpec
from evdet.labels.binning import LabeledTimes

SIZE = SensorSize(height=24, width=32)
DELTA_T = 1000
FIELDS = ("t", "x", "y", "w", "h", "class_id", "still_us")


def boxes_of(*rows, still=False):
    """Rows t x y w h class_id, and still_us."""
    boxes = np.zeros(len(rows), [*BOX_DTYPE.descr, ("still_us", "<i8")] if still else BOX_DTYPE)
    for box, row in zip(boxes, rows, strict=True):
        for name, value in zip(FIELDS, row, strict=False):
            box[name] = value
    return boxes


def events_of(rng, start, end, count):
    events = np.zeros(count, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(start, end, count))
    events["x"] = rng.integers(0, SIZE.width, count)
    events["y"] = rng.integers(0, SIZE.height, count)
    events["t"][0], events["t"][-1] = start, end - 1
    return events


@pytest.fixture
def folder(tmp_path):
    """One recording from 3 to 9 ms, with boxes of two classes on disk."""
    events = events_of(np.random.default_rng(0), 3 * DELTA_T, 9 * DELTA_T, 4000)
    (tmp_path / "test").mkdir()
    write_dat(tmp_path / "test" / "drive_td.dat", [events], SIZE)
    boxes = boxes_of(
        (3500, 4, 2, 8, 8, 0, 70), (3900, 4, 2, 8, 8, 1, 80), (6000, 28, 2, 8, 8, 1, 90),
        (7100, 2, 2, 3, 3, 1, 0), still=True,
    )  # fmt: skip
    np.save(tmp_path / "test" / "drive_bbox.npy", boxes)
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps({0: "car", 1: "bus"}))
    return tmp_path, events


def play(path, classes=()):
    folder = open_folder(path)
    spec = FrameSpec(preprocess="histogram", delta_t=DELTA_T, height=24, width=32, in_channels=2)
    source = open_recordings(folder, "test", spec, classes=classes, num_tbins=2)
    return to_played(source.videos, folder, "test", classes=classes)


def played_of(boxes, *, empty=()):
    annotated = np.union1d(boxes["t"], np.array(empty, np.int64))
    return PlayedRecording("one", Path("nowhere"), SIZE, 0, 100, LabeledTimes(boxes, annotated))


def test_nothing_labelled_is_nothing_selected(tmp_path):
    played = played_of(boxes_of())
    truth, times = select_truth(
        played, np.arange(5), delta_t=DELTA_T, clips=True, counts_events=False
    )
    assert len(truth) == len(times) == 0
    assert count_events(played, boxes_of(), delta_t=DELTA_T).tolist() == []


def test_labels_are_read_at_their_own_times_with_all_their_fields(folder):
    [played] = play(folder[0])
    assert (played.name, played.size, played.first_bin) == ("drive", SIZE, 3)
    assert played.num_bins == 5  # to the bin of the last label
    assert played.labeled.boxes["t"].tolist() == [3500, 3900, 6000, 7100]
    assert played.labeled.boxes["class_id"].tolist() == [1, 2, 2, 2]
    assert played.labeled.boxes["still_us"].tolist() == [70, 80, 90, 0]


def test_times_are_annotated_where_all_objects_are_of_other_classes(folder):
    [played] = play(folder[0], ["car"])
    assert played.labeled.boxes["t"].tolist() == [3500]
    assert played.labeled.empty_times.tolist() == [3500, 3900, 6000, 7100]


def test_labels_that_do_not_count_keep_their_flag_and_are_counted(folder):
    path = folder[0] / "test" / "drive_bbox.npy"
    boxes = np.load(path)
    boxes["class_confidence"] = (1, 1, 0, 1)
    np.save(path, boxes)

    [played] = play(folder[0])

    assert played.labeled.boxes["is_ignored"].tolist() == [False, False, True, False]
    assert played.labeled.counts == {"boxes of confidence 0": 1}
    bins = np.arange(100)
    truth, times = select_truth(played, bins, delta_t=DELTA_T, clips=True, counts_events=True)
    assert truth["is_ignored"].sum() == 1
    assert times.tolist() == [3500, 3900, 6000, 7100]


def test_labels_of_bins_that_were_not_played_are_left_out():
    boxes = boxes_of((1, 4, 2, 8, 8, 1), (1000, 4, 2, 8, 8, 1), (1001, 4, 2, 8, 8, 1))
    played = played_of(boxes, empty=[2500])
    truth, times = select_truth(
        played, np.array([0, 2]), delta_t=DELTA_T, clips=True, counts_events=False
    )
    assert truth["t"].tolist() == [1, 1000]
    assert times.tolist() == [1, 1000, 2500]


def test_boxes_are_clipped_only_where_the_protocol_says_so():
    boxes = boxes_of((1, 28, 2, 8, 8, 1), (2, 40, 2, 8, 8, 1))
    for clips, widths in ((True, [4]), (False, [8, 8])):
        truth, times = select_truth(
            played_of(boxes), np.array([0]), delta_t=DELTA_T, clips=clips, counts_events=False
        )
        assert truth["w"].tolist() == widths
        assert times.tolist() == [1, 2]


def test_events_are_counted_in_each_box_and_its_bin(folder):
    path, events = folder
    [played] = play(path)
    truth, _ = select_truth(
        played, np.arange(3, 8), delta_t=DELTA_T, clips=False, counts_events=True
    )
    expected = []
    for box in truth:
        start = (int(box["t"]) - 1) // DELTA_T * DELTA_T
        inside = (
            (events["t"] >= start) & (events["t"] < start + DELTA_T)
            & (events["x"] >= box["x"]) & (events["x"] < box["x"] + box["w"])
            & (events["y"] >= box["y"]) & (events["y"] < box["y"] + box["h"])
        )  # fmt: skip
        expected.append(int(inside.sum()))
    assert truth["num_events"].tolist() == expected
    assert min(expected) > 0
    assert truth["still_us"].tolist() == [70, 80, 90, 0]


def test_a_box_between_pixels_counts_those_whose_corner_it_holds(folder):
    path, events = folder
    [played] = play(path)
    counts = count_events(played, boxes_of((4000, 4.5, -3, 2, 50, 1)), delta_t=DELTA_T)
    in_bin = events[events["t"] < 4000]
    assert counts.tolist() == [int(np.isin(in_bin["x"], [5, 6]).sum())]


def test_a_recording_that_breaks_before_the_last_box_has_no_counts(folder):
    path, _ = folder
    [played] = play(path)
    file = path / "test" / "drive_td.dat"
    file.write_bytes(file.read_bytes()[:-4] + b"\xff\xff\xff\x0f")
    boxes = boxes_of((4000, 0, 0, 9, 9, 1), (20_000, 0, 0, 9, 9, 1))
    assert count_events(played, boxes, delta_t=DELTA_T) is None
