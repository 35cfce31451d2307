"""Many files by `evdet convert`, which is the fastest of the commands that take them."""

import json
import os
import signal
import struct
import time
from pathlib import Path

import pytest

from evdet.cli import main
from evdet.cli.many.board import Board
from evdet.cli.many.jobs import Job
from evdet.cli.many.journal import Journal
from evdet.cli.many.places import device_at, share_of_threads
from evdet.cli.many.processes import do_jobs_in_processes
from evdet.cli.many.ranks import ranks_of
from evdet.cli.many.working import Place
from evdet.events import open_recording
from evdet.processes import only_writer

HEADER = b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08"
TO_H5 = ["--output-dir", "found", "--save", "h5"]


def recording(path, num_events=50):
    path.parent.mkdir(parents=True, exist_ok=True)
    records = (struct.pack("<II", t * 1000, t % 60 | 1 << 28) for t in range(num_events))
    path.write_bytes(HEADER + b"".join(records))


def answer(capsys, *words):
    status = main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err.rpartition("\r")[2].strip()


def results(folder="found"):
    return sorted(
        str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.suffix != ".jsonl"
        and path.is_file()
    )  # fmt: skip


def times(folder="found"):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*.h5")}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recording(Path("drives/a.dat"))
    recording(Path("drives/süd west/b c.dat"), 40)
    recording(Path("more/a.dat"), 30)
    return tmp_path


def test_a_folder_without_recordings_is_refused_and_nothing_is_made(capsys):
    Path("empty").mkdir()
    Path("drives/notes.txt").write_text("notes\n")
    status, _, said = answer(capsys, "convert", "empty", *TO_H5)
    assert (status, said) == (2, "evdet: empty has no recordings")
    assert not Path("found").exists()


def test_results_lie_in_the_folders_of_their_recordings(capsys):
    status, out, _ = answer(capsys, "convert", "drives", "more", *TO_H5)
    assert status == 0
    assert results() == ["drives/a.h5", "drives/süd west/b c.h5", "more/a.h5"]
    assert "found: 3 of 3 files done" in out
    assert len(open_recording(Path("found/drives/süd west/b c.h5"))) == 40


def test_of_one_folder_the_results_lie_as_the_recordings_do_in_it(capsys):
    assert answer(capsys, "convert", "drives", *TO_H5)[0] == 0
    assert results() == ["a.h5", "süd west/b c.h5"]


def test_patterns_that_the_shell_did_not_expand_are_expanded(capsys):
    recording(Path("drives/[1].dat"))
    status, _, said = answer(capsys, "convert", "drives/*.dat", "no*.dat", *TO_H5)
    assert (status, results()) == (2, ["[1].h5", "a.h5"])
    assert said == "evdet: 1 of 3 files failed:\n  no*.dat matches no file"
    assert answer(capsys, "convert", "drives/[1].dat", *TO_H5)[0] == 0


def test_finished_files_are_skipped_unless_they_are_to_be_overwritten(capsys):
    answer(capsys, "convert", "drives", *TO_H5)
    before = times()
    status, out, _ = answer(capsys, "convert", "drives", *TO_H5)
    assert (status, times()) == (0, before)
    assert out == ("found: 2 files finished before, nothing to do (--overwrite does them again)\n")
    recording(Path("drives/new.dat"))
    status, out, _ = answer(capsys, "convert", "drives", *TO_H5)
    assert "1 of 1 file done, 2 finished before and skipped" in out
    assert answer(capsys, "convert", "drives", *TO_H5, "--overwrite")[0] == 0
    assert all(times()[path] > then for path, then in before.items())


def test_a_file_that_fails_is_named_at_the_end_and_tried_again(capsys):
    Path("drives/bad.raw").write_bytes(b"\x00\x01\x02")
    status, out, said = answer(capsys, "convert", "drives", "nowhere.raw", *TO_H5)
    assert status == 2
    assert results() == ["a.h5", "süd west/b c.h5"]
    assert said.splitlines()[0] == "evdet: 2 of 4 files failed:"
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["nowhere.raw", "drives/bad.raw"]
    assert "2 of 3 files done" in out
    recording(Path("drives/bad.raw"))
    status, out, _ = answer(capsys, "convert", "drives", *TO_H5)
    assert status == 0
    assert "1 of 1 file done, 2 finished before" in out


def test_a_recording_that_has_changed_is_converted_again(capsys):
    answer(capsys, "convert", "drives", *TO_H5)
    recording(Path("drives/a.dat"), 60)
    status, out, _ = answer(capsys, "convert", "drives", *TO_H5)
    assert (status, len(open_recording(Path("found/a.h5")))) == (0, 60)
    assert "1 of them again, since the file has changed" in out


def test_results_of_other_settings_are_kept_unless_they_are_to_be_overwritten(capsys):
    answer(capsys, "convert", "drives", *TO_H5)
    before = times()
    status, _, said = answer(capsys, "convert", "drives", *TO_H5, "--duration", "0.01")
    assert (status, times()) == (2, before)
    assert "--duration left out, now 0.01" in said
    assert "--overwrite" in said
    assert answer(capsys, "convert", "drives", *TO_H5, "--duration", "0.01", "--overwrite")[0] == 0
    assert len(open_recording(Path("found/a.h5"))) == 10


def test_two_recordings_of_one_name_are_refused_before_any_work(capsys):
    recording(Path("drives/a.raw"))
    status, _, said = answer(capsys, "convert", "drives", *TO_H5)
    assert status == 2
    assert "drives/a.dat and drives/a.raw would both write found/a.h5" in said
    assert not Path("found").exists()


def test_a_file_of_other_origin_is_not_replaced(capsys):
    Path("found").mkdir()
    Path("found/a.h5").write_bytes(b"mine")
    status, _, said = answer(capsys, "convert", "drives", *TO_H5)
    assert (status, Path("found/a.h5").read_bytes()) == (2, b"mine")
    assert "cannot write found/a.h5" in said
    assert results() == ["a.h5"]


def test_the_result_of_another_recording_is_not_replaced(capsys):
    answer(capsys, "convert", "drives/a.dat", *TO_H5)
    status, _, said = answer(capsys, "convert", "more/a.dat", *TO_H5)
    assert status == 2
    assert "it is the result of found/../drives/a.dat" in said
    # Named together with the others, a finished file keeps its place.
    status, out, _ = answer(capsys, "convert", "drives", "more", *TO_H5)
    assert "2 of 2 files done, 1 finished before and skipped" in out
    assert results() == ["a.h5", "drives/süd west/b c.h5", "more/a.h5"]
    assert answer(capsys, "convert", "more/a.dat", *TO_H5, "--overwrite")[0] == 0


def test_results_below_a_folder_that_is_read_are_no_recordings(capsys):
    words = ["convert", "drives", "--output-dir", "drives/found", "--save", "dat"]
    assert answer(capsys, *words)[0] == 0
    assert "2 files finished before" in answer(capsys, *words)[1]
    assert results("drives/found") == ["a.dat", "süd west/b c.dat"]


def test_results_may_lie_beside_the_recordings(capsys):
    words = ["convert", "drives", "--output-dir", "drives", "--save", "h5"]
    assert answer(capsys, *words)[0] == 0
    assert "2 files finished before" in answer(capsys, *words)[1]
    status, _, said = answer(capsys, *words[:-1], "dat")
    assert status == 2
    assert "it is read" in said


def test_a_second_command_for_the_same_folder_is_refused(capsys):
    Path("found").mkdir()
    with only_writer("found/.evdet-convert.lock", busy=""):
        pid = os.fork()
        if not pid:
            os._exit(main(["convert", "drives", *TO_H5]))
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 2
    assert results() == []


def test_ctrl_c_keeps_what_is_done_and_the_same_command_continues(capsys, monkeypatch):
    import evdet.cli.convert as command

    convert_one, calls = command._convert_one, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        convert_one(*arguments)

    monkeypatch.setattr(command, "_convert_one", interrupted)
    status, _, said = answer(capsys, "convert", "drives", "more", *TO_H5)
    assert status == 130
    assert said.endswith("1 of 3 files done; the same command continues with the others")
    status, out, _ = answer(capsys, "convert", "drives", "more", *TO_H5)
    assert "2 of 2 files done, 1 finished before" in out


def test_a_journal_that_was_cut_or_forged_costs_no_result(capsys):
    answer(capsys, "convert", "drives", *TO_H5)
    journal = Path("found/evdet-convert.jsonl")
    lines = journal.read_text().splitlines()
    forged = ['{"source": 3}', "[]", "7", "[" * 100_000, "\x00", '{"source": "x", "outputs": 1}']
    journal.write_text("\n".join([*lines[:-1], *forged, lines[-1][:40]]))
    status, out, _ = answer(capsys, "convert", "drives", *TO_H5)
    assert status == 0
    assert "1 of 1 file done, 1 finished before" in out
    assert all(json.loads(line) for line in journal.read_text().splitlines()[-2:])


def test_a_folder_that_cannot_be_written_is_one_line(capsys):
    Path("found").write_text("a file")
    assert answer(capsys, "convert", "drives", *TO_H5)[2].startswith("evdet: cannot write to found")


def test_processes_write_what_one_process_writes(capsys):
    assert answer(capsys, "convert", "drives", "more", *TO_H5[:3], "raw")[0] == 0
    words = ["convert", "drives", "more", "--output-dir", "two", "--save", "raw", "--jobs", "2"]
    assert answer(capsys, *words)[0] == 0
    assert results("two") == results()
    for name in results():
        assert Path("two", name).read_bytes() == Path("found", name).read_bytes()


class Fate:
    """Work that ends its process, or fails, as the name of the file says."""

    def start(self, place):
        return self.do

    def do(self, job, open_bar):
        if job.source.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if job.source.name == "broken":
            raise KeyError("broken")
        for _ in open_bar(range(3), total=3):
            time.sleep(0.05)
        print(f"did {job.source}")


def test_a_process_that_is_killed_costs_the_file_that_it_was_at(capsys):
    names = ["a", "killed", "broken", "b", "c"]
    jobs = [Job(source=Path(name), num_bytes=9) for name in names]
    board = Board(jobs, doing="Working", shows_blocks=False)
    do_jobs_in_processes(Fate(), jobs, 2, board)
    board.close()
    assert sorted(names[index] for index in board.finished) == ["a", "b", "c"]
    assert "ended by SIGKILL: was there too little memory?" in board.failed[1]
    assert board.failed[2] == "KeyError: 'broken' (--debug shows the traceback)"
    assert "b: did b\n" in capsys.readouterr().out


def test_what_is_logged_of_many_files_is_shown_once(capsys):
    jobs = [Job(source=Path(name)) for name in "abc"]
    board = Board(jobs, doing="Working", shows_blocks=False)
    for index in range(3):
        board.log(index, "frames of another size")
    board.log(1, "b is cut")
    board.close()
    said = capsys.readouterr().err
    assert said.count("a: frames of another size") == 1
    assert "\nb is cut" in said or "\rb is cut" in said
    assert "logged of 2 more files: frames of another size" in said


def test_an_unknown_folder_has_no_journal(tmp_path):
    journal = Journal(tmp_path / "none", "detect")
    journal.read()
    assert journal.outputs == []
    assert not journal.is_finished(Job(source=Path("drives/a.dat")), {})


@pytest.mark.parametrize(
    ("place", "asked", "num_devices", "device"),
    [
        (Place(), "auto", 4, "auto"),
        (Place(index=1, count=4), "auto", 0, "auto"),
        (Place(index=1, count=4), "auto", 1, "auto"),
        (Place(index=3, count=4), "auto", 2, "cuda:1"),
        (Place(index=2, count=3), "cuda", 2, "cuda:0"),
        (Place(index=2, count=3), "cuda:1", 2, "cuda:1"),
        (Place(index=2, count=3), "cpu", 2, "cpu"),
    ],
)
def test_processes_take_the_accelerators_in_turn(place, asked, num_devices, device):
    assert device_at(place, asked, num_devices=num_devices) == device


def test_processes_share_the_threads():
    shares = [share_of_threads(8, Place(count=count)) for count in (1, 3, 16)]
    assert shares == [8, 2, 1]
    assert share_of_threads(0, Place(count=3)) == 0


def test_the_ranks_of_torchrun_are_read_from_its_environment():
    assert ranks_of({}).count == 1
    said = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    assert ranks_of(said).count == 1  # not torchrun's
    ranks = ranks_of({**said, "MASTER_ADDR": "localhost"})
    assert (ranks.index, ranks.count, ranks.is_first) == (5, 8, False)
    assert ranks.place == Place(index=1, count=4)
