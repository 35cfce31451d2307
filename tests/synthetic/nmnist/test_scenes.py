import hashlib
import itertools
import zipfile

import numpy as np
import pytest

from evdet.events import RecordingError
from evdet.synthetic.mnist.digits import load_digits
from evdet.synthetic.nmnist.digits import PATCH, find_digits, sway_at
from evdet.synthetic.nmnist.scenes import (
    NmnistScene,
    draw_nmnist_scene,
    find_support,
    play_nmnist_scene,
)
from evdet.synthetic.scenes.motion import Path
from evdet.synthetic.scenes.scene import SceneOptions

OPTIONS = {"kind": "nmnist", "height": 60, "width": 70, "frame_rate": 200.0, "seconds": 3.0}


@pytest.fixture(scope="module")
def shipped():
    return find_digits()


def played(scene, label_period=50_000):
    pieces = list(play_nmnist_scene(scene, label_period))
    return (
        np.concatenate([piece.events for piece in pieces]),
        np.concatenate([piece.boxes for piece in pieces]),
    )


def standing(digits, *corners, seconds=0.3):
    """A scene whose digits stay where they are, and play nevertheless."""
    times = np.arange(round(seconds * 1e6) + 1, step=5000)
    paths = tuple(
        Path(np.full((len(times), 2), corner, np.float64), times.astype(np.float64), times * 0)
        for corner in corners
    )
    return NmnistScene(tuple(digits), paths, times, 60, 70)


def record(*rows):
    """N-MNIST's bytes of events (t, x, y, p)."""
    return b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for t, x, y, p in rows)


def test_one_recording_of_each_digit_comes_with_the_package(shipped):
    assert shipped.labels.tolist() == list(range(10))
    assert shipped.is_shared
    for split in ("train", "val", "test"):
        assert [shipped.indices_of(split, digit).tolist() for digit in range(10)] == [
            [digit] for digit in range(10)
        ]


def test_the_shipped_recordings_hold_the_events_of_the_data_set(shipped):
    events = shipped.read(0)
    assert len(events) == 5028
    assert (events["t"][0], events["t"][-1]) == (937, 305341)
    digest = hashlib.sha256(events.tobytes()).hexdigest()
    assert digest == "861ee6890718a0d2a71a447628b6ff0c5f62c8be6a622dce8c21d35c9facdb44"


def test_a_digit_is_found_where_its_mnist_image_has_ink(shipped):
    images = load_digits("train").images
    for number, name in enumerate(shipped.names):
        image = images[int(name.split("_train")[1].removesuffix(".bin")) - 1] >= 32
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        ink = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        found = find_support(shipped.read(number), number)
        assert np.abs(np.subtract(found.box, ink)).max() <= 3
        assert found.support.sum() > image.sum() / 2


def test_a_recording_without_a_digit_has_a_support_all_the_same(shipped):
    unmatched = find_support(shipped.read(3)[:1], 3)
    left, top, right, bottom = unmatched.box
    assert (right - left, bottom - top) == (1, 1)


def test_standing_at_the_origin_a_recording_is_as_it_was(shipped):
    digit = find_support(shipped.read(4), 4)
    events, _ = played(standing([digit], (0, 0), seconds=0.35))
    np.testing.assert_array_equal(events[: len(digit.events)], digit.events)
    again = events[len(digit.events) :]
    assert (again["t"] == digit.events["t"][: len(again)] + digit.period).all()


def test_boxes_follow_the_digit_and_hold_its_events(shipped):
    for number in range(3):
        scene = draw_nmnist_scene(SceneOptions(**OPTIONS, max_objects=1), shipped, "train", number)
        events, boxes = played(scene)
        assert len(boxes) == 60
        inside, tight = [], []
        for box in boxes:
            now = events[(events["t"] > box["t"] - 10_000) & (events["t"] <= box["t"])]
            if len(now) < 100:
                continue
            x, y = now["x"] - box["x"], now["y"] - box["y"]
            inside.append(((x > -2) & (x < box["w"] + 1) & (y > -2) & (y < box["h"] + 1)).mean())
            tight.append(np.ptp(np.percentile(x, [3, 97])) / box["w"])
        assert np.mean(inside) > 0.85
        assert np.mean(tight) > 0.6


def test_events_and_boxes_lie_on_the_sensor_in_order():
    scene = draw_nmnist_scene(SceneOptions(**OPTIONS, max_objects=4), find_digits(), "val", 1)
    events, boxes = played(scene)
    assert (np.diff(events["t"]) >= 0).all()
    assert events["t"].max() <= 3_000_000
    assert events["x"].max() < 70
    assert events["y"].max() < 60
    assert (boxes["x"] >= 0).all()
    assert (boxes["y"] + boxes["h"] <= 60).all()
    assert set(boxes["t"]) == set(range(50_000, 3_000_001, 50_000))
    assert ((boxes["class_id"] >= 1) & (boxes["class_id"] <= 10)).all()


def test_a_digit_that_stops_is_silent(shipped):
    quiet = 0
    for number in range(6):
        scene = draw_nmnist_scene(
            SceneOptions(**{**OPTIONS, "seconds": 5.0}, max_objects=1), shipped, "test", number
        )
        events, boxes = played(scene)
        for box in boxes[boxes["still_us"] >= 60_000]:
            assert not ((events["t"] > box["t"] - 50_000) & (events["t"] <= box["t"])).any()
            quiet += 1
    assert quiet > 30


def test_a_nearer_digit_hides_the_events_behind_it(shipped):
    far, near = (find_support(shipped.read(number), number) for number in (8, 0))
    alone, _ = played(standing([far], (10, 10)))
    front, _ = played(standing([near], (10, 10)))
    both, boxes = played(standing([far, near], (10, 10), (10, 10)))
    assert len(front) < len(both) < len(front) + len(alone) * 0.8
    assert set(boxes["track_id"]) == {1, 2}
    apart, _ = played(standing([far, near], (0, 0), (26, 36)))
    assert len(apart) == len(front) + len(alone)
    hidden, boxes = played(standing([far, far], (10, 10), (10, 10)))
    assert set(boxes["track_id"]) == {2}
    assert len(hidden) < 1.2 * len(alone)


def test_the_sway_is_continuous_over_a_recording():
    t = np.arange(0, 310_000, 1000.0)
    for way in sway_at(t):
        assert np.abs(np.diff(way)).max() < 0.2
        assert abs(way[0] - way[-1]) < 1


def test_a_folder_says_the_digits_by_its_folders_or_by_a_table(tmp_path):
    for name in ("0/00002.bin", "0/00010.bin", "7/00001.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(record((5, 1, 2, 1), (7, 3, 4, 0)))
    by_folder = find_digits(tmp_path)
    assert by_folder.names == ("0/00002.bin", "0/00010.bin", "7/00001.bin")
    assert by_folder.labels.tolist() == [0, 0, 7]
    assert by_folder.read(1).tolist() == [(5, 1, 2, 1), (7, 3, 4, 0)]

    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in (2, 10, 3):
            file.writestr(f"{number}.bin", record((number, 1, 1, 0)))
        file.writestr("labels.txt", "#sample\t#class\n2\t4\n3\t9\n10\t1\n")
    by_table = find_digits(archive)
    assert by_table.names == ("2.bin", "3.bin", "10.bin")
    assert by_table.labels.tolist() == [4, 9, 1]
    assert by_table.read(2)["t"].tolist() == [10]


def test_no_recording_is_in_two_splits_where_there_are_enough(tmp_path):
    for number in range(20):
        (tmp_path / f"digit3_{number:05d}.bin").write_bytes(record((1, 1, 1, 1)))
    digits = find_digits(tmp_path)
    parts = [digits.indices_of(split, 3).tolist() for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [14, 3, 3]
    assert sorted(itertools.chain(*parts)) == list(range(20))
    assert digits.indices_of("train", 4).tolist() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes .* 5 bytes"),
        (b"1234567", "7 bytes "),
        (
            record((1, 2, 3, 0), (2, 50, 3, 0)),
            "event at byte 5 lies at x=50, y=3, outside of 34x34",
        ),
    ],
)
def test_a_damaged_recording_is_named(tmp_path, content, message):
    (tmp_path / "digit1_1.bin").write_bytes(content)
    with pytest.raises(RecordingError, match=rf"digit1_1.bin: .*{message}"):
        find_digits(tmp_path).read(0)


def test_what_holds_no_recordings_is_named(tmp_path):
    with pytest.raises(RecordingError, match="it does not exist"):
        find_digits(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match=r"has no \*\.bin"):
        find_digits(tmp_path)
    (tmp_path / "some.bin").write_bytes(record((1, 1, 1, 1)))
    with pytest.raises(RecordingError, match=r"has no known digit among its \*\.bin \(1\)"):
        find_digits(tmp_path)
    with pytest.raises(RecordingError, match=r"some\.bin is not a folder or zip file"):
        find_digits(tmp_path / "some.bin")


def test_a_sensor_smaller_than_a_recording_is_refused(shipped):
    options = SceneOptions(**{**OPTIONS, "height": PATCH - 1})
    with pytest.raises(ValueError, match="too small for recordings of 34x34"):
        draw_nmnist_scene(options, shipped, "train", 0)


def test_a_thousand_recordings_are_split_and_their_boxes_fit_the_ink(event_data):
    digits = find_digits(event_data / "nmnist" / "nmnist_train1000.zip")
    assert len(digits.names) == 1000
    assert not digits.is_shared
    images = load_digits("train").images
    off = []
    for number in range(0, 1000, 20):
        image = images[int(digits.names[number].removesuffix(".bin")) - 1] >= 32
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        ink = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        found = find_support(digits.read(number), int(digits.labels[number]))
        off.append(np.subtract(found.box, ink))
    np.testing.assert_allclose(np.mean(off, axis=0), [-1, -1, 1, 1], atol=0.6)
    assert (np.std(off, axis=0) < 1).all()
