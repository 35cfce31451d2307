"""One process at a time, and none that has ended."""

import multiprocessing
import signal
import subprocess
import sys

import pytest

from evdet.atomic_file import WriteError
from evdet.processes import BusyError, held, only_writer


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path):
    with held(tmp_path) as first, held(tmp_path) as second:
        assert (first, second) == (True, False)
    with held(tmp_path) as third:
        assert third


LOCKED = """
import sys, time
from evdet.processes import only_writer
with only_writer(sys.argv[1], busy="busy"):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_writer(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(tmp_path / ".lock")], stdout=subprocess.PIPE
    )
    assert process.stdout.readline().strip() == b"locked"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_until_the_first_is_killed(tmp_path, other_writer):
    with pytest.raises(BusyError, match=r"^wait$"), only_writer(tmp_path / ".lock", busy="wait"):
        pytest.fail("both write")
    other_writer.kill()
    other_writer.wait()
    with only_writer(tmp_path / ".lock", busy="wait"):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    with only_writer(tmp_path / ".lock", busy="wait"):
        child = multiprocessing.get_context("fork").Process(target=signal.pause)
        child.start()
    with only_writer(tmp_path / ".lock", busy="wait"):
        pass
    child.kill()
    child.join()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    with (
        pytest.raises(WriteError, match="none"),
        only_writer(tmp_path / "none" / ".lock", busy="wait"),
    ):
        pytest.fail("there is no folder")
