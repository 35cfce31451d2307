from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.noise import (
    HOT_PIXEL_DTYPE,
    filter_background_activity,
    find_hot_pixels,
    hot_pixel_mask,
    pick_hot_pixels,
    remove_hot_pixels,
)

SIZE = SensorSize(height=5, width=6)
WINDOW = 100
EVENT = st.tuples(st.integers(0, 400), st.integers(0, 5), st.integers(0, 4), st.integers(0, 1))
# Only small steps back: events of a slice are in order, those of a block nearly.
ROWS = st.lists(EVENT, max_size=60).map(lambda rows: sorted(rows, key=lambda row: row[0] // 8))


def events_of(*rows):
    return np.array(list(rows), dtype=EVENT_DTYPE)


def kept(rows, last_event_times=None, window_us=WINDOW):
    events, last_event_times = filter_background_activity(
        events_of(*rows), SIZE, window_us=window_us, last_event_times=last_event_times
    )
    return [tuple(event.item()) for event in events], last_event_times


# --- background activity ---


def test_no_events_and_no_past():
    events, last_event_times = kept([])
    assert events == []
    assert kept([], last_event_times)[0] == []


def test_an_event_alone_is_noise():
    assert kept([(0, 2, 2, 1)])[0] == []
    assert kept([(0, 2, 2, 1), (5, 5, 4, 1), (9, 0, 0, 0)])[0] == []


@pytest.mark.parametrize(
    ("dx", "dy"), [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)]
)
def test_each_of_the_eight_neighbours_supports(dx, dy):
    rows = [(50, 2 + dx, 2 + dy, 0), (60, 2, 2, 1)]
    assert kept(rows)[0] == rows[1:]


def test_a_pixel_does_not_support_itself_nor_one_two_away():
    assert kept([(0, 2, 2, 1), (1, 2, 2, 1), (2, 4, 2, 1), (3, 2, 4, 1)])[0] == []


def test_support_lasts_for_the_window():
    assert len(kept([(0, 2, 2, 1), (WINDOW, 3, 2, 1)])[0]) == 1
    assert len(kept([(0, 2, 2, 1), (WINDOW + 1, 3, 2, 1)])[0]) == 0


def test_pixels_at_opposite_borders_are_not_neighbours():
    rows = [(0, 0, 2, 1), (1, 5, 2, 1), (2, 5, 1, 1), (3, 2, 0, 0), (4, 2, 4, 0)]
    assert kept(rows)[0] == [(2, 5, 1, 1)]
    corners = [(k, x, y, 1) for k, (x, y) in enumerate([(0, 0), (5, 0), (0, 4), (5, 4)])]
    assert kept(corners)[0] == []


def reference(rows, window):
    result, latest = [], {}
    for t, x, y, p in rows:
        around = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx, dy) != (0, 0)]
        if any(latest.get(place, -(10**9)) >= t - window for place in around):
            result.append((t, x, y, p))
        latest[x, y] = max(latest.get((x, y), -(10**9)), t)
    return result


@given(ROWS, st.integers(1, 500))
def test_what_is_kept_is_what_the_rule_says(rows, window):
    assert kept(rows, window_us=window)[0] == reference(rows, window)


@given(ROWS, st.lists(st.integers(0, 60), max_size=5))
def test_in_pieces_or_as_a_whole(rows, cuts):
    whole, last_event_times = kept(rows)
    pieces, past = [], None
    borders = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for begin, end in pairwise(borders):
        piece, past = kept(rows[begin:end], past)
        pieces += piece
    assert pieces == whole
    np.testing.assert_array_equal(past, last_event_times)


@given(ROWS, ROWS)
def test_events_and_times_are_left_as_they_were(first, second):
    _, last_event_times = kept(first)
    events, before = events_of(*second), last_event_times.copy()
    filter_background_activity(events, SIZE, window_us=WINDOW, last_event_times=last_event_times)
    np.testing.assert_array_equal(events, events_of(*second))
    np.testing.assert_array_equal(last_event_times, before)


def test_times_of_any_size():
    far = 1_700_000_000_000_000
    for start in (far, -far):
        assert len(kept([(start, 2, 2, 1), (start + 1, 3, 2, 1)])[0]) == 1


def test_a_moving_edge_stays_and_noise_goes():
    size = SensorSize(60, 80)
    edge = [(1000 * x + y, x, y, 1) for x in range(80) for y in range(60)]
    rng = np.random.default_rng(0)
    noise = [(int(rng.integers(80_000)), int(rng.integers(80)), int(rng.integers(60)), 0)
             for _ in range(400)]  # fmt: skip
    events = events_of(*sorted(edge + noise))
    clean, _ = filter_background_activity(events, size, window_us=2000)
    assert np.count_nonzero(clean["p"] == 1) >= 0.99 * len(edge)
    assert np.count_nonzero(clean["p"] == 0) <= 0.25 * len(noise)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"1 of 1 events lie outside the sensor 6x5.*x=6, y=0"):
        kept([(0, 6, 0, 0)])
    with pytest.raises(ValueError, match="window_us must be at least 1, got 0"):
        kept([], window_us=0)
    with pytest.raises(ValueError, match=r"last_event_times.* 2x1 .* 6x5"):
        kept([], last_event_times=np.zeros((3, 4), np.int64))


# --- hot pixels ---


def moving_bar(size, seconds, speed=200):
    """A bar that sweeps over the sensor again and again: every pixel it meets fires alike."""
    x = np.arange(int(seconds * speed)) % size.width
    rows = np.arange(size.height // 4, 3 * size.height // 4)
    events = np.zeros((len(x), len(rows)), EVENT_DTYPE)
    events["t"] = (np.arange(len(x)) * 1_000_000 // speed)[:, None]
    events["x"], events["y"], events["p"] = x[:, None], rows, 1
    return events.reshape(-1)


def firing(x, y, rate, seconds):
    events = np.zeros(int(rate * seconds), EVENT_DTYPE)
    events["t"] = np.arange(len(events)) * 1_000_000 // rate
    events["x"], events["y"] = x, y
    return events


def in_order(*parts):
    events = np.concatenate(parts)
    return events[np.argsort(events["t"], kind="stable")]


def test_nothing_is_hot_where_nothing_happens():
    assert len(find_hot_pixels([], SIZE)) == 0
    pixels = find_hot_pixels([events_of()], SIZE)
    assert (len(pixels), pixels.dtype) == (0, HOT_PIXEL_DTYPE)
    assert not hot_pixel_mask(pixels, SIZE).any()


@pytest.mark.parametrize("seconds", [1, 20])
def test_a_clean_moving_pattern_has_no_hot_pixels(seconds):
    size = SensorSize(40, 60)
    assert len(find_hot_pixels([moving_bar(size, seconds)], size)) == 0


def test_planted_hot_pixels_are_all_found_and_no_others():
    size = SensorSize(40, 60)
    # In the pattern, outside it, at its border, in a corner, and three side by side.
    planted = {(30, 20): 900, (5, 3): 300, (20, 10): 800, (0, 0): 25, (59, 39): 100}
    planted |= {(45, 35): 200, (46, 35): 250, (46, 36): 222}
    events = in_order(
        moving_bar(size, 4), *(firing(x, y, rate, 4) for (x, y), rate in planted.items())
    )
    pixels = find_hot_pixels(np.array_split(events, 7), size)
    assert {(int(p["x"]), int(p["y"])) for p in pixels} == set(planted)
    assert (np.diff(pixels["rate"]) <= 0).all(), "the worst first"
    for pixel in pixels:
        own = planted[int(pixel["x"]), int(pixel["y"])]
        assert own <= pixel["rate"] <= own + 20, "its own events, and the bar's"


def test_the_blocks_do_not_matter():
    size = SensorSize(40, 60)
    events = in_order(moving_bar(size, 2), firing(7, 7, 300, 2))
    whole = find_hot_pixels([events], size)
    assert len(whole) == 1
    np.testing.assert_array_equal(find_hot_pixels(np.array_split(events, 50), size), whole)


def test_a_hot_pixel_has_many_events_and_often():
    counts = np.zeros((4, 4), np.int64)
    counts[1, 1] = 20
    assert len(pick_hot_pixels(counts, 2_000_000)) == 1
    assert len(pick_hot_pixels(counts, 2_000_001)) == 0, "fewer than 10 a second"
    assert len(pick_hot_pixels(counts, 2_000_001, min_rate=9)) == 1
    counts[1, 1] = 19
    assert len(pick_hot_pixels(counts, 1)) == 0, "too few to tell"


def test_busy_neighbours_excuse_a_pixel():
    counts = np.zeros((4, 4), np.int64)
    counts[1, 1], counts[0, :3] = 900, [500, 90, 500]
    assert len(pick_hot_pixels(counts, 1000)) == 3, "only two of them are busier than 90"
    counts[0, 1] = 91
    assert {(int(x), int(y)) for x, y, _ in pick_hot_pixels(counts, 1000)} == {(0, 0), (2, 0)}
    assert len(pick_hot_pixels(counts, 1000, ratio=9)) == 3


@given(ROWS, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=8))
def test_masked_pixels_are_left_out_and_all_others_stay(rows, places):
    pixels = np.zeros(len(places), HOT_PIXEL_DTYPE)
    for pixel, (x, y) in zip(pixels, places, strict=True):
        pixel["x"], pixel["y"] = x, y
    events = events_of(*rows)
    left = remove_hot_pixels(events, hot_pixel_mask(pixels, SIZE))
    assert [tuple(event.item()) for event in left] == [
        row for row in rows if row[1:3] not in places
    ]
    np.testing.assert_array_equal(events, events_of(*rows))


def test_a_mask_is_of_the_sensor():
    with pytest.raises(ValueError, match="outside the sensor 6x5"):
        remove_hot_pixels(events_of((0, 0, 5, 1)), np.zeros(SIZE, bool))


def test_hot_pixels_of_a_real_sensor(event_data):
    from evdet.events.recording import open_recording

    recording = open_recording(event_data / "hdf5/dvxplorer_lite_dsec_layout.h5")
    pixels = find_hot_pixels(recording.blocks(), recording.size)
    assert 10 < len(pixels) < 0.002 * recording.size.width * recording.size.height
    mask = hot_pixel_mask(pixels, recording.size)
    num_left = sum(len(remove_hot_pixels(block, mask)) for block in recording.blocks())
    assert len(recording) - num_left > 100 * len(pixels), "each had a hundred events and more"
