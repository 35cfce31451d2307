import itertools
import os
import time

import pytest
from hypothesis import given, strategies as st

from evdet.data.folder import open_folder
from evdet.data.split import SPLIT_JOURNAL, do_split, journal, plan_split, steps, undo_split
from evdet.data.split.journal import Journal
from evdet.data.split.shares import assign
from evdet.labels.label_map import FolderError
from evdet.processes import held

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
    with pytest.raises(
        FolderError, match=r"splits train, val, test need a recording each, and .* has 0"
    ):
        plan_split(tmp_path, shares=SHARES)
    (tmp_path / "a.raw").touch()
    with pytest.raises(FolderError, match="is a file"):
        plan_split(tmp_path / "a.raw", shares=SHARES)
    with pytest.raises(
        FolderError, match=r"splits train, val, test need a recording each, and .* has 1"
    ):
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


class Killed(BaseException):
    """As a kill: nothing that follows runs."""


@pytest.fixture
def big(root):
    """The five recordings, with a folder of labels, a relative link and a folder of frames."""
    (root / "b").mkdir()
    (root / "b" / "0.txt").write_text("labels of b")
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "x.bin").write_text("events of x")
    (root / "x.bin").symlink_to("elsewhere/x.bin")
    return root


def whole_tree(root):
    """Every entry below a folder: its content, or where it leads."""
    return {
        str(path.relative_to(root)): os.readlink(path)
        if path.is_symlink()
        else path.read_text()
        if path.is_file()
        else None
        for path in root.rglob("*")
    }


def kill_at(monkeypatch, number, *, after):
    """Kill a split before or after the step of a number, without any cleaning."""
    done = itertools.count()
    place, undo = steps._place, Journal.undo

    def counted(source, target, how):
        is_it = next(done) == number
        if is_it and not after:
            raise Killed
        place(source, target, how)
        if is_it:
            raise Killed

    def dead(self):
        raise Killed

    monkeypatch.setattr(steps, "_place", counted)
    monkeypatch.setattr(Journal, "undo", dead)

    def revive():
        monkeypatch.setattr(steps, "_place", place)
        monkeypatch.setattr(Journal, "undo", undo)

    return revive


@pytest.mark.parametrize("how", ["move", "link", "copy"])
def test_a_split_that_is_killed_after_any_step_is_undone(big, how, monkeypatch):
    before = whole_tree(big)
    plan = plan_split(big, shares=SHARES)
    num_steps = sum(len(part.files) for parts in plan.parts.values() for part in parts)
    for number in range(num_steps):
        for after in (False, True):
            revive = kill_at(monkeypatch, number, after=after)
            with pytest.raises(Killed):
                do_split(plan, how)
            revive()
            with pytest.raises(FolderError, match="split halfway"):
                open_folder(big)
            with pytest.raises(FolderError, match="unfinished split"):
                plan_split(big, shares=SHARES)

            assert undo_split(big) is not None
            assert whole_tree(big) == before
    assert undo_split(big) is None
    do_split(plan, how)
    assert not (big / SPLIT_JOURNAL).exists()


@pytest.mark.parametrize("how", ["move", "link", "copy"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, OSError])
def test_an_exception_of_any_kind_undoes_a_split_at_once(big, how, kind, monkeypatch):
    before = whole_tree(big)
    plan = plan_split(big, shares=SHARES)
    place, done = steps._place, itertools.count()

    def interrupted(source, target, how):
        if next(done) == 7:
            raise kind(28, "No space left on device")
        place(source, target, how)

    monkeypatch.setattr(steps, "_place", interrupted)
    with pytest.raises(kind):
        do_split(plan, how)
    assert whole_tree(big) == before


def test_a_full_disk_is_one_line_that_names_the_file(root, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(steps.shutil, "copyfile", full)
    before = tree(root)
    with pytest.raises(OSError, match=r"^cannot write .*train.a_2_bbox\.npy: No space left on"):
        do_split(plan_split(root, shares=SHARES), "copy")
    assert tree(root) == before


def test_a_journal_that_cannot_be_written_stops_a_split_before_its_first_step(root, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = tree(root)
    monkeypatch.setattr(journal, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        do_split(plan_split(root, shares=SHARES))
    assert tree(root) == before


def test_a_copy_whose_original_is_gone_is_not_removed(root, monkeypatch):
    plan = plan_split(root, shares={"train": 1.0})
    revive = kill_at(monkeypatch, 4, after=True)
    with pytest.raises(Killed):
        do_split(plan, "copy")
    revive()
    (root / "a_td.dat").unlink()

    with pytest.raises(FolderError, match=r"a_td\.dat is gone, so that .*a_td\.dat stays"):
        undo_split(root)
    assert (root / "train" / "a_td.dat").read_text() == "events of a"


def test_half_a_copy_of_a_killed_split_is_removed(root, monkeypatch):
    before = tree(root)
    plan = plan_split(root, shares={"train": 1.0})
    revive = kill_at(monkeypatch, 1, after=True)
    with pytest.raises(Killed):
        do_split(plan, "copy")
    revive()
    (root / "train" / ".b_td.dat.0123456789abcdef.part").write_text("ev")

    undo_split(root)
    assert tree(root) == before
    assert not (root / "train").exists()


def test_a_file_that_came_back_is_not_replaced(root, monkeypatch):
    plan = plan_split(root, shares={"train": 1.0})
    revive = kill_at(monkeypatch, 1, after=True)
    with pytest.raises(Killed):
        do_split(plan)
    revive()
    (root / "a_td.dat").write_text("new")

    with pytest.raises(FolderError, match="both exist"):
        undo_split(root)
    assert (root / "a_td.dat").read_text() == "new"


def test_of_two_splits_at_once_the_second_is_refused(root):
    plan = plan_split(root, shares=SHARES)
    with held(root), pytest.raises(FolderError, match="being split by another process"):
        do_split(plan)
    (root / SPLIT_JOURNAL).write_text("{}")
    with held(root), pytest.raises(FolderError, match="being split by another process"):
        undo_split(root)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        '{"how": "move", "parts": [], "links": {}}',
        '{"how": "burn", "parts": {}, "links": {}}',
        '{"how": "move", "parts": {"..": ["a"]}, "links": {}}',
        '{"how": "move", "parts": {"train": ["../victim"]}, "links": {}}',
        '{"how": "move", "parts": {"train": ["/etc/passwd"]}, "links": {}}',
        '{"how": "copy", "parts": {"train/../..": ["a"]}, "links": {}}',
        '{"how": "move", "parts": {"train": [3]}, "links": {}}',
        '{"how": "move", "parts": {"train": ["out/secret"]}, "links": {}}',
        '{"how": "copy", "parts": {"out": ["secret"]}, "links": {}}',
        "[" * 100_000,
    ],
)
def test_a_journal_from_elsewhere_touches_no_file_outside(tmp_path, content):
    outside, root = tmp_path / "outside", tmp_path / "set"
    outside.mkdir()
    root.mkdir()
    (tmp_path / "victim").write_text("untouched")
    (outside / "secret").write_text("untouched")
    (root / "out").symlink_to(outside)
    (root / "train").mkdir()
    (root / "train" / "out").mkdir()
    (root / "train" / "out" / "secret").write_text("evil")
    (root / "secret").write_text("evil")
    (root / SPLIT_JOURNAL).write_text(content)
    before = tree(tmp_path)

    with pytest.raises(FolderError):
        undo_split(root)
    assert tree(tmp_path) == before


def test_copies_have_the_dates_of_the_originals_and_the_permissions_of_new_files(root):
    os.utime(root / "a_td.dat", ns=(10**18, 10**18))
    before = os.umask(0o077)
    try:
        do_split(plan_split(root, shares={"train": 1.0}), "copy")
    finally:
        os.umask(before)
    status = (root / "train" / "a_td.dat").stat()
    assert (status.st_mtime_ns, status.st_mode & 0o777) == (10**18, 0o600)


def test_plans_of_many_recordings_take_time_in_proportion(tmp_path):
    took = []
    for number in (1000, 4000):
        folder = tmp_path / str(number)
        folder.mkdir()
        for index in range(number):
            (folder / f"r{index}.raw").touch()
        began = time.process_time()
        plan_split(folder, shares=SHARES)
        took.append(time.process_time() - began)
    assert took[1] < 9 * took[0]
