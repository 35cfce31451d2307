"""HDF5 files in the layouts of data sets and simulators, made with h5py as their writers do."""

import h5py
import numpy as np
import pytest

from evdet.events import (
    EVENT_DTYPE,
    ReadOptions,
    RecordingError,
    SensorSize,
    StreamChoiceError,
    open_recording,
)

NUM = 600
EPOCH = 1_504_645_177


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    made = np.zeros(NUM, EVENT_DTYPE)
    made["t"] = np.sort(rng.integers(0, 400_000, NUM))
    made["x"], made["y"] = rng.integers(0, 346, NUM), rng.integers(0, 260, NUM)
    made["p"] = rng.integers(0, 2, NUM)
    return made


def read(path, **options):
    recording = open_recording(path, options=ReadOptions(**options))
    middle = recording.start + recording.duration // 2
    blocks = np.concatenate([np.empty(0, EVENT_DTYPE), *recording.blocks()])
    # Both ways of reading give the same.
    part = recording.slice(middle, middle + 50_000)
    inside = (blocks["t"] >= middle) & (blocks["t"] < middle + 50_000)
    np.testing.assert_array_equal(part, blocks[inside])
    return blocks


def table(events, order="txyp", kind=np.int64):
    return np.stack([events[name].astype(kind) for name in order], axis=1)


def mvsec(file, events, cameras=("left",)):
    """MVSEC: a table x y t p a camera, in seconds since 1970, beside frames and poses."""
    for camera in cameras:
        rows = table(events, "xytp", np.float64)
        rows[:, 2] = rows[:, 2] / 1e6 + EPOCH
        rows[:, 3] = rows[:, 3] * 2 - 1
        file[f"davis/{camera}/events"] = rows
        file[f"davis/{camera}/image_raw"] = np.zeros((3, 4, 5), np.uint8)
        file[f"davis/{camera}/image_raw_ts"] = np.arange(3) + float(EPOCH)
        file[f"davis/{camera}/imu"] = np.random.default_rng(0).normal(size=(40, 6))
    file["velodyne/scans"] = np.zeros((2, 3, 4))
    file["davis/pose"] = np.random.default_rng(0).normal(size=(50, 4))
    return EPOCH * 10**6


def m3ed(file, events, cameras=("left",)):
    """M3ED: columns a camera, an index of milliseconds, the size in the calibration."""
    for camera in cameras:
        for name in "txyp":
            file[f"prophesee/{camera}/{name}"] = events[name]
        marks = np.searchsorted(events["t"], np.arange(401) * 1000)
        file[f"prophesee/{camera}/ms_map_idx"] = marks.astype(np.uint64)
        file[f"prophesee/{camera}/calib/resolution"] = np.array([1280, 720])
    file["ovc/left/data"] = np.zeros((2, 3, 4, 1), np.uint8)
    file["ovc/ts"] = np.arange(2)
    return 0


def v2e(file, events):
    """The v2e simulator: one growing table t x y p."""
    rows = table(events, kind=np.uint32)
    file.create_dataset("events", data=rows, maxshape=(None, 4), chunks=True, compression="gzip")
    file["frame"] = np.zeros((2, 4, 5), np.uint8)
    file["frame_ts"] = np.arange(2, dtype=np.uint32)
    return 0


def event_utils(file, events):
    """event_utils and projects of event-based reconstruction: columns xs ys ts ps, seconds."""
    file["events/xs"], file["events/ys"] = events["x"].astype(np.int16), events["y"]
    file["events/ts"], file["events/ps"] = events["t"] / 1e6, events["p"].astype(bool)
    file["images/image000000000"] = np.zeros((4, 5), np.uint8)
    file["flow/flow000000000"] = np.zeros((2, 4, 5), np.float32)
    file.attrs["sensor_resolution"] = (260, 346)
    return 0


def offset_in_nanoseconds(file, events):
    """Columns with the unit in the name, and an offset in the same unit."""
    file["events/t_ns"] = events["t"] * 1000
    for name in "xyp":
        file[f"events/{name}"] = events[name]
    file["t_offset"] = np.int64(7_000_000)
    return 7000


def one_table(file, events):
    file["event_stream"] = table(events)
    return 0


def records(file, events):
    kinds = [("x", "<u2"), ("y", "<u2"), ("timestamp", "<u8"), ("polarity", "?")]
    rows = np.zeros(NUM, kinds)
    for name, field in (("x", "x"), ("y", "y"), ("timestamp", "t"), ("polarity", "p")):
        rows[name] = events[field]
    file.create_dataset("deep/in/the/file", data=rows, chunks=(100,))
    return 0


def wide_table(file, events):
    """As MATLAB and Julia write it: the axes swapped."""
    file.create_dataset("events", data=table(events).T, chunks=(4, 100))
    return 0


LAYOUTS = (
    mvsec, m3ed, v2e, event_utils, offset_in_nanoseconds, one_table, records, wide_table
)  # fmt: skip


def file_of(folder, make, *args):
    with h5py.File(folder / "a.h5", "w") as file:
        start = make(file, *args)
    return folder / "a.h5", start


@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__)
def test_layouts_of_other_tools_are_read(tmp_path, events, make):
    path, start = file_of(tmp_path, make, events)
    found = read(path)
    found["t"] -= start
    np.testing.assert_array_equal(found, events)


@pytest.mark.parametrize(
    "make", [mvsec, m3ed, v2e, event_utils, one_table], ids=lambda make: make.__name__
)
def test_layouts_without_events_have_none(tmp_path, events, make):
    path, _ = file_of(tmp_path, make, events[:0])
    assert len(open_recording(path)) == 0


@pytest.mark.parametrize("make", [mvsec, m3ed])
def test_of_two_cameras_none_is_taken_silently(tmp_path, events, make):
    path, start = file_of(tmp_path, make, events, ("left", "right"))
    with pytest.raises(StreamChoiceError, match=r"2 streams of events: left, right.*--stream left"):
        open_recording(path)
    whole = "davis/right/events" if make is mvsec else "prophesee/right"
    for name in ("right", whole):
        found = read(path, stream=name)
        found["t"] -= start
        np.testing.assert_array_equal(found, events)
    with pytest.raises(StreamChoiceError, match=r"no stream 'middle'.* left, right"):
        open_recording(path, options=ReadOptions(stream="middle"))


def test_the_size_of_m3ed_is_read(tmp_path, events):
    path, _ = file_of(tmp_path, m3ed, events)
    assert open_recording(path).size == SensorSize(720, 1280)


def test_an_order_that_is_not_clear_is_chosen(tmp_path, events):
    path, _ = file_of(tmp_path, one_table, np.random.default_rng(0).permutation(events))
    with pytest.raises(RecordingError, match=r"none of its columns goes on.*--columns"):
        open_recording(path)
    recording = open_recording(path, options=ReadOptions(columns="txyp"))
    with pytest.raises(RecordingError, match="time steps back"):
        list(recording.blocks())


@pytest.mark.parametrize("scale", [255, 2])
@pytest.mark.parametrize("make", [one_table, event_utils, m3ed, records])
def test_polarities_of_another_scale_are_refused(tmp_path, events, make, scale):
    path, _ = file_of(tmp_path, make, events)
    with h5py.File(path, "r+") as file:
        if make is one_table:
            file["event_stream"][:, 3] *= scale
        elif make is records:
            wide = file["deep/in/the/file"][:].astype(
                [("x", "<u2"), ("y", "<u2"), ("timestamp", "<u8"), ("polarity", "u1")]
            )
            wide["polarity"] *= scale
            del file["deep/in/the/file"]
            file["deep/in/the/file"] = wide
        else:
            name = "events/ps" if make is event_utils else "prophesee/left/p"
            values = file[name][:].astype(np.uint8) * scale
            del file[name]
            file[name] = values
    with pytest.raises(RecordingError, match=rf"p={scale}, not|not t, x, y and p") as caught:
        read(path)
    assert "copied" not in str(caught.value)


def test_an_unknown_layout_lists_its_datasets_and_blames_no_damage(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dvs/data"] = np.zeros((3, 7))
        file["pose/quaternions"] = np.random.default_rng(0).normal(size=(9, 4))
        file["events/t"] = np.arange(3)
    with pytest.raises(RecordingError) as caught:
        open_recording(tmp_path / "a.h5")
    for word in ("dvs/data float64 (3, 7)", "events/t int64 (3,)", "t, x, y and p"):
        assert word in str(caught.value)
    for word in ("copied", "damage"):
        assert word not in str(caught.value)


def test_files_without_anything_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w"):
        pass
    with pytest.raises(RecordingError, match="Its datasets are none"):
        open_recording(tmp_path / "a.h5")


def test_options_that_columns_with_names_do_not_need_are_refused(tmp_path, events):
    path, _ = file_of(tmp_path, m3ed, events)
    with pytest.raises(RecordingError, match=r"columns with names.*leave --columns out"):
        open_recording(path, options=ReadOptions(columns="txyp"))


def test_groups_that_hold_one_another_are_searched_once(tmp_path):
    path = tmp_path / "circle.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("camera/events")
        for name in "txyp":
            group[name] = np.arange(20) % 2 if name == "p" else np.arange(20)
        group["again"] = file["camera"]
        file["alias"] = h5py.SoftLink("/camera")
        file["other"] = h5py.ExternalLink("nowhere.h5", "/")
    assert len(open_recording(path)) == 20


@pytest.mark.parametrize("chunks", [None, True])
@pytest.mark.parametrize("shape", [(NUM, 1), (1, NUM)])
def test_columns_of_matlab_have_a_second_axis_of_one(tmp_path, events, shape, chunks):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "txyp":
            column = events[name].astype(np.float64).reshape(shape)
            file.create_dataset(f"events/{name}", data=column, chunks=chunks)
    np.testing.assert_array_equal(read(path), events)
    assert len(open_recording(path)) == NUM
    with h5py.File(path, "a") as file:
        del file["events/p"]
        file["events/p"] = events["p"][: NUM - 10].reshape([min(side, NUM - 10) for side in shape])
    with pytest.raises(RecordingError, match=f"events/p {NUM - 10}"):
        read(path)
