import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.simulation.sensor import SensorModel, simulate_frames
from evdet.synthetic.scenes.motion import Path, draw_path, frame_times
from evdet.synthetic.scenes.render import INK_THRESH, SceneObject, draw_frames
from evdet.synthetic.scenes.scene import (
    SCENE_BOX_DTYPE,
    Scene,
    SceneOptions,
    classes_of,
    draw_scene,
    label_scene,
    play_scene,
)
from evdet.synthetic.scenes.shapes import SHAPES, draw_shape, resize

QUIET = SensorModel(leak_rate_hz=0.0, shot_noise_hz=0.0)
SMALL = {"height": 40, "width": 48, "frame_rate": 200.0}


def options(**changes):
    return SceneOptions(**{**SMALL, "seconds": 3.0, **changes})


def played(scene, label_period=50_000):
    pieces = list(play_scene(scene, label_period))
    return (
        np.concatenate([piece.events for piece in pieces]),
        np.concatenate([piece.boxes for piece in pieces]),
    )


def standing(*corners):
    """Paths of objects that never move."""
    return tuple(
        Path(np.full((3, 2), corner, np.float64), np.zeros(3), np.arange(3) * 1000)
        for corner in corners
    )


def scene_of(objects, *corners, size=(40, 48)):
    background = np.full(size, 0.2, np.float32)
    return Scene(background, tuple(objects), np.arange(3) * 1000, standing(*corners), QUIET)


def box_around_ink(frame, background, level):
    """Slowly: look at every pixel."""
    inked = [
        (x, y)
        for y in range(frame.shape[0])
        for x in range(frame.shape[1])
        if (frame[y, x] - background[y, x]) / (level - background[y, x]) >= INK_THRESH - 1e-6
    ]
    columns, rows = zip(*inked, strict=True)
    return [min(columns), min(rows), max(columns) + 1 - min(columns), max(rows) + 1 - min(rows)]


@pytest.mark.parametrize("kind", ["digits", "shapes"])
def test_the_box_of_an_object_is_tight_on_its_ink(kind):
    for number in range(4):
        scene = draw_scene(options(kind=kind, max_objects=1), QUIET, "train", number)
        corners = np.stack([path.corner for path in scene.paths], axis=1)
        for frame in range(0, len(scene.times), 97):
            [box] = label_scene(scene, frame)
            picture = draw_frames(
                scene.background, scene.objects, corners[frame : frame + 1], None
            )[0][0]
            found = box_around_ink(picture, scene.background, scene.objects[0].level)
            assert [box[name] for name in "xywh"] == found
            assert box["class_id"] == scene.objects[0].class_id
            assert box["t"] == scene.times[frame]


def test_a_box_is_around_the_whole_object_although_another_hides_a_part():
    square = SceneObject(draw_shape("square", 10), 0.9, 1)
    alone = label_scene(scene_of([square], (5, 7)), 1)
    both = label_scene(scene_of([square, square], (5, 7), (9, 3)), 1)
    assert both[0] == alone[0]
    assert both["track_id"].tolist() == [1, 2]


@pytest.mark.parametrize(("shift", "num_boxes"), [(0, 1), (2, 1), (4, 2), (6, 2)])
def test_what_is_hidden_is_not_labelled(shift, num_boxes):
    small = SceneObject(draw_shape("square", 20), 0.9, 1)
    large = SceneObject(draw_shape("square", 22), 0.5, 1)
    boxes = label_scene(scene_of([small, large], (5 + shift, 7), (5, 7)), 1)
    assert len(boxes) == num_boxes
    assert boxes["track_id"][-1] == 2


def test_nearer_objects_hide_farther_ones():
    near, far = (SceneObject(draw_shape("square", 8), level, 1) for level in (0.9, 0.5))
    scene = scene_of([far, near], (10, 10), (14, 14))
    corners = np.stack([path.corner for path in scene.paths], axis=1)
    frame = draw_frames(scene.background, scene.objects, corners[:1], None)[0][0]
    assert frame[12, 12] == np.float32(0.5)
    assert frame[16, 16] == np.float32(0.9)
    assert frame[5, 5] == np.float32(0.2)


@given(st.integers(0, 1000))
def test_drawing_only_what_changes_draws_the_same(seed):
    rng = np.random.default_rng(seed)
    background = rng.random((30, 35)).astype(np.float32)
    objects = tuple(
        SceneObject(draw_shape(rng.choice(SHAPES), int(rng.integers(3, 12))), rng.random(), 1)
        for _ in range(3)
    )
    corners = np.cumsum(rng.uniform(-1, 1, (6, 3, 2)), axis=0) + 10
    corners[2:4, 1] = corners[1, 1]
    frames, changed = draw_frames(background, objects, corners, background)
    for k in range(5):
        whole, _ = draw_frames(background, objects, corners[k + 1 : k + 2], None)
        if k:
            outside = np.ones(background.shape, bool)
            for top, left, bottom, right in changed[k]:
                outside[top:bottom, left:right] = False
            np.testing.assert_array_equal(frames[k][outside], frames[k - 1][outside])
            np.testing.assert_allclose(frames[k], whole[0], atol=1e-6)


def test_a_scene_in_pieces_is_the_scene_at_once():
    scene = draw_scene(options(seconds=1.0), SensorModel(), "train", 3)
    corners = np.stack([path.corner for path in scene.paths], axis=1)
    frames = np.concatenate(
        [draw_frames(scene.background, scene.objects, corner[None], None)[0] for corner in corners]
    )
    events, _ = simulate_frames(scene.sensor, frames, scene.times)
    pieces, _ = played(scene)
    # Where objects overlap, the order of drawing may round differently.
    assert abs(len(events) - len(pieces)) <= 1 + len(events) / 1000
    assert len(events) > 500


def test_events_and_labels_are_in_order_and_on_the_sensor():
    scene = draw_scene(options(seconds=2.0), SensorModel(), "val", 0)
    events, boxes = played(scene)
    assert (np.diff(events["t"]) >= 0).all()
    assert events["t"].min() > 0
    assert events["t"].max() <= 2_000_000
    assert events["x"].max() < 48
    assert events["y"].max() < 40
    assert boxes.dtype == SCENE_BOX_DTYPE
    assert set(boxes["t"]) <= set(range(50_000, 2_000_001, 50_000))
    assert (boxes["x"] >= 0).all()
    assert (boxes["x"] + boxes["w"] <= 48).all()
    assert (boxes["y"] + boxes["h"] <= 40).all()


def test_objects_that_wait_give_no_events_and_their_labels_say_for_how_long():
    waited = 0
    for number in range(6):
        scene = draw_scene(options(seconds=6.0, max_objects=1), QUIET, "train", number)
        events, boxes = played(scene)
        for before, box in itertools.pairwise(boxes):
            in_bin = (events["t"] > before["t"]) & (events["t"] <= box["t"])
            if box["still_us"] >= 50_000:
                assert not in_bin.any()
                assert [box[name] for name in "xywh"] == [before[name] for name in "xywh"]
                assert box["still_us"] - before["still_us"] in (50_000, box["still_us"])
                waited += 1
    assert waited > 50


def test_there_are_nearly_no_events_on_a_waiting_object_and_many_on_a_moving_one():
    rates = {True: [], False: []}
    for number in range(6):
        scene = draw_scene(options(seconds=6.0, max_objects=1), SensorModel(), "train", number)
        events, boxes = played(scene)
        for box in boxes:
            now = events[(events["t"] > box["t"] - 50_000) & (events["t"] <= box["t"])]
            inside = [
                (now[at] >= box[at]) & (now[at] < box[at] + box[to]) for at, to in ("xw", "yh")
            ]
            rates[bool(box["still_us"] >= 50_000)].append(np.logical_and(*inside).sum())
    assert 10 * np.mean(rates[True]) < np.mean(rates[False])
    assert np.mean(rates[True]) > 0


@given(st.integers(0, 10**6))
def test_paths_stay_between_the_walls_and_stop_for_half_a_second_to_three(seed):
    times = frame_times(200, 50_000, 200.0)
    path = draw_path(np.random.default_rng(seed), times, free=(90, 7), side=128)
    assert (path.corner >= 0).all()
    assert (path.corner <= [90, 7]).all()
    moved = np.abs(np.diff(path.corner, axis=0)).sum(axis=1) > 0
    np.testing.assert_array_equal(path.still_us[1:][moved], 0)
    assert (path.still_us[1:][~moved] > 0).all()
    assert moved[1]
    # Speed per frame of 5 ms: at most 0.8 sides a second.
    assert np.abs(np.diff(path.corner, axis=0)).max() <= 0.8 * 128 * 0.005 + 1e-9
    ends = np.flatnonzero((path.still_us[:-1] > 0) & (path.still_us[1:] == 0))
    for end in ends:
        assert 0.45e6 <= path.still_us[end] <= 3.05e6


@given(st.integers(1, 20), st.integers(1000, 200_000), st.floats(1, 2000))
def test_a_frame_stands_at_every_label(num_labels, period, rate):
    times = frame_times(num_labels, period, rate)
    assert times[0] == 0
    assert times[-1] == num_labels * period
    assert (np.diff(times) > 0).all()
    assert set(range(0, num_labels * period + 1, period)) <= set(times.tolist())


def test_the_same_scene_twice_and_other_scenes():
    def fingerprint(**changes):
        split, number = changes.pop("split", "train"), changes.pop("number", 0)
        scene = draw_scene(options(seconds=0.2, **changes), SensorModel(), split, number)
        return played(scene)[0].tobytes()

    first = fingerprint()
    assert first == fingerprint()
    others = [fingerprint(**c) for c in ({"seed": 1}, {"split": "val"}, {"number": 1})]
    assert len({first, *others}) == 4


def test_all_classes_play_and_up_to_so_many_objects():
    for kind in ("digits", "shapes"):
        scenes = [
            draw_scene(options(kind=kind, seconds=0.05, max_objects=4), QUIET, "test", number)
            for number in range(40)
        ]
        ids = {thing.class_id for scene in scenes for thing in scene.objects}
        assert ids == set(range(1, len(classes_of(kind)) + 1))
        assert {len(scene.objects) for scene in scenes} == {1, 2, 3, 4}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_touch_their_square_and_resizing_keeps_flat_flat(name):
    shape = draw_shape(name, 12)
    assert shape.shape == (12, 12)
    assert all(shape.take(at, axis).any() for axis in (0, 1) for at in (0, -1))
    for height, width in ((5, 30), (12, 12), (40, 3)):
        np.testing.assert_allclose(resize(np.ones_like(shape), height, width), 1, rtol=1e-5)
    np.testing.assert_allclose(resize(shape, 12, 12), shape, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "cats"}, "kind must be one of digits, shapes, nmnist, got 'cats'"),
        ({"height": 20}, r"a sensor of 48x20 \(width x height\) is too small"),
        ({"label_period": 10}, "label_period must be at least 1000 us, got 10"),
        ({"frame_rate": 0.0}, "frame_rate must be above 0"),
        ({"seconds": 0.0}, "seconds must be at least one label period, 50000 us, got 0.0"),
        ({"max_objects": 0}, "max_objects must be at least 1, got 0"),
        ({"texture": -1.0}, "texture must be 0 or more, got -1.0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_a_scene_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        options(**change)


def test_unknown_shapes_and_recordings_are_not_drawn():
    with pytest.raises(ValueError, match="shape must be one of circle, square"):
        draw_shape("cat", 5)
    with pytest.raises(ValueError, match="use draw_nmnist_scene"):
        draw_scene(options(kind="nmnist"), QUIET, "train", 0)
