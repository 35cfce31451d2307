import numpy as np
import pytest

from evdet.cli.split import SplitOptions, split
from evdet.labels.label_map import FolderError


def test_a_folder_is_split_by_shares_of_time(unsplit, capsys):
    split(SplitOptions(folder=unsplit, train=0.6, val=0.2, test=0.2))

    assert "train: 2 recordings, 0.3 s (60%)\n  a\n" in capsys.readouterr().out
    assert (unsplit / "train" / "a_td.dat").exists()
    assert (unsplit / "train" / "a_bbox.npy").exists()


def test_a_dry_run_says_the_same_and_does_nothing(unsplit, capsys):
    split(SplitOptions(folder=unsplit, dry_run=True))
    planned = capsys.readouterr().out
    assert not (unsplit / "train").exists()

    split(SplitOptions(folder=unsplit))

    done = capsys.readouterr().out
    assert done
    assert planned.startswith(done)


def test_splitting_by_count_opens_no_recording(unsplit, capsys):
    (unsplit / "a_td.dat").write_bytes(b"")

    split(SplitOptions(folder=unsplit, by="count", how="link", seed=3))

    assert "train: 2 recordings (50%)" in capsys.readouterr().out
    assert (unsplit / "a_td.dat").exists()


def test_without_a_label_map_a_split_says_what_is_next(unsplit, capsys):
    (unsplit / "label_map_dictionary.json").unlink()
    (unsplit / "b_bbox.npy").unlink()

    split(SplitOptions(folder=unsplit))

    said = capsys.readouterr().out
    assert str(unsplit / "label_map_dictionary.json") in said
    assert "  b (no labels)" in said


def test_a_path_that_is_not_a_folder_is_refused(unsplit):
    with pytest.raises(FolderError, match=r"a_td\.dat"):
        split(SplitOptions(folder=unsplit / "a_td.dat"))


def test_a_class_that_is_missing_in_a_split_is_named(unsplit, capsys):
    boxes = np.load(unsplit / "a_bbox.npy")
    boxes["class_id"] = 1
    np.save(unsplit / "a_bbox.npy", boxes)
    (unsplit / "label_map_dictionary.json").write_text('{"0": "car", "1": "van"}')

    split(SplitOptions(folder=unsplit))

    said = capsys.readouterr().out
    assert "boxes of car: train 1, val 1, test 1\n" in said
    assert (
        "boxes of van: train 1, val 0, test 0 (missing in val and test: 1 recording with it)"
        in said
    )


def test_labels_that_cannot_be_read_do_not_stop_a_split(unsplit, capsys):
    (unsplit / "a_bbox.npy").write_text("no array")

    split(SplitOptions(folder=unsplit))

    assert "boxes of car: " in capsys.readouterr().out
