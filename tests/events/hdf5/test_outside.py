"""HDF5 files whose numbers lie in other files are refused."""

import h5py
import numpy as np
import pytest

from evdet.events import RecordingError, open_recording


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(np.arange(4000, dtype="<u4").tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        for name in "txyp":
            file[f"events/{name}"] = np.arange(100, dtype="u4") % (2 if name == "p" else 1000)
    return path


def columns(file, names="txyp"):
    for name in names:
        file[f"events/{name}"] = np.arange(100, dtype="u4") % (2 if name == "p" else 1000)


def external(file, secret):
    columns(file, "typ")
    file.create_dataset("events/x", (100,), "u4", external=[(str(secret), 0, 400)])


def virtual(file, secret):
    columns(file, "xyp")
    layout = h5py.VirtualLayout((100,), "u4")
    layout[:] = h5py.VirtualSource(str(secret.parent / "other.h5"), "events/t", (100,))
    file.create_virtual_dataset("events/t", layout)


def linked_column(file, secret):
    columns(file, "typ")
    file["events/x"] = h5py.ExternalLink(str(secret.parent / "other.h5"), "events/x")


def linked_group(file, secret):
    file["events"] = h5py.ExternalLink(str(secret.parent / "other.h5"), "events")


@pytest.mark.parametrize("write", [external, virtual, linked_column, linked_group])
def test_events_in_another_file_are_refused(tmp_path, secret, write):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file, secret)
    with pytest.raises(RecordingError, match="leads to another file"):
        open_recording(tmp_path / "a.h5")


def test_what_the_file_states_is_not_taken_from_another_file(tmp_path, secret):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        columns(file)
        file.create_dataset("t_offset", (), "u4", external=[(str(secret), 400, 4)])
        file["width"] = h5py.ExternalLink(str(secret.parent / "other.h5"), "events/t")
    assert open_recording(tmp_path / "a.h5").start == 0


def test_parts_of_the_same_file_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        columns(file)
        file["t_offset"] = np.int64(500)
        file["also"] = h5py.SoftLink("/events/t")
    assert open_recording(tmp_path / "a.h5").start == 500
