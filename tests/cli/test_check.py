import pytest

from evdet.cli.check import CheckOptions, check
from evdet.cli.split import SplitOptions, split
from evdet.labels.label_map import FolderError


@pytest.fixture
def root(unsplit):
    """Four recordings in train/, val/ and test/."""
    split(SplitOptions(folder=unsplit, train=0.6, val=0.2, test=0.2))
    return unsplit


def test_a_split_folder_passes_the_check(root, capsys):
    capsys.readouterr()
    assert check(CheckOptions(folder=root)) == 0
    said = capsys.readouterr().out
    assert "problems: none" in said
    assert "remarks: none" in said
    assert "plain layout" in said
    assert "0 car" in said
    assert " ".join(said.split("time bins of 50 ms")[1].split()) == (
        "recordings duration events time bins labeled car "
        "train 2 0.3 s 300 6 2 2 val 1 0.1 s 100 2 1 1 test 1 0.1 s 100 2 1 1"
    )


def test_problems_are_the_exit_status_and_long_lists_are_cut(root, capsys):
    for number in range(7):
        (root / f"train/x{number}_bbox.npy").touch()
    capsys.readouterr()

    assert check(CheckOptions(folder=root, min_box_side=10.0)) == 1
    said = capsys.readouterr().out
    assert "problems: 9\n" in said
    assert "  boxes without recording (7)\n    train/x0_bbox.npy: " in said
    assert "no objects (2)\n" in said
    assert "... and 2 more: --show-all" in said
    assert "x6_bbox.npy" not in said
    assert "2 side too short" in said

    assert check(CheckOptions(folder=root, show_all=True)) == 1
    assert "x6_bbox.npy" in capsys.readouterr().out


def test_a_path_that_is_not_a_split_folder_is_refused(unsplit):
    with pytest.raises(FolderError, match=r"`evdet split .*set`"):
        check(CheckOptions(folder=unsplit))
    with pytest.raises(FolderError, match=r"a_td\.dat"):
        check(CheckOptions(folder=unsplit / "a_td.dat"))


def test_classes_are_chosen_by_name(root):
    assert check(CheckOptions(folder=root, classes=("car=vehicle",), clip_boxes=False)) == 0
    with pytest.raises(ValueError, match="'cat'"):
        check(CheckOptions(folder=root, classes=("cat",)))


def test_the_size_of_recordings_with_a_wrong_one_can_be_given(root, capsys):
    for path in root.glob("*/*_td.dat"):
        content = path.read_bytes()
        start = content.index(b"% Width")
        stop = content.index(b"\x0c\x08")
        path.write_bytes(content[:start] + b"% Width 2\n% Height 2\n" + content[stop:])
    assert check(CheckOptions(folder=root)) == 1
    assert "outside the sensor 2x2" in capsys.readouterr().out
    assert check(CheckOptions(folder=root, sensor_size="64x48")) == 0
    with pytest.raises(ValueError, match="--sensor-size"):
        check(CheckOptions(folder=root, sensor_size="wide"))
