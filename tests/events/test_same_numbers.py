"""The same numbers are the same events in text, NumPy and HDF5 files, or are refused in all."""

import io
import shutil

import h5py
import numpy as np
import pytest

from evdet.events import ReadOptions, RecordingError, open_recording

KINDS = ("savetxt", "csv", "npy", "npz of columns", "npz", "columns", "table")
EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def events():
    """Columns t x y p of a camera, in whole microseconds."""
    rng = np.random.default_rng(0)
    t = 1000 + np.sort(rng.integers(0, 500_000, 500))
    return t, rng.integers(0, 346, 500), rng.integers(0, 260, 500), rng.integers(0, 2, 500)


def write(folder, kind, t, x, y, p):
    """A file as NumPy, pandas or h5py write these columns."""
    rows = np.stack([np.asarray(column, np.asarray(t).dtype) for column in (t, x, y, p)], axis=1)
    path = folder / f"a.{kind}"
    if kind == "savetxt":
        np.savetxt(path, rows, fmt="%.18e" if rows.dtype.kind == "f" else "%d")
    elif kind == "csv":
        with path.open("w") as file:
            file.writelines(f"{','.join(map(repr, row))}\n" for row in rows.tolist())
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, rows)
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez_compressed(file, rows)
    elif kind == "npz of columns":
        with path.open("wb") as file:
            np.savez(file, t=rows[:, 0], x=x, y=y, p=p)
    else:
        with h5py.File(path, "w") as file:
            if kind == "table":
                file["events"] = rows
            else:
                for name, column in zip("txyp", (rows[:, 0], x, y, p), strict=True):
                    file[f"events/{name}"] = column
    return path


def read(path, **options):
    blocks = list(open_recording(path, options=ReadOptions(**options)).blocks())
    joined = np.concatenate(blocks)
    return tuple(joined[name].astype(np.int64) for name in "txyp")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("scale", "start"),
    [(1, 0), (1.0, 0), (1, EPOCH * 10**6), (1.0, EPOCH * 10**6), (1e-6, 0), (1e-6, EPOCH * 10**6),
     (1000, EPOCH * 10**6)],
)  # fmt: skip
def test_every_file_of_these_numbers_gives_the_same_events(tmp_path, events, kind, scale, start):
    t, *others = events
    found = read(write(tmp_path, kind, (t + start) * scale, *others))
    np.testing.assert_array_equal(found, (t + start, *others))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("scale", "unit"), [(1e-3, "ms"), (1000, "ns"), (1000.0, "ns")])
def test_every_file_of_unclear_numbers_is_refused_until_the_user_decides(
    tmp_path, events, kind, scale, unit
):
    t, *others = events
    path = write(tmp_path, kind, t * scale, *others)
    with pytest.raises(RecordingError, match=r"--time-unit us, ms, s or ns") as caught:
        read(path)
    assert str(path) in str(caught.value)
    np.testing.assert_array_equal(read(path, time_unit=unit), events)


@pytest.mark.parametrize("kind", ["savetxt", "csv", "npy", "npz", "table"])
@pytest.mark.parametrize("order", ["xytp", "xypt", "tpxy", "pxyt"])
def test_every_file_of_these_columns_gives_the_same_events(tmp_path, events, kind, order):
    columns = dict(zip("txyp", events, strict=True))
    path = write(tmp_path, kind, *(columns[name] for name in order))
    np.testing.assert_array_equal(read(path), events)
    swapped = read(path, columns=order.translate(str.maketrans("xy", "yx")))
    np.testing.assert_array_equal(swapped, [events[k] for k in (0, 2, 1, 3)])


@pytest.mark.parametrize("kind", KINDS)
def test_polarities_of_another_scale_are_refused(tmp_path, events, kind):
    t, x, y, p = events
    with pytest.raises(RecordingError, match=r"polarity is not 0|p=255|not t, x, y and p"):
        read(write(tmp_path, kind, t, x, y, p * 255))


@pytest.mark.parametrize("kind", ["npy", "npz", "npz of columns", "columns", "table"])
def test_times_that_a_short_float_rounds_are_noted(tmp_path, events, kind, caplog):
    t, x, y, p = events
    times = (t / 1e6 + 100).astype(np.float32)
    found = read(write(tmp_path, kind, times, x, y, p))
    assert np.abs(found[0] - t - 100_000_000).max() <= 8
    assert "its times are float32, which rounds" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_an_opened_file_keeps_its_options_in_another_process(tmp_path, events, kind):
    import pickle

    t, *others = events
    path = write(tmp_path, kind, t / 1e3, *others)
    recording = open_recording(path, options=ReadOptions(time_unit="ms"))
    copy = pickle.loads(pickle.dumps(recording._file))
    found = np.concatenate(list(copy.blocks()))
    np.testing.assert_array_equal(found["t"], t)


def test_the_name_does_not_decide(tmp_path, events):
    for kind in KINDS:
        path = write(tmp_path, kind, *events)
        for suffix in (".dat", ".raw", ".bin", ".txt", ".other"):
            copy = shutil.copy(path, tmp_path / f"copy{suffix}")
            np.testing.assert_array_equal(read(copy), events)


def test_files_of_matlab_are_named_with_advice(tmp_path):
    old = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128) + bytes(100)
    new = io.BytesIO()
    with h5py.File(new, "w", userblock_size=512) as file:
        file["t"] = np.arange(10)
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512)
    for content in (old, head + new.getvalue()[512:]):
        (tmp_path / "a.mat").write_bytes(content)
        with pytest.raises(RecordingError, match=r"a\.mat: it is a MATLAB file.*writematrix"):
            open_recording(tmp_path / "a.mat")
