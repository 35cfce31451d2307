"""No output is an input or another output, however its path is written."""

import os

import pytest

from evdet.atomic_file import replacing
from evdet.outputs import (
    check_folder_apart,
    dataset_files,
    label_maps_of,
    prepare_files,
    recording_files,
    run_files,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("drive_td.dat", "drive_bbox.npy", "other.npy", "label_map_dictionary.json"):
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "deep").mkdir()
    (tmp_path / "below" / "deep" / "x.csv").touch()
    return tmp_path


def test_nothing_and_new_files_pass(folder):
    prepare_files([])
    prepare_files([None], read=[None, folder / "missing"])
    prepare_files([folder / "new.csv", folder / "below/new.csv"], read=[folder / "below"])
    check_folder_apart(None, read=[folder])
    check_folder_apart(folder, read=[folder / "below", folder / "drive_td.dat", None])


@pytest.mark.parametrize(
    "name", ["drive_td.dat", "./drive_td.dat", "below/../drive_td.dat", "soft", "soft2", "hard"]
)
def test_an_input_is_recognised_by_path_link_and_hard_link(folder, name):
    (folder / "soft").symlink_to("drive_td.dat")
    (folder / "soft2").symlink_to("soft")
    (folder / "hard").hardlink_to(folder / "drive_td.dat")
    for read in ("drive_td.dat", "soft2", "hard"):
        with pytest.raises(ValueError, match=r"cannot write .*it is read; name another file"):
            prepare_files([folder / name], read=[folder / read])
        with pytest.raises(ValueError, match="it is read"):
            prepare_files([], derived=[folder / name], read=[folder / read])


@pytest.mark.parametrize("name", ["below/deep/x.csv", "soft", "hard"])
def test_every_file_below_a_folder_that_is_read_is_an_input(folder, name):
    (folder / "soft").symlink_to("below/deep/x.csv")
    (folder / "hard").hardlink_to(folder / "below/deep/x.csv")
    (folder / "link").symlink_to("below")
    for read in ("below", "link"):
        with pytest.raises(ValueError, match=f"it is read, as a file of .*{read}"):
            prepare_files([folder / name], read=[folder / read])


@pytest.mark.parametrize(
    "names", [("a.csv", "a.csv"), ("a.csv", "below/../a.csv"), ("a.csv", "soft")]
)
def test_two_outputs_are_two_files(folder, names):
    (folder / "soft").symlink_to("a.csv")
    with pytest.raises(ValueError, match="named twice as an output"):
        prepare_files([folder / name for name in names])
    with pytest.raises(ValueError, match="named twice as an output"):
        prepare_files([folder / names[0]], derived=[folder / names[1]])


def test_hard_links_to_one_file_are_two_outputs(folder):
    # Such are best.ckpt and last.ckpt; each is replaced without the other.
    (folder / "last.ckpt").touch()
    (folder / "best.ckpt").hardlink_to(folder / "last.ckpt")
    prepare_files([], derived=[folder / "best.ckpt", folder / "last.ckpt"])


def test_a_link_to_nothing_is_no_input(folder):
    (folder / "soft").symlink_to("missing")
    prepare_files([folder / "soft"], read=[folder / "missing", folder / "drive_td.dat"])


def test_a_folder_for_results_does_not_lie_in_what_is_read(folder):
    (folder / "link").symlink_to("below/deep")
    for name in ("below", "below/new", "link", "link/new"):
        with pytest.raises(ValueError, match=r"cannot write to .*which is read"):
            check_folder_apart(folder / name, read=[folder / "below"])
    check_folder_apart(folder / "below2", read=[folder / "below"])


def test_leftovers_beside_outputs_are_removed(folder):
    with replacing(folder / "x.csv") as part:
        name = part.name
    (folder / name).touch()
    prepare_files([folder / "y.csv"])
    assert (folder / name).exists()
    prepare_files([folder / "x.csv"])
    assert not (folder / name).exists()


def test_labels_label_map_and_index_belong_to_a_recording(folder):
    (folder / "drive_labels").mkdir()
    (folder / "drive.mp4").touch()
    found = {path.name for path in recording_files(folder / "drive_td.dat")}
    assert found >= {"drive_td.dat", "drive_td.dat.evdet-index", "drive_bbox.npy", "drive_labels"}
    assert "label_map_dictionary.json" in found
    assert not found & {"other.npy", "drive.mp4"}
    assert recording_files(None) == label_maps_of(None) == []


def test_the_boxes_of_a_sequence_of_dsec_belong_to_it(folder):
    recording = folder / "interlaken/events/left/events.h5"
    tracks = folder / "interlaken/object_detections/left/tracks.npy"
    for path in (recording, tracks):
        path.parent.mkdir(parents=True)
        path.touch()
    assert tracks in recording_files(recording)


def test_the_splits_and_the_label_map_belong_to_a_data_set(folder):
    for name in ("set/train/a_bbox.npy", "set/HDF5/x", "set/notes.json", "set/simulation.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    read = dataset_files(folder / "set")
    for name in ("set/train/a_bbox.npy", "set/simulation.yaml"):
        with pytest.raises(ValueError, match="it is read"):
            prepare_files([folder / name], read=read)
    prepare_files([folder / "set/notes.json"], read=read)
    assert dataset_files(folder / "missing") == dataset_files(None) == []


def test_the_files_of_a_run_belong_to_its_checkpoint(folder):
    run = folder / "run"
    names = ("config.yaml", "training.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt",
             "evaluation/evaluation.json", "speed.json", "demo.mp4", "report.html")  # fmt: skip
    for name in (*names, "mine.json"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    for given in (run, run / "checkpoints/best.ckpt"):
        for name in names:
            with pytest.raises(ValueError, match="it is read"):
                prepare_files([run / name], read=run_files(given))
        prepare_files([run / "mine.json", run / "new.json"], read=run_files(given))
        prepare_files([run / "speed.json"], read=run_files(given, but=["speed_file"]))
    assert run_files(None) == run_files(folder / "events-digits") == []


def test_a_checkpoint_outside_a_run_is_alone(folder):
    (folder / "g.ckpt").touch()
    (folder / "logs").mkdir()
    (folder / "logs" / "scores.json").touch()
    prepare_files([folder / "logs" / "scores.json"], read=run_files(folder / "g.ckpt"))
    with pytest.raises(ValueError, match="it is read"):
        prepare_files([folder / "g.ckpt"], read=run_files(folder / "g.ckpt"))


def test_paths_relative_to_the_current_folder_are_compared_too(folder):
    from pathlib import Path

    with pytest.raises(ValueError, match="it is read"):
        prepare_files([Path("drive_td.dat")], read=[folder / "drive_td.dat"])
    os.chdir("below")
    with pytest.raises(ValueError, match="it is read"):
        prepare_files([Path("../drive_td.dat")], read=[folder / "drive_td.dat"])
