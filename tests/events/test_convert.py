from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from evdet.events.convert import WRITERS, check_output, convert
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.recording import open_recording

SIZE = SensorSize(height=30, width=40)
ROWS = st.tuples(
    st.integers(0, 10**6), st.integers(0, SIZE.width - 1), st.integers(0, SIZE.height - 1),
    st.integers(0, 1),
)  # fmt: skip


def events_of(rows):
    return np.array(sorted(rows, key=lambda row: row[0]), EVENT_DTYPE)


def write(path, events):
    """A recording made by evdet's own writer of DAT."""
    WRITERS[".dat"](path, [events], SIZE)
    return open_recording(path)


def read(path):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *open_recording(path).blocks()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("convert")


# .hdf5 is another name of .h5.
@pytest.mark.parametrize("suffix", sorted({*WRITERS} - {".hdf5"}))
@given(rows=st.lists(ROWS, min_size=1, max_size=50))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_converted_reads_the_same(folder, suffix, rows):
    events = events_of(rows)
    source = write(folder / "source.dat", events)
    target = folder / f"target{suffix}"
    conversion = convert(source, target)
    assert conversion.num_read == conversion.num_written == len(events)
    assert conversion.problem is None
    np.testing.assert_array_equal(read(target), events)
    assert open_recording(target).size == SIZE


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_a_recording_without_events_stays_one(tmp_path, suffix):
    source = write(tmp_path / "source.dat", events_of([]))
    target = tmp_path / f"target{suffix}"
    assert convert(source, target).num_written == 0
    assert len(open_recording(target)) == 0


@given(rows=st.lists(ROWS, min_size=1, max_size=50), cut=st.tuples(*[st.integers(0, 10**6)] * 2))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_interval_is_cut_out_of_a_recording(folder, rows, cut):
    events = events_of(rows)
    source = write(folder / "source.dat", events)
    start, end = min(cut), max(cut) + 1
    target = folder / "target.dat"
    if start > source.duration:
        with pytest.raises(ValueError, match="no events from"):
            convert(source, target, start=start, end=end)
        return
    conversion = convert(source, target, start=start, end=end)
    after = events["t"] - events["t"][0]
    kept = events[(after >= start) & (after < end)]
    assert conversion.num_written == len(kept)
    np.testing.assert_array_equal(read(target), kept)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 5), (7, 6), (None, 0)])
def test_an_empty_interval_is_refused(tmp_path, start, end):
    source = write(tmp_path / "source.dat", events_of([(0, 0, 0, 0), (10, 0, 0, 0)]))
    with pytest.raises(ValueError, match="the interval from"):
        convert(source, tmp_path / "target.dat", start=start, end=end)


def test_filters_work_one_after_the_other_and_are_counted(tmp_path):
    events = events_of([(t, t % 4, 0, 0) for t in range(100)])
    source = write(tmp_path / "source.dat", events)
    target = tmp_path / "target.raw"
    filters = {
        "first column": lambda block: block[block["x"] != 0],
        "two columns": lambda block: block[block["x"] > 1],
    }
    conversion = convert(source, target, filters=filters)
    assert conversion.num_removed == {"first column": 25, "two columns": 25}
    np.testing.assert_array_equal(read(target), events[events["x"] > 1])


def test_of_a_damaged_recording_the_events_before_are_written(tmp_path):
    events = events_of([(t, 1, 1, 1) for t in range(10)])
    write(tmp_path / "whole.dat", events)
    damaged = tmp_path / "damaged.dat"
    damaged.write_bytes((tmp_path / "whole.dat").read_bytes()[:-4] + b"\xff\xff\xff\x0f")
    target = tmp_path / "target.h5"
    conversion = convert(open_recording(damaged), target)
    assert "damaged.dat" in conversion.problem
    assert conversion.num_written == 9
    np.testing.assert_array_equal(read(target), events[:9])


def test_of_what_cannot_be_read_at_all_nothing_is_written(tmp_path):
    write(tmp_path / "source.dat", events_of([(0, 1, 1, 1)]))
    damaged = tmp_path / "damaged.dat"
    damaged.write_bytes((tmp_path / "source.dat").read_bytes()[:-4] + b"\xff\xff\xff\x0f")
    with pytest.raises(RecordingError, match=r"damaged\.dat"):
        convert(open_recording(damaged), tmp_path / "target.raw")
    assert not (tmp_path / "target.raw").exists()


def test_a_time_that_the_format_cannot_hold_names_the_remedy(tmp_path):
    source = tmp_path / "unix_time.csv"
    source.write_text("t,x,y,p\n1600000000000000,1,2,1\n1600000000000009,1,2,0\n")
    target = tmp_path / "target.dat"
    with pytest.raises(ValueError, match=r"1600000000000000.*shift_time"):
        convert(open_recording(source), target)
    assert not target.exists()
    convert(open_recording(source, shift_time=True), target)
    assert read(target)["t"].tolist() == [0, 9]


def test_a_recording_is_never_its_own_target(tmp_path):
    source = write(tmp_path / "source.dat", events_of([(0, 1, 1, 1)]))
    (tmp_path / "link.dat").symlink_to(source.path)
    for target in (source.path, tmp_path / "link.dat"):
        with pytest.raises(ValueError, match="is the recording itself"):
            convert(source, target)
    assert len(read(source.path)) == 1


@pytest.mark.parametrize("name", ["out", "out.csv", "out.aedat4", "out.npy"])
def test_other_endings_are_answered_with_those_there_are(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.dat, \.raw \(EVT3\), \.h5 and \.hdf5"):
        check_output(tmp_path / name, overwrite=False)


def test_an_older_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "out.dat"
    check_output(path, overwrite=False)
    path.write_bytes(b"older")
    with pytest.raises(ValueError, match=r"out.dat.* exists .*--force"):
        check_output(path, overwrite=False)
    check_output(path, overwrite=True)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        check_output(tmp_path / "nowhere" / "out.dat", overwrite=False)


def test_progress_is_told_of_every_event(tmp_path):
    source = write(tmp_path / "source.dat", events_of([(t, 1, 1, 1) for t in range(1000)]))
    told = []
    convert(source, Path(tmp_path / "target.raw"), progress=told.append)
    assert sum(told) == 1000
