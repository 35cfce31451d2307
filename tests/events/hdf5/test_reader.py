"""HDF5 files in columns, as DSEC has them: read, written, searched, damaged."""

import contextlib
import hashlib
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from evdet.events import EVENT_DTYPE, RecordingError, SensorSize, open_recording
from evdet.events.hdf5.reader import open_hdf5
from evdet.events.hdf5.writer import write_dsec

SIZE = SensorSize(height=30, width=40)
EVENT = st.tuples(st.integers(0, 10**8), st.integers(0, 39), st.integers(0, 29), st.integers(0, 1))
START = st.integers(-(10**15), 10**16)
FILES = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def events_of(*rows):
    return np.array(list(rows), EVENT_DTYPE)


def random_events(seed, num_events, *, duration=1_000_000, start=0):
    rng = np.random.default_rng(seed)
    events = np.zeros(num_events, EVENT_DTYPE)
    events["t"] = start + np.sort(rng.integers(0, duration, num_events))
    events["x"] = rng.integers(0, SIZE.width, num_events)
    events["y"] = rng.integers(0, SIZE.height, num_events)
    events["p"] = rng.integers(0, 2, num_events)
    return events


def write_columns(path, events, *, group="events/", names="txyp", **options):
    """What other programs write: no index, no size, no compression unless asked for."""
    with h5py.File(path, "w") as file:
        for field, name in zip("txyp", names, strict=True):
            file.create_dataset(group + name, data=events[field], **options)
    return path


def read_all(file):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *file.blocks()])


def assert_same(left, right):
    np.testing.assert_array_equal(left, right)


def test_a_file_without_events_has_none(tmp_path):
    assert write_dsec(tmp_path / "a.h5", [], SIZE) == 0
    file = open_hdf5(tmp_path / "a.h5")
    assert (file.num_events, file.start, file.end) == (0, None, None)
    assert list(file.blocks()) == []
    assert len(file.between(0, 100)) == 0


@given(start=START, rows=st.lists(EVENT, max_size=20))
@FILES
def test_reading_gives_what_was_written(tmp_path, start, rows):
    events = events_of(*sorted(rows))
    events["t"] += start
    assert write_dsec(tmp_path / "a.h5", [events], SIZE) == len(events)
    file = open_hdf5(tmp_path / "a.h5")

    assert_same(read_all(file), events)
    assert file.stated_size == SIZE
    assert file.num_events == len(events)
    if len(events):
        assert (file.start, file.end) == (events["t"][0], events["t"][-1])


def test_blocks_of_any_length_make_the_same_file(tmp_path):
    events = random_events(0, 400_000)
    cuts = np.sort(np.random.default_rng(1).integers(0, len(events), 40))
    assert write_dsec(tmp_path / "a.h5", np.split(events, cuts), SIZE) == len(events)
    assert_same(read_all(open_hdf5(tmp_path / "a.h5")), events)


def test_the_index_and_the_offset_are_those_of_dsec(tmp_path):
    times = [5_000_300, 5_000_400, 5_001_300, 5_001_301, 5_003_900]
    write_dsec(tmp_path / "a.h5", [events_of(*((t, 1, 1, 1) for t in times))], SIZE)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["t_offset"][()] == 5_000_300
        assert file["events/t"].dtype == np.uint32
        assert file["events/t"][:].tolist() == [0, 100, 1000, 1001, 3600]
        # Entry m: t[ms_to_idx[m]] >= 1000 m and t[ms_to_idx[m] - 1] < 1000 m.
        assert file["ms_to_idx"][:].tolist() == [0, 2, 4, 4, 5]


def test_a_recording_of_over_71_minutes_gets_wide_times(tmp_path):
    early = random_events(0, 200_000, start=-500)
    late = random_events(1, 200_000, start=1 << 32)
    write_dsec(tmp_path / "a.h5", [early, late], SIZE)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["events/t"].dtype == np.int64
    assert_same(read_all(open_hdf5(tmp_path / "a.h5")), np.concatenate([early, late]))


def test_small_steps_back_are_put_in_order(tmp_path):
    events = random_events(0, 300_000)
    late = events["t"] + np.random.default_rng(2).integers(0, 19_000, len(events))
    shuffled = events[np.argsort(late, kind="stable")]
    write_dsec(tmp_path / "a.h5", np.array_split(shuffled, 30), SIZE)

    expected = shuffled[np.argsort(shuffled["t"], kind="stable")]
    assert_same(read_all(open_hdf5(tmp_path / "a.h5")), expected)


def test_a_large_step_back_leaves_no_file(tmp_path):
    blocks = [events_of((50_000, 1, 1, 1)), events_of((10, 1, 1, 1))]
    with pytest.raises(RecordingError, match="steps back by 49990 us"):
        write_dsec(tmp_path / "a.h5", blocks, SIZE)
    assert list(tmp_path.iterdir()) == []


def test_an_event_outside_the_sensor_leaves_the_older_file(tmp_path):
    write_dsec(tmp_path / "a.h5", [events_of((1, 1, 1, 1))], SIZE)
    with pytest.raises(RecordingError, match="x=40, y=0, outside the sensor 40x30"):
        write_dsec(tmp_path / "a.h5", [events_of((5, 40, 0, 1))], SIZE)
    assert open_hdf5(tmp_path / "a.h5").num_events == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("index", ["right", "absent", "wrong"])
def test_any_stretch_is_found(tmp_path, index):
    events = random_events(3, 500_000, duration=10_000_000, start=123_456)
    write_dsec(tmp_path / "a.h5", [events], SIZE)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        if index == "wrong":
            file["ms_to_idx"][:] = np.random.default_rng(0).permutation(file["ms_to_idx"][:])
        elif index == "absent":
            del file["ms_to_idx"]
    file = open_hdf5(tmp_path / "a.h5")
    for first, end in [(0, 50), (123_456, 173_456), (5_000_000, 5_050_000), (10**7, 10**8)]:
        inside = events[(events["t"] >= first) & (events["t"] < end)]
        assert_same(file.between(first, end), inside)
        rest = np.concatenate([np.empty(0, EVENT_DTYPE), *file.blocks(first)])
        assert_same(rest[rest["t"] >= first], events[events["t"] >= first])
    # A search does not start at the beginning.
    assert sum(map(len, file.blocks(9_000_000))) < 300_000


def test_a_stretch_of_a_file_with_steps_back_is_whole_and_in_file_order(tmp_path):
    events = random_events(4, 300_000)
    late = events["t"] + np.random.default_rng(2).integers(0, 19_000, len(events))
    events = events[np.argsort(late, kind="stable")]
    file = open_hdf5(write_columns(tmp_path / "a.h5", events, chunks=(5000,)))
    assert (file.start, file.end) == (events["t"].min(), events["t"].max())
    for first in (0, 200_000, 500_000, 999_000):
        inside = events[(events["t"] >= first) & (events["t"] < first + 30_000)]
        assert_same(file.between(first, first + 30_000), inside)


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (100,)}, {"compression": "gzip", "shuffle": True}]
)
@pytest.mark.parametrize(
    ("group", "names"), [("events/", "txyp"), ("", "txyp"), ("events/", ("ts", "xs", "ys", "ps"))]
)
def test_columns_of_other_programs_are_read(tmp_path, options, group, names):
    events = random_events(5, 1000)
    file = open_hdf5(write_columns(tmp_path / "a.h5", events, group=group, names=names, **options))
    assert_same(read_all(file), events)
    assert file.stated_size is None


@pytest.mark.parametrize("polarity", [bool, np.int8, np.int64])
def test_polarity_may_be_signs_or_truth(tmp_path, polarity):
    events = random_events(6, 100)
    p = events["p"].astype(bool) if polarity is bool else events["p"].astype(polarity) * 2 - 1
    with h5py.File(write_columns(tmp_path / "a.h5", events), "r+") as file:
        del file["events/p"]
        file["events/p"] = p
    assert_same(read_all(open_hdf5(tmp_path / "a.h5")), events)


def test_t_offset_is_added(tmp_path):
    events = random_events(7, 100)
    with h5py.File(write_columns(tmp_path / "a.h5", events), "r+") as file:
        file["t_offset"] = np.int64(10**15)
    file = open_hdf5(tmp_path / "a.h5")
    assert file.start == events["t"][0] + 10**15
    assert_same(read_all(file)["t"], events["t"] + 10**15)


@pytest.mark.parametrize("place", ["/", "events"])
@pytest.mark.parametrize("kind", ["attribute", "dataset"])
def test_the_size_is_read_where_it_is_stated(tmp_path, place, kind):
    with h5py.File(write_columns(tmp_path / "a.h5", random_events(8, 10)), "r+") as file:
        target = file[place].attrs if kind == "attribute" else file[place]
        target["width"], target["height"] = 40, 30
    assert open_hdf5(tmp_path / "a.h5").stated_size == SIZE


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_metavision_table_without_ecf_is_read(tmp_path, compression):
    events = random_events(9, 1000)
    table = np.zeros(1000, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name in "txyp":
        table[name] = events[name]
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.attrs["geometry"] = b"40x30"
        file.create_dataset("CD/events", data=table, compression=compression, chunks=(64,))
    file = open_hdf5(tmp_path / "a.hdf5")
    assert_same(read_all(file), events)
    assert_same(file.between(1000, 5000), events[(events["t"] >= 1000) & (events["t"] < 5000)])
    assert file.stated_size == SIZE


def test_columns_of_different_lengths_give_what_is_whole(tmp_path):
    events = random_events(10, 100)
    with h5py.File(write_columns(tmp_path / "a.h5", events), "r+") as file:
        del file["events/p"]
        file["events/p"] = events["p"][:90]
    delivered = []
    with pytest.raises(RecordingError, match=r"holds 90 complete events.*events/t 100"):
        delivered.extend(open_hdf5(tmp_path / "a.h5").blocks())
    assert_same(np.concatenate(delivered), events[:90])


def test_a_length_beyond_what_was_written_ends_with_an_error(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "txyp":
            file.create_dataset(
                f"events/{name}", shape=(1 << 60,), maxshape=(None,), chunks=(1000,), dtype="u2"
            )
    file = open_hdf5(tmp_path / "a.h5")
    assert file.end is None
    with pytest.raises(RecordingError, match="holds 0 complete events"):
        list(file.blocks())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r"none\.h5: .*HDF5"):
        open_hdf5(tmp_path / "none.h5")


def test_a_file_cut_anywhere_is_refused(tmp_path):
    write_dsec(tmp_path / "a.h5", [random_events(0, 500)], SIZE)
    content = (tmp_path / "a.h5").read_bytes()
    for length in range(0, len(content) - 1, max(1, len(content) // 40)):
        (tmp_path / "cut.h5").write_bytes(content[:length])
        with pytest.raises(RecordingError, match=r"cut\.h5: "):
            list(open_hdf5(tmp_path / "cut.h5").blocks())


@given(data=st.data())
# The same files every time: a rare one could hang HDF5 itself.
@settings(FILES, max_examples=50, derandomize=True)
def test_a_damaged_file_gives_events_or_the_one_error(tmp_path, data):
    events = random_events(0, 500)
    write_dsec(tmp_path / "a.h5", [events], SIZE)
    content = bytearray((tmp_path / "a.h5").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "bad.h5").write_bytes(content)
    # Anything but a RecordingError fails here.
    with contextlib.suppress(RecordingError):
        file = open_hdf5(tmp_path / "bad.h5")
        assert sum(map(len, file.blocks())) <= 2 * len(events)
        file.between(0, 1000)


def test_an_opened_file_goes_to_a_forked_process_and_into_a_pickle(tmp_path):
    events = random_events(0, 1000)
    write_dsec(tmp_path / "a.h5", [events], SIZE)
    file = open_hdf5(tmp_path / "a.h5")
    next(file.blocks())
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert_same(pool.apply(file.between, (0, 10**6)), events)
    assert_same(pickle.loads(pickle.dumps(file)).between(0, 10**6), events)


WITHOUT_PLUGIN = """
import sys
from pathlib import Path
sys.modules["hdf5plugin"] = None
from evdet.events import RecordingError, SensorSize
from evdet.events.hdf5.reader import open_hdf5
from evdet.events.hdf5.writer import write_dsec
for run in (lambda p: open_hdf5(p), lambda p: write_dsec(p, [], SensorSize(1, 1))):
    try:
        run(Path(sys.argv[1]))
    except RecordingError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_missing_plugin_is_named_with_the_command_that_installs_it(tmp_path):
    write_dsec(tmp_path / "a.h5", [random_events(0, 1000)], SIZE)
    command = [sys.executable, "-c", WITHOUT_PLUGIN, str(tmp_path / "a.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("pip install hdf5plugin") == 2, done.stdout


def test_a_recording_in_the_layout_of_dsec_is_read_to_the_last_event(event_data):
    file = open_hdf5(event_data / "hdf5" / "dvxplorer_lite_dsec_layout.h5")
    digest = hashlib.sha256(read_all(file).tobytes()).hexdigest()
    assert digest == "8e8467d9ac3912a53647b8500d294e4beb233b54fa2345d08a9be133a44155b2"
    assert file.stated_size == SensorSize(240, 320)
    assert (file.start, file.end) == (1605537493718345, 1605537494308262)


def test_hdf5_files_are_written_where_the_plugin_path_names_hdf5plugin(tmp_path):
    import hdf5plugin

    program = (
        "import sys; from pathlib import Path; from evdet.events import convert, open_recording; "
        "from evdet.samples import sample_recording; "
        "convert(open_recording(sample_recording()), Path(sys.argv[1]))"
    )
    folder = Path(hdf5plugin.__file__).parent / "plugins"
    command = [sys.executable, "-c", program, str(tmp_path / "a.h5")]
    environment = {**os.environ, "HDF5_PLUGIN_PATH": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert len(open_recording(tmp_path / "a.h5")) > 0
