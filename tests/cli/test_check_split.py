import json

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.cli.check import CheckOptions, check
from evdet.cli.options import parse
from evdet.cli.split import SplitOptions, split
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.labels.files import write_boxes_npy
from evdet.labels.label_map import FolderError


def run(function, options, *words):
    return function(parse(options, [str(word) for word in words], prog="evdet", summary=""))


@pytest.fixture
def root(tmp_path):
    """Four recordings that are not split yet, one of them twice as long as the others."""
    root = tmp_path / "set"
    root.mkdir()
    for number, name in enumerate("abcd"):
        events = np.zeros(200 if name == "a" else 100, EVENT_DTYPE)
        events["t"] = np.arange(len(events)) * 1000 + number
        events["x"] = number
        write_dat(root / f"{name}_td.dat", [events], SensorSize(60, 80))
        boxes = np.zeros(1, BOX_DTYPE)
        boxes["t"], boxes["w"], boxes["h"], boxes["class_id"] = 50_000, 8, 8, 1
        write_boxes_npy(root / f"{name}_bbox.npy", boxes)
    (root / "label_map_dictionary.json").write_text(json.dumps({0: "car"}))
    return root


def test_a_folder_is_split_and_then_passes_the_check(root, capsys):
    run(split, SplitOptions, root, "--train", 0.6, "--val", 0.2, "--test", 0.2)

    said = capsys.readouterr().out
    assert "train: 2 recordings, 0.3 s (60%)\n  a\n" in said
    assert run(check, CheckOptions, root) == 0
    said = capsys.readouterr().out
    assert "problems: none" in said
    assert "remarks: none" in said
    assert "plain layout; on disk the classes are 0 car" in said
    table = " ".join(said.split("what training uses")[1].split())
    assert table == (
        ", in bins of 50 ms recordings duration events bins labelled car "
        "train 2 0.3 s 300 6 2 2 val 1 0.1 s 100 2 1 1 test 1 0.1 s 100 2 1 1"
    )


def test_a_dry_run_says_the_same_and_does_nothing(root, capsys):
    run(split, SplitOptions, root, "--dry-run")
    planned = capsys.readouterr().out
    assert not (root / "train").exists()

    run(split, SplitOptions, root)

    assert planned == capsys.readouterr().out + "nothing was done: --dry-run\n"


def test_splitting_by_count_opens_no_recording(root, capsys):
    (root / "a_td.dat").write_bytes(b"")

    run(split, SplitOptions, root, "--by", "count", "--how", "link", "--seed", 3)

    assert "train: 2 recordings (50%)" in capsys.readouterr().out
    assert (root / "a_td.dat").exists()


def test_without_a_label_map_a_split_says_what_is_next(root, capsys):
    (root / "label_map_dictionary.json").unlink()
    (root / "b_bbox.npy").unlink()

    run(split, SplitOptions, root)

    said = capsys.readouterr().out
    assert "now name the classes in" in said
    assert "  b (has no labels)" in said


def test_problems_are_the_exit_status_and_long_lists_are_cut(root, capsys):
    run(split, SplitOptions, root)
    for number in range(7):
        (root / f"train/x{number}_bbox.npy").touch()
    capsys.readouterr()

    assert run(check, CheckOptions, root, "--min-box-side", 10) == 1
    said = capsys.readouterr().out
    assert (
        "problems: 7\n  boxes without recording (7)\n    train/x0_bbox.npy: belongs to no" in said
    )
    assert "... and 2 more: --show-all names them" in said
    assert "train: boxes left out: 2 side too short" in said

    assert run(check, CheckOptions, root, "--show-all") == 1
    assert "x6_bbox.npy" in capsys.readouterr().out


def test_a_folder_that_is_none_is_refused(root):
    with pytest.raises(FolderError, match=r"`evdet split .*set`"):
        run(check, CheckOptions, root)
    with pytest.raises(FolderError, match="is a file"):
        run(check, CheckOptions, root / "a_td.dat")
    with pytest.raises(FolderError, match="is a file"):
        run(split, SplitOptions, root / "a_td.dat")


def test_classes_are_chosen_by_name(root):
    run(split, SplitOptions, root)

    assert run(check, CheckOptions, root, "--classes", "car=vehicle", "--no-clip-boxes") == 0
    with pytest.raises(ValueError, match=r"no class 'cat' .*car"):
        run(check, CheckOptions, root, "--classes", "cat")
