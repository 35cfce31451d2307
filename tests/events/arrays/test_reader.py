import hashlib
import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from evdet.events.arrays import reader as arrays
from evdet.events.arrays.nmnist import open_nmnist
from evdet.events.arrays.reader import open_npy
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK

SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
START = 1_672_932_751_826_207


def events_of(*rows):
    return np.array(list(rows), dtype=EVENT_DTYPE)


def at_times(times):
    """Events with pixels that differ."""
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"] = times
    numbers = np.arange(len(times))
    events["x"], events["y"], events["p"] = numbers % 34, numbers % 33, numbers % 2
    return events


def columns_of(events, dtype=np.int64):
    return np.stack([events[name].astype(dtype) for name in "txyp"], axis=1)


def npy_of(folder, array, name="some.npy", **options):
    np.save(folder / name, array, **options)
    return folder / name


def nmnist_of(folder, events, name="some.bin"):
    high = events["p"].astype(np.int64) << 7 | events["t"] >> 16
    parts = [events["x"], events["y"], high, events["t"] >> 8 & 255, events["t"] & 255]
    content = np.stack(parts, axis=1).astype(np.uint8).tobytes()
    path = folder / name
    path.write_bytes(content)
    return path


def read(file, since=None):
    """All events, and what ended them."""
    blocks, error = [np.empty(0, EVENT_DTYPE)], None
    try:
        blocks += file.blocks(since)
    except RecordingError as raised:
        error = str(raised)
    return np.concatenate(blocks), error


@pytest.mark.parametrize("empty", [np.zeros((0, 4)), np.zeros(0, EVENT_DTYPE)])
def test_an_array_without_rows_has_no_events(tmp_path, empty):
    file = open_npy(npy_of(tmp_path, empty))

    assert read(file)[1] is None
    assert (file.num_events, file.start, file.end, file.time_origin) == (0, None, None, None)
    assert len(file.between(0, 100)) == 0
    assert file.stated_size is None


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, ">i8", np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_four_columns_are_t_x_y_p(tmp_path, dtype, order):
    events = at_times(START + np.arange(0, 60_000, 7))
    array = np.asarray(columns_of(events, dtype), order=order)

    file = open_npy(npy_of(tmp_path, array))
    found, error = read(file)

    assert error is None
    np.testing.assert_array_equal(found, events)
    assert (file.start, file.end) == (events["t"][0], events["t"][-1])


@pytest.mark.parametrize(
    "fields",
    [
        EVENT_DTYPE,
        [("x", "<i2"), ("y", "<i2"), ("p", "?"), ("t", "<i8")],
        [("ts", "<u4"), ("x", ">u2"), ("y", "u1"), ("polarity", "i1")],
        [("Timestamp", "<f8"), ("X", "<f4"), ("Y", "<f4"), ("pol", "<f4"), ("other", "S3")],
        np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")], align=True),
    ],
)
def test_fields_are_found_by_name_in_any_order(tmp_path, fields):
    events = at_times([3, 5, 5, 9])
    array = np.zeros(len(events), fields)
    for name in array.dtype.names:
        if name != "other":
            array[name] = events["t" if name.lower().startswith("t") else name[0].lower()]

    np.testing.assert_array_equal(read(open_npy(npy_of(tmp_path, array)))[0], events)


def test_off_may_be_minus_one(tmp_path):
    array = np.array([[1, 2, 3, -1], [2, 2, 3, 1], [3, 2, 3, 0]])

    assert read(open_npy(npy_of(tmp_path, array)))[0]["p"].tolist() == [0, 1, 0]


def test_times_with_fractions_are_seconds(tmp_path):
    array = np.array([[2.0, 1, 1, 0], [2.000_001_4, 1, 1, 0], [2.5, 1, 1, 0]])

    times = read(open_npy(npy_of(tmp_path, array)))[0]["t"]

    assert times.tolist() == [2_000_000, 2_000_001, 2_500_000]


def test_whole_float_times_are_microseconds(tmp_path):
    array = np.array([[2.0, 1, 1, 0], [7.0, 1, 1, 0]])

    assert read(open_npy(npy_of(tmp_path, array)))[0]["t"].tolist() == [2, 7]


def test_versions_of_the_header_are_read(tmp_path):
    events = at_times([3, 5, 9])
    for version in [(1, 0), (2, 0), (3, 0)]:
        content = io.BytesIO()
        np.lib.format.write_array(content, columns_of(events), version=version)
        (tmp_path / "some.npy").write_bytes(content.getvalue())
        np.testing.assert_array_equal(read(open_npy(tmp_path / "some.npy"))[0], events)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((6, 9)), r"shape \(6, 9\), type float64"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((2, 4), complex), "type complex128"),
        (np.zeros((2, 4), "M8[us]"), "type datetime64"),
        (np.zeros((2, 2), EVENT_DTYPE), r"shape \(2, 2\)"),
        (
            np.zeros(2, [("t", "i8"), ("x", "f4"), ("y", "f4"), ("w", "f4")]),
            "t, x, y, w: no column for p",
        ),
        (np.zeros(2, [("t", "i8"), ("x", "S2"), ("y", "f4"), ("p", "f4")]), "no numeric field x"),
    ],
)
def test_arrays_of_something_else_are_refused(tmp_path, array, message):
    path = npy_of(tmp_path, array)
    with pytest.raises(RecordingError, match=f"{re.escape(str(path))}.*{message}"):
        open_npy(path)


def test_pickled_objects_are_not_loaded(tmp_path):
    path = npy_of(tmp_path, np.array([{"t": 1}, None], object), allow_pickle=True)
    with pytest.raises(RecordingError, match=r"Python objects .* can run code"):
        open_npy(path)


@pytest.mark.parametrize("opener", [open_npy, open_nmnist])
def test_what_is_no_file_is_refused(tmp_path, opener):
    with pytest.raises(RecordingError, match=f"{re.escape(str(tmp_path))}: Is a directory"):
        opener(tmp_path)
    with pytest.raises(RecordingError, match="No such file"):
        opener(tmp_path / "no")
    (tmp_path / "empty").touch()
    with pytest.raises(RecordingError, match="is empty"):
        opener(tmp_path / "empty")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"garbage", "not a .npy file: it starts with b'garbag'"),
        (b"\x93NUMPY", "header .* is damaged"),
        (b"\x93NUMPY\x01\x00\xff\x00{", "header .* is damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 70_000, "header .* is damaged"),
        (b"\x93NUMPY\x07\x00\x00\x00\x00\x00", "header .* is damaged"),
        (
            b"\x93NUMPY\x01\x00\x40\x00"
            + b"{'descr': '<i8', 'fortran_order': False, 'shape': (-1, 4)}".ljust(64),
            "header .* is damaged",
        ),
    ],
)
def test_a_damaged_header_is_refused(tmp_path, content, message):
    (tmp_path / "some.npy").write_bytes(content)
    with pytest.raises(RecordingError, match=message):
        open_npy(tmp_path / "some.npy")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("fields", [True, False])
def test_an_array_cut_off_gives_its_whole_rows(tmp_path, fields, order):
    events = at_times(np.arange(0, 1_000_000, 1000))
    array = events if fields else np.asarray(columns_of(events), order=order)
    path = npy_of(tmp_path, array)
    path.write_bytes(path.read_bytes()[:-5])
    file = open_npy(path)

    found, error = read(file)

    np.testing.assert_array_equal(found, events[:-1])
    assert f"at byte {path.stat().st_size}, in row 999 of 1000" in error
    np.testing.assert_array_equal(file.between(0, 997_000), events[:997])
    with pytest.raises(RecordingError, match="in row 999"):
        file.between(990_000, 1_000_000)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (0, np.nan, "has t=nan"),
        (0, np.inf, "has t=inf"),
        (0, 1e30, "has t="),
        (1, -1, "has x=-1"),
        (1, 65_536, "has x=65536"),
        (2, 0.5, "has y=0.5, not a whole number from 0 to 65535"),
        (3, 2, "has p=2.*from -1 to 1"),
        (3, 0.5, "has p=0.5"),
    ],
)
def test_values_that_are_no_events_are_named(tmp_path, column, value, message):
    events = at_times(np.arange(0, 100_000, 1000))
    array = columns_of(events, np.float64)
    array[70, column] = value
    path = npy_of(tmp_path, array)
    byte = path.stat().st_size - array.nbytes + 70 * 32

    found, error = read(open_npy(path))

    np.testing.assert_array_equal(found, events[:70])
    assert re.search(rf"row 70 \(byte {byte}\) {message}", error)


def test_time_that_steps_back_too_far_is_damage(tmp_path):
    times = np.arange(1_000_000, 2_000_000, 10_000)
    times[60:] -= 400_000
    events = at_times(times)
    file = open_npy(npy_of(tmp_path, events))

    found, error = read(file)

    np.testing.assert_array_equal(found, events[:60])
    assert re.search(r"at row 60 \(byte \d+\) time steps back from 1590000 to 1200000", error)
    np.testing.assert_array_equal(file.between(1_000_000, 1_500_000), events[:50])
    with pytest.raises(RecordingError, match="at row 60"):
        file.between(1_550_000, 1_600_000)


@SAME_FOLDER
@given(
    st.lists(st.integers(-MAX_STEP_BACK, 90_000), max_size=60),
    st.integers(0, 1_000_000),
    st.integers(0, 200_000),
)
def test_any_stretch_of_time_holds_exactly_its_events(tmp_path, steps, first, duration):
    found = [1000]
    for step in steps:
        found.append(max(found) + step)
    events = at_times(found)
    events["t"] -= 100_000  # times may be negative
    first -= 200_000
    path = npy_of(tmp_path, events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_BLOCK", 7)
        file = open_npy(path)
        wanted = (events["t"] >= first) & (events["t"] < first + duration)
        np.testing.assert_array_equal(file.between(first, first + duration), events[wanted])
        late, error = read(file, since=first)
    assert error is None
    np.testing.assert_array_equal(late, events[len(events) - len(late) :])
    assert not (events["t"][: len(events) - len(late)] >= first).any()


def test_records_of_n_mnist_are_x_y_polarity_and_time(tmp_path):
    path = tmp_path / "some.bin"
    path.write_bytes(bytes([33, 5, 0x80 | 0x12, 0x34, 0x56, 0, 33, 0x12, 0x34, 0x57]))

    file = open_nmnist(path)

    expected = events_of((0x123456, 33, 5, 1), (0x123457, 0, 33, 0))
    np.testing.assert_array_equal(read(file)[0], expected)
    assert file.stated_size == SensorSize(34, 34)
    assert (file.start, file.end) == (0x123456, 0x123457)
    np.testing.assert_array_equal(file.between(0x123457, 1 << 30), expected[1:])


def test_n_mnist_cut_within_a_record_gives_all_before(tmp_path):
    events = at_times([3, 5, 9])
    path = nmnist_of(tmp_path, events)
    path.write_bytes(path.read_bytes()[:-1])

    found, error = read(open_nmnist(path))

    np.testing.assert_array_equal(found, events[:2])
    assert "in event 2 (byte 10), after 4 of its 5 bytes" in error


def test_an_event_outside_the_sensor_of_n_mnist_is_damage(tmp_path):
    events = at_times(np.arange(100))
    events["y"][50] = 34

    found, error = read(open_nmnist(nmnist_of(tmp_path, events)))

    np.testing.assert_array_equal(found, events[:50])
    assert re.search(
        r"event 50 \(byte 250\) lies at x=16, y=34, outside the sensor .* 34x34", error
    )


@pytest.mark.parametrize("opener", [open_npy, open_nmnist])
def test_a_copy_in_another_process_is_opened_there(tmp_path, opener):
    events = at_times(range(1000))
    make = npy_of if opener is open_npy else nmnist_of
    file = opener(make(tmp_path, events))

    packed = pickle.dumps(file)

    assert len(packed) < 1000
    np.testing.assert_array_equal(read(pickle.loads(packed))[0], events)


FEW = at_times(np.arange(1000, 4000, 60))


@pytest.mark.parametrize("kind", ["C", "F", "fields", "nmnist"])
def test_a_damaged_file_is_read_or_refused(tmp_path, kind):
    if kind == "nmnist":
        opener, path = open_nmnist, nmnist_of(tmp_path, FEW)
    else:
        array = FEW if kind == "fields" else np.asarray(columns_of(FEW), order=kind)
        opener, path = open_npy, npy_of(tmp_path, array)
    whole = path.read_bytes()
    places = st.one_of(st.integers(0, 140), st.integers(0, len(whole) - 1))

    @given(
        st.lists(st.tuples(places, st.integers(0, 255)), max_size=4),
        st.one_of(st.just(len(whole)), places),
    )
    @settings(max_examples=50)
    def damage(changes, num_bytes):
        content = bytearray(whole)
        for at, byte in changes:
            content[at % len(whole)] = byte
        path.write_bytes(content[:num_bytes])
        check_reads_or_refuses(opener, path)

    damage()


def check_reads_or_refuses(opener, path):
    try:
        file = opener(path)
    except RecordingError as error:
        message = str(error)
    else:
        found, message = read(file)
        assert len(found) == file.num_events or message
        assert file.start is None or file.start <= file.end
        message = message or read(file, since=2000)[1]
        try:
            file.between(1500, 2500)
        except RecordingError as error:
            message = message or str(error)
    assert message is None or str(path) in message


def read_reference(event_data, name):
    """The digest and the times of the first and the last event."""
    entry = (event_data / "README.md").read_text().split(f"### {name}\n")[1].split("###")[0]
    times = re.search(r"t (\d+)\.\.(\d+) us", entry)
    return re.search(r"events digest: (\w+)", entry)[1], (int(times[1]), int(times[2]))


@pytest.mark.parametrize(("pattern", "count"), [("labelled/*/*/*.npy", 5), ("nmnist/*.bin", 10)])
def test_real_recordings_give_the_reference_events(event_data, pattern, count):
    paths = list(event_data.glob(pattern))
    assert len(paths) == count
    for path in paths:
        digest, span = read_reference(event_data, path.relative_to(event_data).as_posix())
        file = open_npy(path) if path.suffix == ".npy" else open_nmnist(path)
        events, error = read(file)
        assert error is None
        assert hashlib.sha256(events.tobytes()).hexdigest() == digest
        assert (file.start, file.end) == span


def test_every_recording_of_the_n_mnist_archive_is_read(event_data, tmp_path):
    with zipfile.ZipFile(event_data / "nmnist" / "nmnist_train1000.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".bin")]
        for name in names[::20]:
            events, error = read(open_nmnist(Path(archive.extract(name, tmp_path))))
            assert error is None
            assert 1069 <= len(events) <= 7152
            assert (np.diff(events["t"]) >= 0).all()
    assert len(names) == 1000
