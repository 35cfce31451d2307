"""A full disk while an HDF5 file is written."""

import subprocess
import sys

import pytest

FULL_DISK = """
import subprocess
import sys
import resource, signal, sys
import numpy as np
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.hdf5 import write_dsec

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
rng = np.random.default_rng(0)
events = np.zeros(400_000, EVENT_DTYPE)
events["t"] = np.arange(len(events))
events["x"], events["y"] = rng.integers(0, 60, (2, len(events)))
write_dsec(sys.argv[1], [events], SensorSize(64, 64))
"""


@pytest.mark.parametrize("num_bytes", [10, 5000, 400_000])
def test_a_full_disk_is_one_error_and_leaves_the_older_file(tmp_path, num_bytes):
    path = tmp_path / "x.h5"
    path.write_bytes(b"older")
    failed = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(num_bytes)], capture_output=True, text=True
    )
    # HDF5 itself ends the process with a segmentation fault, after a traceback for each dataset.
    assert failed.returncode == 1
    assert failed.stderr.strip().endswith(f"cannot write {path}: File too large")
    assert "h5py" not in failed.stderr
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x.h5", b"older")]
