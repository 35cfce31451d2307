from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.data.augment.augmentation import (
    WHOLE_FRAME,
    Augmentation,
    AugmentRules,
    Region,
    draw_augmentation,
)
from evdet.events.dtypes import EVENT_DTYPE, SensorSize

SIZE = SensorSize(height=24, width=32)
DT = 1000
ANYTHING = AugmentRules(
    flip_prob=0.5, zoom_in_prob=0.3, max_zoom_in=3.0, zoom_out_prob=0.3, max_zoom_out=2.0,
    crop_prob=0.3,
)  # fmt: skip
GEOMETRY = st.integers(0, 10_000).map(
    lambda seed: replace(draw_augmentation(ANYTHING, np.random.default_rng(seed)), min_visible=0.0)
)
PLACES = st.tuples(st.integers(0, 28), st.integers(0, 20), st.integers(3, 12), st.integers(3, 12))


def events_of(*rows):
    return np.array(list(rows), dtype=EVENT_DTYPE)


def square(x, y, w, h):
    """One event on each pixel of a square (clipped to the sensor), and its box."""
    x2, y2 = min(x + w, SIZE.width), min(y + h, SIZE.height)
    rows = [(t % DT, u, v, t % 2) for t, (u, v) in enumerate(np.ndindex(x2 - x, y2 - y))]
    events = events_of(*rows)
    events["x"] += x
    events["y"] += y
    return events, np.array([[x, y, x2, y2, 1]], np.float32)


def frame_of(events):
    """Events per pixel and polarity."""
    frame = np.zeros((2, *SIZE), np.float32)
    np.add.at(frame, (events["p"], events["y"], events["x"]), 1)
    return frame


def tight_box(frame):
    rows = np.flatnonzero(frame.any(axis=(0, 2)))
    columns = np.flatnonzero(frame.any(axis=(0, 1)))
    return [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1, 1]]


def apply(augmentation, events, bin_index=0):
    return augmentation.apply_to_events(events, SIZE, start=0, delta_t=DT, bin_index=bin_index)


def test_nothing_drawn_changes_nothing():
    events, boxes = square(3, 4, 5, 6)
    nothing = draw_augmentation(AugmentRules(), np.random.default_rng(0))

    np.testing.assert_array_equal(apply(nothing, events), events)
    np.testing.assert_array_equal(nothing.apply_to_boxes(boxes, SIZE), boxes)
    np.testing.assert_array_equal(nothing.apply_to_frame(frame_of(events)), frame_of(events))


def test_no_events_and_no_boxes_pass():
    for seed in range(20):
        augmentation = draw_augmentation(ANYTHING, np.random.default_rng(seed))
        assert len(apply(augmentation, events_of())) == 0
        assert augmentation.apply_to_boxes(np.zeros((0, 5), np.float32), SIZE).shape == (0, 5)


def test_a_flip_maps_the_first_column_to_the_last():
    flip = Augmentation(flip=True)
    moved = apply(flip, events_of((1, 0, 3, 0), (2, 31, 5, 1)))
    assert moved.tolist() == [(1, 31, 3, 0), (2, 0, 5, 1)]

    boxes = np.array([[0, 3, 4, 9, 1], [10.25, -2, 40, 9, 2]], np.float32)
    assert flip.apply_to_boxes(boxes, SIZE).tolist() == [[28, 3, 32, 9, 1], [-8, -2, 21.75, 9, 2]]


def test_doubling_the_left_upper_quarter_shows_each_pixel_four_times():
    zoom = Augmentation(source=Region(0, 0, 0.5, 0.5))
    moved = apply(zoom, events_of((1, 2, 3, 1), (2, 20, 3, 1)))
    assert sorted(moved[["x", "y"]].tolist()) == [(4, 6), (4, 7), (5, 6), (5, 7)]
    assert set(moved["t"]) == {1}


def test_halving_keeps_every_other_pixel():
    zoom = Augmentation(target=Region(0.5, 0.5, 0.5, 0.5))
    moved = apply(zoom, square(0, 0, 4, 4)[0])
    assert sorted(moved[["x", "y"]].tolist()) == [(16, 12), (16, 13), (17, 12), (17, 13)]


def test_a_crop_leaves_what_stays_where_it_is():
    region = Region(0.25, 0.25, 0.5, 0.5)
    crop = Augmentation(source=region, target=region)
    inside, outside = (9, 10, 7, 1), (9, 3, 7, 1)
    assert apply(crop, events_of(inside, outside)).tolist() == [inside]
    boxes = np.array([[10.5, 8, 12.25, 9, 1], [0, 8, 10, 9, 1], [0, 0, 3, 3, 2]], np.float32)
    assert crop.apply_to_boxes(boxes, SIZE).tolist() == [
        [10.5, 8, 12.25, 9, 1],
        [8, 8, 10, 9, 1],
    ]


@given(GEOMETRY, PLACES)
def test_boxes_are_tight_on_drawn_squares(augmentation, place):
    events, boxes = square(*place)
    moved = apply(augmentation, events)
    found = augmentation.apply_to_boxes(boxes, SIZE)

    assert len(found) == (len(moved) > 0)
    if len(moved):
        np.testing.assert_allclose(found, tight_box(frame_of(moved)), atol=1e-5)


@given(GEOMETRY, PLACES)
def test_frames_and_events_are_augmented_alike(augmentation, place):
    events, _ = square(*place)
    np.testing.assert_array_equal(
        augmentation.apply_to_frame(frame_of(events)), frame_of(apply(augmentation, events))
    )


@given(GEOMETRY, st.lists(st.floats(0, 31, width=32), min_size=2, max_size=2).map(sorted))
def test_boxes_between_pixels_keep_their_order(augmentation, x):
    boxes = np.array([[x[0], 2, x[1] + 1, 20, 1], [0, 0, 32, 24, 2]], np.float32)
    for x1, y1, x2, y2, _ in augmentation.apply_to_boxes(boxes, SIZE):
        assert 0 <= x1 < x2 <= SIZE.width
        assert 0 <= y1 < y2 <= SIZE.height


def test_a_box_that_is_mostly_gone_is_dropped():
    region = Region(0, 0, 0.5, 1)
    boxes = np.array([[12, 0, 20, 4, 1], [15, 0, 19, 4, 2]], np.float32)
    kept = Augmentation(source=region, target=region, min_visible=0.4).apply_to_boxes(boxes, SIZE)
    assert kept.tolist() == [[12, 0, 16, 4, 1]]


def test_dropping_leaves_a_share_of_the_events_in_order():
    events = np.zeros(10_000, EVENT_DTYPE)
    events["t"] = np.arange(10_000)
    drop = Augmentation(drop=0.25, seed=3)

    kept = apply(drop, events)
    assert 0.7 < len(kept) / len(events) < 0.8
    assert (np.diff(kept["t"]) > 0).all()
    np.testing.assert_array_equal(kept, apply(drop, events))
    assert kept.tolist() != apply(drop, events, bin_index=1).tolist()


def test_dropping_clears_pixels_of_a_frame():
    frame = np.ones((3, *SIZE), np.uint8)
    cleared = Augmentation(drop=0.5, seed=1).apply_to_frame(frame)
    assert cleared.dtype == np.uint8
    assert 0.4 < cleared.mean() < 0.6
    np.testing.assert_array_equal(cleared[0], cleared[2])


def test_noise_has_its_rate_and_stays_in_its_bin():
    noise = Augmentation(noise_rate=100_000.0).apply_to_events(
        events_of((5000, 1, 1, 1)), SIZE, start=5000, delta_t=DT
    )[1:]
    assert len(noise) == pytest.approx(100 * SIZE.width * SIZE.height, rel=0.05)
    assert noise["t"].min() == 5000
    assert noise["t"].max() == 5999
    assert noise["x"].max() == SIZE.width - 1
    assert noise["y"].max() == SIZE.height - 1
    assert noise["p"].mean() == pytest.approx(0.5, abs=0.05)


def test_swapping_makes_on_of_off():
    assert apply(Augmentation(swap=True), events_of((1, 2, 3, 0), (4, 5, 6, 1))).tolist() == [
        (1, 2, 3, 1),
        (4, 5, 6, 0),
    ]


@given(st.lists(st.tuples(st.integers(0, DT - 1), st.integers(0, 31), st.just(3), st.just(1))))
def test_playing_backwards_twice_is_playing_forwards(rows):
    reverse, events = Augmentation(reverse=True), events_of(*sorted(rows))
    once = apply(reverse, events)
    assert (np.diff(once["t"]) >= 0).all()
    assert not once["p"].any()
    assert not len(once) or once["t"].max() == DT - 1 - events["t"].min()
    np.testing.assert_array_equal(apply(reverse, once), events)


def test_the_events_are_left_as_they_were():
    events, boxes = square(3, 4, 5, 6)
    everything = Augmentation(
        flip=True, target=Region(0, 0, 0.5, 0.5), drop=0.1, noise_rate=1.0, swap=True, reverse=True
    )
    before = events.copy(), boxes.copy()
    apply(everything, events)
    everything.apply_to_boxes(boxes, SIZE)
    np.testing.assert_array_equal(events, before[0])
    np.testing.assert_array_equal(boxes, before[1])


def test_an_event_outside_the_sensor_is_named():
    with pytest.raises(ValueError, match=r"outside the sensor 32x24.*x goes up to 40, y up to 1"):
        apply(Augmentation(flip=True), events_of((0, 40, 1, 1)))


def test_draws_follow_their_probabilities():
    rules = AugmentRules(
        flip_prob=0.5, zoom_in_prob=0.2, zoom_out_prob=0.3, crop_prob=0.1, drop_prob=0.4,
        noise_prob=0.6, swap_prob=0.3, reverse_prob=0.7,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    drawn = [draw_augmentation(rules, rng) for _ in range(2000)]

    def share(holds):
        return pytest.approx(sum(map(holds, drawn)) / len(drawn), abs=0.05)

    assert share(lambda a: a.flip) == 0.5
    assert share(lambda a: a.source != WHOLE_FRAME and a.target == WHOLE_FRAME) == 0.2
    assert share(lambda a: a.source == WHOLE_FRAME and a.target != WHOLE_FRAME) == 0.3
    assert share(lambda a: a.source != WHOLE_FRAME and a.target != WHOLE_FRAME) == 0.1
    assert share(lambda a: a.drop > 0) == 0.4
    assert share(lambda a: a.noise_rate > 0) == 0.6
    assert share(lambda a: a.swap) == 0.3
    assert share(lambda a: a.reverse) == 0.7
    assert len({a.seed for a in drawn}) == len(drawn)


def test_windows_stay_inside_the_frame():
    rng = np.random.default_rng(0)
    for _ in range(300):
        augmentation = draw_augmentation(ANYTHING, rng)
        for region in (augmentation.source, augmentation.target):
            assert region.left >= 0
            assert region.top >= 0
            assert region.left + region.width <= 1 + 1e-9
            assert region.top + region.height <= 1 + 1e-9


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flip_prob": 1.5}, "flip_prob must be from 0 to 1, got 1.5"),
        ({"max_zoom_in": 0.5}, "max_zoom_in must be at least 1, got 0.5"),
        ({"max_drop": 2.0}, "max_drop must be from 0 to 1"),
        ({"max_noise_rate": -1.0}, "max_noise_rate must be 0 or more"),
        ({"zoom_in_prob": 0.6, "crop_prob": 0.6}, "add up to 1.2"),
    ],
)
def test_rules_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        AugmentRules(**wrong)
