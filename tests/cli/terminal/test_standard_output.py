"""The end of standard output, in a process of its own with real pipes."""

import os
import subprocess
import sys

import pytest

EVDET = [sys.executable, "-c", "import sys; from evdet.cli import main; sys.exit(main())"]


def run(words, *, unbuffered=False, **streams):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1" if unbuffered else ""}
    return subprocess.run([*EVDET, *words], env=environment, text=True, **streams)


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("words", [["--help"], ["info", "sample"], ["detect", "--help"]])
def test_a_reader_that_has_seen_enough_ends_evdet_quietly(words, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(words, unbuffered=unbuffered, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["info", "sample"]])
def test_a_full_disk_behind_standard_output_is_one_line(words):
    with open("/dev/full", "w") as full:
        done = run(words, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "evdet: cannot write standard output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="closes a descriptor before the program")
def test_a_process_without_standard_output_does_its_work():
    words = " ".join(f"'{word}'" for word in [*EVDET, "info", "sample"])
    done = subprocess.run(["sh", "-c", f"{words} >&-"], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
