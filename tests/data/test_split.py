import itertools
import os

import pytest
from hypothesis import given, strategies as st

from evdet.data.folder import open_folder
from evdet.data.split import do_split, plan_split
from evdet.data.split.shares import assign
from evdet.labels.label_map import FolderError

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
NAMES = ["a", "a_2", "b", "sub/c", "sub/d"]


@pytest.fixture
def root(tmp_path):
    """Five recordings, each with labels and some sidecar of its own, and files of no recording."""
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.with_name(path.name + "_td.dat").write_text(f"events of {name}")
        path.with_name(path.name + "_bbox.npy").write_text(f"boxes of {name}")
    (tmp_path / "b_bbox.labelfreq").write_text("30")
    (tmp_path / ".b_td.dat.index").write_text("index")
    (tmp_path / "label_map_dictionary.json").write_text('{"0": "car"}')
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


def tree(root):
    return {
        str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()
    }


def names(plan):
    return {split: [part.name for part in parts] for split, parts in plan.parts.items()}


def test_every_recording_goes_to_one_split_and_its_files_with_it(root):
    before = tree(root)

    do_split(plan_split(root, shares=SHARES))

    folder = open_folder(root)
    entries = [entry for part in folder.splits.values() for entry in part]
    assert sorted(entry.name for entry in entries) == NAMES
    for entry in entries:
        assert entry.recording.read_text() == f"events of {entry.name}"
        assert entry.boxes.read_text() == f"boxes of {entry.name}"
        if entry.name == "b":
            assert (entry.recording.parent / "b_bbox.labelfreq").exists()
            assert (entry.recording.parent / ".b_td.dat.index").exists()
    after = tree(root)
    assert sorted(after.values()) == sorted(before.values())
    stayed = [name for name in after if "/" not in name]
    assert sorted(stayed) == ["label_map_dictionary.json", "notes.txt"]


def test_a_plan_touches_nothing_and_is_the_same_for_a_seed(root):
    before = tree(root)

    plans = [names(plan_split(root, shares=SHARES, seed=seed)) for seed in (1, 1, 2, 3, 4)]

    assert tree(root) == before
    assert plans[0] == plans[1]
    assert any(plan != plans[0] for plan in plans)
    assert {split: len(parts) for split, parts in plans[0].items()} == {
        "train": 3,
        "val": 1,
        "test": 1,
    }


@pytest.mark.parametrize("how", ["link", "copy"])
def test_links_and_copies_leave_the_originals(root, how):
    before = tree(root)

    do_split(plan_split(root, shares=SHARES), how)

    after = tree(root)
    assert {name: after[name] for name in before} == before
    new = [entry.recording for part in open_folder(root).splits.values() for entry in part]
    assert len(new) == 5
    old = root / "a_td.dat"
    (mine,) = [path for path in new if path.name == "a_td.dat"]
    assert os.path.samefile(old, mine) == (how == "link")


@pytest.mark.parametrize("how", ["move", "link", "copy"])
def test_a_failure_puts_everything_back(root, how, monkeypatch):
    before = tree(root)
    plan = plan_split(root, shares=SHARES)
    # The last file of the plan disappears between planning and doing.
    last = list(plan.parts.values())[-1][-1].files[-1]
    text = last.read_text()
    last.unlink()

    with pytest.raises(OSError, match="No such file"):
        do_split(plan, how)

    last.write_text(text)
    assert tree(root) == before
    assert not (root / "train").exists()


def test_folders_of_frames_go_along(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.raw").touch()
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.txt").touch()

    do_split(plan_split(tmp_path, shares=SHARES), "link")
    do_split_again = plan_split  # a second split is refused, whatever the first left behind
    with pytest.raises(FolderError, match=r"train exists already"):
        do_split_again(tmp_path, shares=SHARES)

    assert sorted(path.parent.name for path in tmp_path.glob("*/*/0.txt")) == ["a", "b", "c"]


def test_links_still_lead_to_their_files_after_a_move(tmp_path):
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    (elsewhere / "x.raw").write_text("events")
    root = tmp_path / "set"
    root.mkdir()
    (root / "a.raw").symlink_to("../disk/x.raw")

    do_split(plan_split(root, shares={"train": 1.0}))

    assert (root / "train/a.raw").read_text() == "events"
    assert not (root / "a.raw").is_symlink()


def test_what_appears_while_recordings_are_read_goes_along(root):
    def weigh(path):
        path.with_name(f"{path.name}.evdet-index").touch()
        return 1

    do_split(plan_split(root, shares={"train": 1.0}, weigh=weigh))

    assert len(list((root / "train").rglob("*.evdet-index"))) == 5
    assert not list(root.glob("*.evdet-index"))


def test_recordings_are_shared_by_weight(root):
    plan = plan_split(
        root,
        shares={"train": 0.5, "test": 0.5},
        weigh=lambda path: 40 if path.name == "a_td.dat" else 10,
    )

    assert plan.share("train") == plan.share("test") == 0.5
    assert sorted(map(len, names(plan).values())) == [1, 4]


def test_a_share_of_zero_makes_no_split(root):
    assert set(names(plan_split(root, shares={"train": 1.0, "val": 1.0, "test": 0.0}))) == {
        "train",
        "val",
    }


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (
            {"train": -1.0, "val": 1.0},
            "shares must be 0 or more and not all 0, got train -1, val 1",
        ),
        ({"train": 0.0}, "not all 0"),
        ({"train": float("nan")}, "got train nan"),
    ],
)
def test_silly_shares_are_refused(root, shares, message):
    with pytest.raises(ValueError, match=message):
        plan_split(root, shares=shares)


def test_folders_that_cannot_be_split_are_refused(tmp_path):
    with pytest.raises(FolderError, match="nowhere does not exist"):
        plan_split(tmp_path / "nowhere", shares=SHARES)
    with pytest.raises(FolderError, match="has 0 recordings for the splits train, val, test"):
        plan_split(tmp_path, shares=SHARES)
    (tmp_path / "a.raw").touch()
    with pytest.raises(FolderError, match="is a file"):
        plan_split(tmp_path / "a.raw", shares=SHARES)
    with pytest.raises(FolderError, match=r"has 1 recordings for the splits train, val, test"):
        plan_split(tmp_path, shares=SHARES)


@given(
    st.lists(st.integers(1, 1000), min_size=3, max_size=40),
    st.integers(0, 9),
)
def test_every_thing_is_dealt_once_and_no_share_goes_empty(weights, seed):
    shares = [0.7, 0.2, 0.1]

    assigned = assign(weights, shares, seed)

    assert sorted(itertools.chain(*assigned)) == list(range(len(weights)))
    assert all(assigned)


@given(
    st.lists(st.tuples(st.integers(1, 1000), *[st.integers(0, 3)] * 4), min_size=6, max_size=30),
    st.integers(0, 9),
)
def test_a_class_of_many_things_is_missing_from_no_share(things, seed):
    weights, counts = [thing[0] for thing in things], [thing[1:] for thing in things]

    assigned = assign(weights, [0.6, 0.2, 0.2], seed, counts)

    assert sorted(itertools.chain(*assigned)) == list(range(len(things)))
    assert all(assigned)
    for k in range(4):
        if sum(count[k] > 0 for count in counts) >= len(things) - 1:
            assert all(any(counts[i][k] for i in items) for items in assigned)


def test_a_class_of_three_recordings_is_in_every_split(root):
    rare = {"a": {"cat": 5}, "b": {"cat": 1}, "sub/c": {"cat": 2}}

    plan = plan_split(
        root, shares=SHARES, count_boxes=lambda entry: {"car": 10, **rare.get(entry.name, {})}
    )

    assert all(plan.num_boxes(split)["cat"] > 0 for split in SHARES)
    assert sum(plan.num_boxes(split)["car"] for split in SHARES) == 50


def test_a_class_of_one_recording_is_counted_where_it_is(root):
    plan = plan_split(
        root, shares=SHARES, count_boxes=lambda e: {"cat": 3} if e.name == "a" else {}
    )

    assert sorted(plan.num_boxes(split)["cat"] for split in SHARES) == [0, 0, 3]


@given(st.integers(20, 200), st.integers(0, 9))
def test_equal_things_are_dealt_as_asked(count, seed):
    assigned = assign([1] * count, [0.7, 0.15, 0.15], seed)

    for mine, share in zip(assigned, (0.7, 0.15, 0.15), strict=True):
        assert abs(len(mine) - share * count) < 1
