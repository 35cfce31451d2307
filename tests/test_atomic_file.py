import errno
import multiprocessing
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from evdet.atomic_file import (
    WriteError,
    continued_folder,
    filling_folder,
    remove_leftovers,
    replacing,
    replacing_folder,
    temporary_folder,
    write_bytes,
    write_error,
    write_text,
)
from evdet.boxes import BOX_DTYPE
from evdet.config import DetectionConfig, write_config
from evdet.detectors import CheckpointError
from evdet.draw import VideoWriter, write_video
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.dat import write_dat
from evdet.events.hdf5 import write_dsec
from evdet.events.raw import write_evt3
from evdet.labels import BoxWriter, LabeledTimes, write_boxes_npy
from evdet.labels.files import write_boxes_coco
from evdet.report import RunReport, write_report
from evdet.training.checkpoint_io import AtomicCheckpointIO

FULL_DISK = """
import resource, signal, sys
from evdet.atomic_file import replacing, write_bytes

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
if sys.argv[2] == "function":
    write_bytes(sys.argv[1], bytes(2000))
else:
    with replacing(sys.argv[1]) as part, part.open("wb") as file:
        for _ in range(200):
            file.write(bytes(10))
"""


@pytest.fixture
def old(tmp_path):
    """A file that is there already, alone in its folder."""
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_empty_content_is_an_empty_file(tmp_path):
    write_bytes(tmp_path / "a", b"")
    write_text(tmp_path / "b", "")
    with replacing(tmp_path / "c"):
        pass
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"", b"", b""]
    assert names_in(tmp_path) == ["a", "b", "c"]


def test_a_file_has_what_was_written_and_nothing_lies_beside_it(old, tmp_path):
    write_text(old, "t,x\näöü\n")
    assert old.read_bytes() == "t,x\näöü\n".encode()
    write_bytes(str(old), b"\0\xff")
    assert old.read_bytes() == b"\0\xff"
    with replacing(old) as part:
        part.write_bytes(b"new")
    assert old.read_bytes() == b"new"
    assert names_in(tmp_path) == ["x.csv"]


def test_until_the_end_the_old_file_is_there(old):
    with replacing(old) as part:
        part.write_bytes(b"half")
        assert part.parent == old.parent
        assert part.suffix == ".part"
        assert part.name.startswith(".x.csv.")
        assert old.read_bytes() == b"old"


def test_whoever_has_the_old_file_open_reads_on_in_it(old):
    with old.open("rb") as file:
        write_bytes(old, b"new")
        assert file.read() == b"old"


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_after_an_exception_there_is_the_old_file_alone(old, tmp_path, kind):
    def fail(part):
        part.write_bytes(b"half")
        raise kind("reason")

    with pytest.raises(kind, match="reason"), replacing(old) as part:
        fail(part)
    assert old.read_bytes() == b"old"
    assert names_in(tmp_path) == ["x.csv"]


@pytest.mark.parametrize("way", ["function", "block"])
def test_a_full_disk_leaves_the_old_file_and_is_named(old, tmp_path, way):
    failed = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(old), way], capture_output=True, text=True
    )
    assert failed.stderr.splitlines()[-1].endswith(f"cannot write {old}: File too large")
    assert old.read_bytes() == b"old"
    assert names_in(tmp_path) == ["x.csv"]


def test_a_killed_process_leaves_the_old_file(old):
    script = (
        "import os, sys; from evdet.atomic_file import replacing\n"
        "with replacing(sys.argv[1]) as part:\n"
        "    part.write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(old)])
    assert killed.returncode == -signal.SIGKILL
    assert old.read_bytes() == b"old"


def test_a_folder_that_is_missing_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "nowhere" / "x.csv"
    with pytest.raises(WriteError) as caught:
        write_text(path, "x")
    assert str(caught.value) == f"cannot write {path}: No such file or directory"
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(path)
    assert isinstance(caught.value, OSError)


def test_the_file_is_named_as_the_user_named_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    with pytest.raises(WriteError, match=r"^cannot write x: Is a directory$"), replacing("x"):
        pass
    with pytest.raises(WriteError, match=r"^cannot write x: Is a directory$"):
        write_text("x", "")
    with pytest.raises(WriteError, match=r"^cannot write missing/x: No such file or directory$"):
        write_text("missing/x", "")
    assert list((tmp_path / "x").iterdir()) == []


def test_an_error_of_another_file_stays_what_it_is(old, tmp_path):
    with pytest.raises(FileNotFoundError) as caught, replacing(old):
        (tmp_path / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "source")
    assert names_in(tmp_path) == ["x.csv"]


def test_an_error_without_a_number_keeps_its_words(old):
    message = "9 requested and 3 written"
    with pytest.raises(WriteError, match=rf"cannot write .*x\.csv: {message}$"), replacing(old):
        raise OSError(message)


def test_a_library_s_own_words_give_way_to_those_of_the_system():
    error = write_error("x.h5", OSError(errno.ENOSPC, "Can't write (fd = 3, buf = 0x560ef5)"))
    assert str(error) == "cannot write x.h5: No space left on device"
    unknown = write_error("x.mp4", OSError(1094995529, "Invalid data"))
    assert str(unknown) == "cannot write x.mp4: Invalid data"


def test_an_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(WriteError(28, "No space left on device", "x.csv")))
    assert (str(error), error.errno) == ("cannot write x.csv: No space left on device", 28)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_permissions_are_those_of_any_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "x", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


def test_two_files_in_work_have_different_names(old):
    with replacing(old) as first, replacing(old) as second:
        assert first != second
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert old.read_bytes() == b"first"  # it ended last


def test_links_under_names_that_can_be_guessed_are_not_followed(old, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    guesses = (".x.csv.part", "x.csv.part", f".x.csv.{os.getpid()}.part")
    for name in guesses:
        (tmp_path / name).symlink_to(victim)
    write_bytes(old, b"new")
    assert victim.read_bytes() == b"untouched"
    assert names_in(tmp_path) == sorted([*guesses, "victim", "x.csv"])


def test_a_link_that_lies_under_the_very_name_is_an_error(old, tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / f".x.csv.{'00' * 8}.part").symlink_to(victim)
    with pytest.raises(WriteError, match=r"cannot write .*x\.csv: File exists"):
        write_bytes(old, b"new")
    assert victim.read_bytes() == b"untouched"
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127])
def test_the_longest_names_can_be_written(tmp_path, name):
    write_text(tmp_path / name, "x")
    assert names_in(tmp_path) == [name]


def test_a_link_is_replaced_by_a_block_and_followed_by_a_function(old, tmp_path):
    (tmp_path / "below").mkdir()
    link = tmp_path / "below" / "link"
    link.symlink_to("../x.csv")
    write_bytes(link, b"through")
    assert link.is_symlink()
    assert old.read_bytes() == b"through"

    with replacing(link) as part:
        part.write_bytes(b"new")
    assert not link.is_symlink()
    assert (link.read_bytes(), old.read_bytes()) == (b"new", b"through")


def test_a_link_to_nothing_makes_its_target(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "target").read_text() == "x"
    assert (tmp_path / "link").is_symlink()


def test_a_device_is_written_to_and_stays():
    write_text("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(WriteError, match=r"^cannot write /dev/full: No space left on device$"):
        write_text("/dev/full", "x")


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    found = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_bytes(tmp_path / "pipe", b"x")
    reader.join(10)
    assert found == [b"x"]
    assert names_in(tmp_path) == ["pipe"]


def test_what_is_open_may_be_written_on_after_the_block(tmp_path):
    with replacing(tmp_path / "x") as part:
        file = part.open("wb", buffering=0)
        file.write(b"head")
    with file:
        file.write(b", tail")
    assert (tmp_path / "x").read_bytes() == b"head, tail"


def write_often(path, letter):
    for _ in range(200):
        write_bytes(path, letter * 100_000)


def test_of_two_writers_at_once_one_wins_whole(tmp_path):
    path = tmp_path / "x"
    write_bytes(path, b"a" * 100_000)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(path, letter)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    num_read = 0
    while num_read == 0 or any(writer.is_alive() for writer in writers):
        content = path.read_bytes()
        assert len(content) == 100_000
        assert len(set(content)) == 1
        num_read += 1
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert names_in(tmp_path) == ["x"]


EVENTS = np.array([(5, 1, 0, 1)], EVENT_DTYPE)
SIZE = SensorSize(4, 6)
LABELED = LabeledTimes(np.zeros(0, BOX_DTYPE), np.array([7]), {})
PICTURE = np.zeros((32, 32, 3), np.uint8)
CHECKPOINT = {"state_dict": {"weight": torch.zeros(3)}}


def write_growing_video(path):
    writer = VideoWriter(path, 20)
    writer.write(PICTURE, 0)
    writer.close()


WRITERS = {
    "x.dat": lambda path: write_dat(path, [EVENTS], SIZE),
    "x.raw": lambda path: write_evt3(path, [EVENTS], SIZE),
    "x.h5": lambda path: write_dsec(path, [EVENTS], SIZE),
    "x.npy": lambda path: write_boxes_npy(path, LABELED.boxes),
    "x.json": lambda path: write_boxes_coco(path, LABELED, {0: "car"}),
    "x.csv": lambda path: BoxWriter(path, {0: "car"}).close(),
    "x.mp4": lambda path: write_video(path, [PICTURE], 20),
    "growing.mp4": write_growing_video,
    "x.html": lambda path: write_report(path, RunReport(title="a run")),
    "x.yaml": lambda path: write_config(DetectionConfig(), path),
    "x.ckpt": lambda path: AtomicCheckpointIO().save_checkpoint(CHECKPOINT, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_names_the_file_that_cannot_be_written_and_leaves_nothing(tmp_path, name):
    path = tmp_path / name
    (path / "inside").mkdir(parents=True)  # not to be replaced, even by root
    with pytest.raises((OSError, CheckpointError)) as caught:
        WRITERS[name](path)
    assert str(path) in str(caught.value)
    assert str(caught.value).startswith("cannot write ")
    assert "Is a directory" in str(caught.value)
    assert names_in(tmp_path) == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_replaces_an_older_file_and_leaves_nothing_else(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with path.open("rb") as older:
        WRITERS[name](path)
        assert older.read() == b"old"
    assert path.read_bytes() != b"old"
    assert names_in(tmp_path) == [name]


# What killed processes leave ---------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
from evdet.atomic_file import {name}
with {name}(*sys.argv[1:]) as part:
    (part / "half" if part.is_dir() else part).write_bytes(b"half")
    {what}
"""


def leave(name, path, what="os.kill(os.getpid(), 9)"):
    """Kill a process that writes a file or folder."""
    script = KILLED.format(name=name, what=what)
    subprocess.run([sys.executable, "-c", script, *([] if path is None else [str(path)])])


def parts_in(folder):
    return [path for path in folder.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize(("name", "file"), [("replacing", "x.csv"), ("replacing_folder", "out")])
def test_what_a_killed_process_leaves_is_removed_before_the_next_file(tmp_path, name, file):
    leave(name, tmp_path / file)
    assert len(parts_in(tmp_path)) == 1

    remove_leftovers([tmp_path / "y.csv", tmp_path / "x", tmp_path / file / "x"])
    assert len(parts_in(tmp_path)) == 1  # of another file

    remove_leftovers([tmp_path / file])
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_every_file_of_a_folder_can_be_removed(tmp_path):
    for name in ("a", "b" * 200):
        leave("replacing", tmp_path / name)
    remove_leftovers([], folders=[tmp_path, tmp_path / "missing"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", [replacing, replacing_folder, filling_folder])
def test_what_is_in_work_is_no_leftover(tmp_path, writer):
    with writer(tmp_path / "x") as part:
        remove_leftovers([tmp_path / "x"], folders=[tmp_path])
        assert part.exists()
        others = (
            "import sys; from evdet.atomic_file import remove_leftovers as r\n"
            "r([sys.argv[1] + '/x'], folders=[sys.argv[1]])"
        )
        subprocess.run([sys.executable, "-c", others, str(tmp_path)], check=True)
        assert part.exists()
    assert names_in(tmp_path) == ["x"]


def test_what_does_not_come_from_here_is_no_leftover(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    number = "0123456789abcdef"
    (tmp_path / f".x.{number}.part").symlink_to(victim)
    (tmp_path / f".x.{number[::-1]}.part").hardlink_to(victim)
    for name in (".x.part", f"x.{number}.part", f".x.{number}.part.txt", f".x.{number[1:]}.part",
                 f".x.{number.upper()}.part", f".xy.{number}.part"):  # fmt: skip
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / f".x.{'1' * 16}.part")
    before = names_in(tmp_path)

    remove_leftovers([tmp_path / "x"])
    assert names_in(tmp_path) == before
    assert victim.read_bytes() == b"untouched"


def test_a_leftover_beside_the_target_of_a_link_is_removed(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "link").symlink_to("below/x")
    leave("replacing", tmp_path / "below" / "x")
    remove_leftovers([tmp_path / "link"])
    assert names_in(tmp_path / "below") == []


# Folders -----------------------------------------------------------------------------------------


def test_a_folder_is_there_when_it_is_complete(tmp_path):
    with replacing_folder(tmp_path / "deep" / "out") as part:
        (part / "a").write_text("a")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "a").read_text() == "a"
    assert names_in(tmp_path / "deep") == ["out"]


def test_an_empty_folder_is_filled_and_one_with_files_is_refused(tmp_path, monkeypatch):
    for name in ("out", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("out", "here"):
        with replacing_folder(tmp_path / name) as part:
            (part / "a").write_text("a")
    assert names_in(Path.cwd()) == ["a"]

    def again():
        with replacing_folder(tmp_path / "out") as part:
            (part / "b").write_text("b")

    with pytest.raises(WriteError, match=r"^cannot write .*out: Directory not empty$"):
        again()
    assert names_in(tmp_path / "out") == ["a"]
    assert names_in(tmp_path) == ["here", "out"]


def test_files_move_into_a_folder_together(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("old")
    (tmp_path / "out" / "other").write_text("other")
    with filling_folder(tmp_path / "out") as part:
        (part / "a").write_text("new")
        (part / "b").write_text("new")
        assert (tmp_path / "out" / "a").read_text() == "old"
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {"a": "new", "b": "new", "other": "other"}


@pytest.mark.parametrize("writer", [replacing_folder, filling_folder])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_an_exception_there_is_no_folder(tmp_path, writer, kind):
    def fail():
        with writer(tmp_path / "out") as part:
            (part / "a").write_text("half")
            raise kind("reason")

    with pytest.raises(kind, match="reason"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", [replacing_folder, filling_folder])
def test_an_error_in_a_folder_names_it_as_the_user_did(tmp_path, monkeypatch, writer):
    monkeypatch.chdir(tmp_path)

    def full():
        with writer("out") as part:
            raise OSError(errno.ENOSPC, "No space", str(part / "a"))

    with pytest.raises(WriteError, match=r"^cannot write out: No space left on device$"):
        full()


def test_temporary_folders_of_killed_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    leave("temporary_folder", None)
    assert len(parts_in(tmp_path)) == 1
    with temporary_folder() as folder:
        assert parts_in(tmp_path) == [folder]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "x").touch()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_made_in_several_attempts_gets_its_name_at_the_end(tmp_path):
    def stop(folder):
        with continued_folder(folder) as part:
            (part / "a").write_text("first")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == [".set.unfinished"]
    with continued_folder(tmp_path / "set") as part:
        assert (part / "a").read_text() == "first"
        (part / "b").write_text("second")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["a", "b"]
    with pytest.raises(WriteError, match="not empty"), continued_folder(tmp_path / "set"):
        pass
