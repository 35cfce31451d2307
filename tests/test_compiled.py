"""Compiled loops need no folder that can be written to."""

import os
import shutil
import subprocess
import sys

import pytest

from evdet.compiled import kernel

# All places of numba's cache refuse, as in a read-only image.
NO_FOLDER = """
import numba.core.caching as caching
def denied(self):
    raise PermissionError(13, "Permission denied")
caching._CacheLocator.ensure_cache_path = denied
"""
# Compiled code cannot be stored.
FULL_DISK = """
import numba.core.caching as caching
def full(self, *_):
    raise OSError(28, "No space left on device")
caching.IndexDataCacheFile.save = full
"""
TWO_KERNELS = """
from evdet.compiled import kernel
print(kernel(lambda a: a + 1)(1), kernel(lambda a: a + 2)(1))
"""
INFO = "from evdet.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
EVENTS = "0 1 2 1\n500 3 2 0\n1000 1 1 1\n"


def run(script, *words, env=None, before=()):
    command = [*before, sys.executable, "-c", script, *map(str, words)]
    env = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=110)


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "few.txt"
    path.write_text(EVENTS)
    return path


def test_a_kernel_computes_what_its_function_computes():
    def add(a, b):
        return a + b

    assert kernel(add)(1, 2) == 3


@pytest.mark.parametrize("denied", [NO_FOLDER, FULL_DISK], ids=["no folder", "full disk"])
def test_kernels_that_cannot_be_kept_work_and_that_is_said_once(denied, tmp_path):
    done = run(denied + TWO_KERNELS, env={"NUMBA_CACHE_DIR": str(tmp_path / "new")})
    assert done.stdout.split() == ["2", "3"], done.stderr
    assert done.stderr.count("no folder for compiled code") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_without_any_folder_evdet_works_and_says_so_once(recording):
    done = run(NO_FOLDER + INFO, "info", recording)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no folder for compiled code") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_on_a_full_disk_evdet_works_and_says_so_once(recording, tmp_path):
    done = run(FULL_DISK + INFO, "info", recording, env={"NUMBA_CACHE_DIR": str(tmp_path / "new")})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no folder for compiled code") == 1


def test_other_errors_of_numba_are_not_taken_for_a_missing_folder(monkeypatch):
    def njit(**_):
        raise RuntimeError("of another kind")

    monkeypatch.setattr("evdet.compiled.njit", njit)
    with pytest.raises(RuntimeError, match="of another kind"):
        kernel(len)


@pytest.mark.slow
def test_a_folder_that_the_user_names_is_used(recording, tmp_path):
    folder = tmp_path / "compiled"
    done = run(INFO, "info", recording, env={"NUMBA_CACHE_DIR": str(folder)})
    assert done.returncode == 0, done.stderr
    assert list(folder.rglob("*.nbc"))
    assert "no folder" not in done.stderr


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can run a process as another user",
)
@pytest.mark.slow
def test_a_user_without_name_and_home_reads_a_recording(recording):
    # Reading everything, as in an image; writing nothing.
    reading = "+dac_read_search"
    before = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"]
    before += ["--inh-caps", reading, "--ambient-caps", reading]
    if subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("this system lets no process read everything")
    env = {"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    done = run(INFO, "info", recording, env=env, before=before)
    assert done.returncode == 0, done.stderr
    assert "no folder for compiled code" in done.stderr
    assert "3" in done.stdout
