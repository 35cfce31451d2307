import subprocess
import sys

import numpy as np
import pytest
import yaml

from evdet.data.folder import open_folder, read_labels
from evdet.events.recording import open_recording
from evdet.synthetic.scenes.scene import SceneOptions, draw_scene, play_scene
from evdet.synthetic.simulated_folder import (
    SimulationPlan,
    is_simulated,
    share_out,
    write_simulated_folder,
)

SCENES = {"height": 36, "width": 44, "seconds": 0.3, "frame_rate": 200.0}
SPLITS = ("train", "val", "test")


def plan(*, kind="digits", **changes):
    return SimulationPlan(scenes=SceneOptions(kind=kind, **SCENES), **changes)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["digits", "shapes", "nmnist"])
def test_the_folder_is_a_data_set_as_the_readers_want_it(tmp_path, kind):
    write_simulated_folder(tmp_path / "set", plan(kind=kind, train=2))

    folder = open_folder(tmp_path / "set")
    assert [len(folder.splits[split]) for split in SPLITS] == [2, 1, 1]
    expected = ["circle", "square", "triangle", "cross"] if kind == "shapes" else "0123456789"
    assert list(folder.label_map.values()) == list(expected)
    for split in SPLITS:
        for entry in folder.splits[split]:
            recording = open_recording(entry.recording)
            assert recording.size == (36, 44)
            assert recording.end <= 300_000
            boxes = read_labels(entry, folder, recording).boxes
            assert set(boxes["t"]) <= set(range(50_000, 300_001, 50_000))
            assert (boxes["class_id"] >= 1).all()
            assert (boxes["still_us"] >= 0).all()
            assert len(boxes) >= 6


@pytest.mark.parametrize("file_format", ["dat", "raw", "hdf5"])
def test_files_hold_the_events_and_boxes_of_the_scene_in_any_format(tmp_path, file_format):
    made = plan(file_format=file_format, val=0, test=0)
    write_simulated_folder(tmp_path / "set", made)

    pieces = list(play_scene(draw_scene(made.scenes, made.sensor, "train", 0), 50_000))
    folder = open_folder(tmp_path / "set", splits=["train"])
    [entry] = folder.splits["train"]
    recording = open_recording(entry.recording)
    events = np.concatenate([piece.events for piece in pieces])
    np.testing.assert_array_equal(np.concatenate(list(recording.blocks())), events)
    assert recording.size == (36, 44)
    boxes = np.concatenate([piece.boxes for piece in pieces])
    np.testing.assert_array_equal(read_labels(entry, folder, recording).boxes, boxes)
    on_disk = np.load(entry.boxes)
    np.testing.assert_array_equal(on_disk["class_id"], boxes["class_id"] - 1)
    assert on_disk.dtype.names[-1] == "still_us"


def test_the_same_plan_makes_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        scenes = SceneOptions(**SCENES, seed=seed)
        write_simulated_folder(tmp_path / name, SimulationPlan(scenes=scenes))
    one, two, other = (contents(tmp_path / name) for name in ("one", "two", "other"))
    # A DAT file states when it was written.
    dat = "train/digits_train_0000_td.dat"
    first, second = (np.concatenate(list(open_recording(tmp_path / name / dat).blocks()))
                     for name in ("one", "two"))  # fmt: skip
    np.testing.assert_array_equal(first, second)
    assert one.keys() == two.keys() == other.keys()
    for name in one:
        assert one[name] == two[name] or name.endswith(".dat")
    assert other[dat][-200:] != one[dat][-200:]


def test_what_made_it_is_written_down(tmp_path):
    write_simulated_folder(tmp_path / "set", plan(test=2))
    content = yaml.safe_load((tmp_path / "set" / "simulation.yaml").read_text())
    assert content["scenes"]["height"] == 36
    assert content["sensor"]["threshold_on"] == 0.25
    assert (content["train"], content["val"], content["test"]) == (1, 1, 2)


def test_each_recording_is_told_of_and_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    told = []
    write_simulated_folder(tmp_path / "set", plan(), on_recording=told.append)
    assert told == ["digits_train_0000", "digits_val_0000", "digits_test_0000"]
    assert len(contents(tmp_path / "set")) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"set is not empty\. Name another folder"):
        write_simulated_folder(tmp_path / "set", plan())
    assert contents(tmp_path) == {"set/thesis.txt": b"mine"}
    with pytest.raises(ValueError, match=r"thesis.txt is a file"):
        write_simulated_folder(tmp_path / "set" / "thesis.txt", plan())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_before_the_first_recording_leaves_nothing_behind(tmp_path, stop, monkeypatch):
    def interrupted(*_):
        raise stop

    monkeypatch.setattr("evdet.synthetic.simulated_folder.play_scene", interrupted)
    with pytest.raises(stop):
        write_simulated_folder(tmp_path / "set", plan())
    assert list(tmp_path.iterdir()) == []


def stopped_after(num_recordings):
    names = []

    def stop(name):
        names.append(name)
        if len(names) == num_recordings:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("num_recordings", [1, 3])
def test_what_was_stopped_goes_on_and_is_the_folder_of_one_that_was_not(tmp_path, num_recordings):
    write_simulated_folder(tmp_path / "whole", plan(train=2))
    with pytest.raises(KeyboardInterrupt):
        write_simulated_folder(
            tmp_path / "set", plan(train=2), on_recording=stopped_after(num_recordings)
        )
    assert not (tmp_path / "set").exists()
    part = tmp_path / ".set.unfinished"
    first = part / "train" / "digits_train_0000_td.dat"
    made = first.stat().st_mtime_ns
    # What a killed process leaves: a recording without its boxes, and a temporary file.
    (part / "test" / "digits_test_0000_td.dat").write_bytes(b"half")
    (part / "test" / ".x_td.dat.0123456789abcdef.part").write_bytes(b"half")
    told = []
    num_before = write_simulated_folder(tmp_path / "set", plan(train=2), on_recording=told.append)
    assert (num_before, len(told)) == (num_recordings, 4)
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")
    assert (tmp_path / "set/train/digits_train_0000_td.dat").stat().st_mtime_ns == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "whole"]
    assert is_simulated(tmp_path / "set", plan(train=2))
    assert not is_simulated(tmp_path / "set", plan(train=3))


def test_another_plan_does_not_continue_what_was_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_simulated_folder(tmp_path / "set", plan(), on_recording=stopped_after(1))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"begun with other settings: val 1, now 2\. Repeat"):
        write_simulated_folder(tmp_path / "set", plan(val=2))
    assert contents(tmp_path) == before


def test_too_few_recordings_and_workers_and_wrong_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        write_simulated_folder(tmp_path / "set", plan(), workers=0)
    with pytest.raises(ValueError, match="train, val and test are all 0"):
        plan(train=0, val=0, test=0)
    with pytest.raises(ValueError, match="val must be 0 or more, got -1"):
        plan(val=-1)
    with pytest.raises(ValueError, match="format must be one of dat, raw, hdf5, got 'csv'"):
        plan(file_format="csv")
    with pytest.raises(ValueError, match="digits are for kind nmnist, and kind is digits"):
        plan(digits=tmp_path)


@pytest.mark.parametrize(
    ("count", "shares"), [(3, (1, 1, 1)), (7, (5, 1, 1)), (20, (14, 3, 3)), (60, (42, 9, 9))]
)
def test_recordings_are_shared_out(count, shares):
    assert share_out(count) == shares


def test_fewer_than_one_recording_for_each_split_are_refused():
    with pytest.raises(ValueError, match="count must be at least 3"):
        share_out(2)


@pytest.mark.slow
def test_workers_change_nothing(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from evdet.synthetic.simulated_folder import *\n"
        "from evdet.synthetic.scenes.scene import SceneOptions\n"
        f"plan = SimulationPlan(scenes=SceneOptions(**{SCENES}), train=3, file_format='raw')\n"
        "if __name__ == '__main__':\n"
        "    for workers in (1, 2):\n"
        "        out = Path(sys.argv[1]) / str(workers)\n"
        "        write_simulated_folder(out, plan, workers=workers)\n"
    )
    (tmp_path / "script.py").write_text(script)
    subprocess.run([sys.executable, tmp_path / "script.py", tmp_path / "out"], check=True)
    assert contents(tmp_path / "out" / "1").keys() == contents(tmp_path / "out" / "2").keys()
    for path in sorted((tmp_path / "out" / "1").rglob("*.raw")):
        other = tmp_path / "out" / "2" / path.relative_to(tmp_path / "out" / "1")
        first, second = (np.concatenate(list(open_recording(p).blocks())) for p in (path, other))
        np.testing.assert_array_equal(first, second)
