import dataclasses
import math
import struct

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.draw import draw_caption
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.dat import write_dat
from evdet.events.recording import open_recording
from evdet.labels.binning import LabeledTimes
from evdet.outputs import (
    HOLD,
    View,
    bins_to_show,
    contact_sheet,
    fit_sheet,
    show_boxes,
    view_frames,
)

HEADER = b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08"
DELTA_T = 50_000
FIRST = 1_030_000  # in the middle of bin 20
NUM_BINS = 12


def dat(events):
    records = (struct.pack("<II", t, x | y << 14 | p << 28) for t, x, y, p in events)
    return HEADER + b"".join(records)


@pytest.fixture
def recording(tmp_path):
    """An event every millisecond, in bins 20 to 31."""
    path = tmp_path / "drive_td.dat"
    times = range(FIRST, (20 + NUM_BINS) * DELTA_T, 1000)
    path.write_bytes(dat((t, 60, 3 + t // 1000 % 5, t // 1000 % 2) for t in times))
    return path


def boxes_at(*times, class_id=1):
    return np.array([(t, 10, 8, 20, 16, class_id, 1, 1.0) for t in times], BOX_DTYPE)


def line_of(picture, scale=1):
    """The colour of the box's left edge, halfway down."""
    return picture[16 * scale, 10 * scale].astype(int)


def is_bright(picture):
    return line_of(picture).max() > 200


def is_dimmed(picture):
    return 60 < line_of(picture).max() < 200


VIEW = View(delta_t=DELTA_T)


def test_boxes_stand_on_their_bin_and_then_dimmed_for_a_while(recording):
    shown = show_boxes(LabeledTimes(boxes_at(22 * DELTA_T)), {0: "car"})
    frames = list(view_frames(open_recording(recording), shown, VIEW))
    assert len(frames) == NUM_BINS
    # A label describes what came before it: the end of bin 21 is its time.
    bright = [k for k, frame in enumerate(frames) if is_bright(frame)]
    dimmed = [k for k, frame in enumerate(frames) if is_dimmed(frame)]
    assert bright == [1]
    assert dimmed == [2, 3, 4, 5, 6]
    assert HOLD == 5 * DELTA_T


def test_a_frame_labelled_as_empty_ends_the_holding(recording):
    empty = np.array([23 * DELTA_T], np.int64)
    shown = show_boxes(LabeledTimes(boxes_at(22 * DELTA_T), empty), {0: "car"})
    frames = list(view_frames(open_recording(recording), shown, VIEW))
    assert [k for k, frame in enumerate(frames) if is_bright(frame) or is_dimmed(frame)] == [1]


def test_without_boxes_the_events_alone_are_drawn(recording):
    shown = show_boxes(LabeledTimes(boxes_at()), {})
    frames = list(view_frames(open_recording(recording), shown, VIEW))
    assert not any(is_bright(frame) or is_dimmed(frame) for frame in frames)
    # Events of both polarities at x = 60, and nothing beside them.
    assert all(frame[3:8, 60].max() > 100 for frame in frames)
    assert all(frame[:30, 40].max() < 60 for frame in frames)


def test_a_stretch_is_counted_from_the_start_of_the_recording(recording):
    opened = open_recording(recording)
    assert bins_to_show(opened, VIEW) == range(20, 32)
    assert bins_to_show(opened, View(delta_t=DELTA_T, start=20_000, end=120_000)) == range(21, 23)
    shown = show_boxes(LabeledTimes(boxes_at()), {})
    part = View(delta_t=DELTA_T, start=20_000, end=120_000)
    assert len(list(view_frames(opened, shown, part))) == 2


@pytest.mark.parametrize(
    ("start", "end", "message"), [(-1, None, "-1e-06 s"), (5, 5, "5e-06 s"), (10**8, None, "100 s")]
)
def test_an_empty_interval_is_refused(recording, start, end, message):
    with pytest.raises(ValueError, match=message):
        bins_to_show(open_recording(recording), View(delta_t=DELTA_T, start=start, end=end))


def test_a_recording_without_events_shows_nothing(tmp_path):
    path = tmp_path / "empty.dat"
    path.write_bytes(HEADER)
    with pytest.raises(ValueError, match="has no events to show"):
        bins_to_show(open_recording(path), VIEW)


def test_the_moments_of_a_sheet_are_those_with_boxes(recording):
    opened = open_recording(recording)
    shown = show_boxes(LabeledTimes(boxes_at(22 * DELTA_T, 25 * DELTA_T, 30 * DELTA_T)), {})
    sheet = contact_sheet(opened, shown, VIEW, num_pictures=4)
    assert sheet.shape == (48 * 2 + 2, 64 * 2 + 2, 3)
    # Three pictures, each with its box; the fourth place is grey.
    for top, left in ((0, 0), (0, 66), (50, 0)):
        assert is_bright(sheet[top:, left:])
    assert len(np.unique(sheet[50:, 66:])) == 1


def test_without_boxes_the_moments_are_spread_evenly(recording):
    shown = show_boxes(LabeledTimes(boxes_at()), {})
    opened = open_recording(recording)
    assert contact_sheet(opened, shown, VIEW, num_pictures=100).shape[0] == 3 * 48 + 2 * 2
    assert contact_sheet(opened, shown, VIEW, num_pictures=1).shape == (48, 64, 3)


def test_without_boxes_a_part_is_shown_where_it_has_the_most_events(tmp_path):
    events = np.zeros(101, EVENT_DTYPE)
    events["t"] = [0, *[7 * DELTA_T] * 99, 10 * DELTA_T - 1]
    events["x"][1:100] = np.arange(99) % 64
    path = tmp_path / "burst.dat"
    write_dat(path, [events], SensorSize(48, 64))
    sheet = contact_sheet(open_recording(path), show_boxes(LabeledTimes(boxes_at()), {}),
                          View(delta_t=DELTA_T), num_pictures=1)  # fmt: skip
    assert (sheet[0].max(axis=1) > 60).sum() == 64


def test_a_reduced_picture_keeps_single_events(recording):
    shown = show_boxes(LabeledTimes(boxes_at()), {})
    opened = open_recording(recording)
    whole = contact_sheet(opened, shown, VIEW, num_pictures=1)
    half = contact_sheet(opened, shown, dataclasses.replace(VIEW, reduction=2), num_pictures=1)
    assert half.shape == (24, 32, 3)
    assert half.max() == whole.max()


@pytest.mark.parametrize(
    ("count", "size"),
    [
        *((count, size) for count in (1, 2, 9) for size in ((128, 128), (240, 304))),
        *((count, size) for count in (1, 2) for size in ((720, 1280), (1280, 720))),
        (9, (1280, 720)),
        (25, (128, 128)),
        (25, (720, 1280)),
    ],
)
def test_a_sheet_fits_a_screen_whatever_the_sensor(tmp_path, size, count):
    events = np.zeros(100, EVENT_DTYPE)
    events["t"] = np.arange(100) * DELTA_T
    path = tmp_path / "drive.dat"
    write_dat(path, [events], SensorSize(*size))
    opened, shown = open_recording(path), show_boxes(LabeledTimes(boxes_at()), {})
    view = fit_sheet(opened, shown, VIEW, num_pictures=count)
    sheet = contact_sheet(opened, shown, view, num_pictures=count)
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    side = max(sheet.shape[0] / rows, sheet.shape[1] / columns)
    assert min(600, 0.6 * 1920 / columns) <= side <= 1920 / columns + 2
    # One event in the corner of every picture, in its faintest colour.
    assert sheet[0, 0].max() > 100


def test_a_sheet_of_few_moments_is_as_large_as_they_are(recording):
    opened, shown = open_recording(recording), show_boxes(LabeledTimes(boxes_at(22 * DELTA_T)), {})
    assert fit_sheet(opened, shown, VIEW, num_pictures=25).scale == 10
    with pytest.raises(ValueError, match="num_pictures must be at least 1, got 0"):
        fit_sheet(opened, shown, VIEW, num_pictures=0)


def test_classes_without_a_name_are_called_by_their_id_on_disk():
    boxes = np.concatenate([boxes_at(1, class_id=k) for k in (4_000_000_000, 1, 3)])
    shown = show_boxes(LabeledTimes(boxes), {2: "bus"})
    assert [shown.names[k] for k in shown.labeled.boxes["class_id"]] == ["3999999999", "0", "bus"]
    assert shown.names[0] == "background"
    assert boxes["class_id"].tolist() == [4_000_000_000, 1, 3]


def test_a_caption_stands_in_the_lower_left_corner():
    picture = np.full((120, 200, 3), 255, np.uint8)
    written = draw_caption(picture, "1.250 s, bin 25")
    changed = np.argwhere((written != picture).any(axis=2))
    assert changed[:, 0].min() > 100
    assert changed[:, 1].max() < 150
    assert (picture == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (12, 400), (400, 5)])
def test_a_caption_that_does_not_fit_is_shortened_or_left_out(size):
    assert draw_caption(np.zeros((*size, 3), np.uint8), "a long line of text").shape == (*size, 3)
