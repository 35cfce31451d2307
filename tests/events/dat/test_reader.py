import hashlib
import pickle
import re
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

from evdet.events.dat import reader as dat
from evdet.events.dat.reader import open_dat, write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK

SIZE = SensorSize(height=240, width=304)
HEADER = b"% Version 2\n% Width 304\n% Height 240\n"
KIND = b"\x0c\x08"
TURN = 1 << 32
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def events_of(*rows):
    return np.array(list(rows), dtype=EVENT_DTYPE)


def at_times(times):
    """Events with pixels that differ."""
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"] = times
    numbers = np.arange(len(times))
    events["x"], events["y"], events["p"] = numbers % 304, numbers % 240, numbers % 2
    return events


def records_of(events):
    words = events["x"].astype("<u4") | events["y"].astype("<u4") << 14
    words |= events["p"].astype("<u4") << 28
    return np.stack([(events["t"] % TURN).astype("<u4"), words], axis=1).tobytes()


def file_of(folder, content, name="some.dat"):
    path = folder / name
    path.write_bytes(content)
    return path


def dat_of(folder, events, header=HEADER):
    return file_of(folder, header + KIND + records_of(events))


def read(file, since=None):
    """All events, and what ended them."""
    blocks, error = [np.empty(0, EVENT_DTYPE)], None
    try:
        blocks += file.blocks(since)
    except RecordingError as raised:
        error = str(raised)
    return np.concatenate(blocks), error


@st.composite
def times(draw, max_size=30):
    """Times with steps back, long gaps and turns of the clock, such as a file can hold."""
    latest = draw(st.one_of(st.integers(0, 50), st.integers(TURN - 50_000, TURN - 1)))
    found = [latest]
    steps = st.one_of(
        st.integers(-MAX_STEP_BACK, 50),
        st.integers(0, 60_000),
        st.integers(0, TURN // 2 - MAX_STEP_BACK - 1),
    )
    for step in draw(st.lists(steps, max_size=max_size)):
        found.append(max(latest + step, 0))
        latest = max(latest, found[-1])
    return np.array(found, np.int64)


def test_a_file_without_records_has_no_events(tmp_path):
    file = open_dat(dat_of(tmp_path, events_of()))

    assert read(file) == (pytest.approx(events_of()), None)
    assert (file.num_events, file.start, file.end, file.time_origin) == (0, None, None, None)
    assert len(file.between(0, 100)) == 0
    assert file.stated_size == SIZE


def test_bits_are_where_the_format_has_them(tmp_path):
    record = (70_000).to_bytes(4, "little") + (303 | 239 << 14 | 1 << 28).to_bytes(4, "little")

    events, error = read(open_dat(file_of(tmp_path, HEADER + KIND + record)))

    assert error is None
    np.testing.assert_array_equal(events, events_of((70_000, 303, 239, 1)))


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (HEADER, SIZE),
        (b"% Height 240\r\n% width 304\r\n% end\r\n", SIZE),
        (b"% Data file containing N9Chronocam7Event2dE events.\n% Version 2\n% Date x\n", None),
        (b"%\n%%\xff\n", None),
    ],
)
@pytest.mark.parametrize("kind", [b"\x00\x08", b"\x0c\x08"])
def test_headers_with_and_without_a_size_are_read(tmp_path, header, size, kind):
    events = at_times([3, 5])

    file = open_dat(file_of(tmp_path, header + kind + records_of(events)))

    assert file.stated_size == size
    np.testing.assert_array_equal(read(file)[0], events)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x00\x01garbage", r"not a DAT file: .*b'\\x00'"),
        (b"% Width 304", "header line at byte 0 does not end"),
        (b"%" + b"a" * 70_000, "header line at byte 0 does not end"),
        (HEADER, "ends with its header, at byte 37"),
        (HEADER + b"\x0c", "ends with its header, at byte 38"),
        (HEADER + b"\x0e\x08", "holds external triggers"),
        (HEADER + b"\x0c\x10", "events of type 12 with 16 bytes each"),
        (b"% Version 1\n" + KIND, "version '1'"),
        (b"% Width 304\n" + KIND, "height None and the width 304"),
        (b"% Width 304\n% Height x\n" + KIND, "height x and the width 304"),
        (b"% Width 0\n% Height 240\n" + KIND, "both must be numbers from 1 to 16384"),
    ],
)
def test_a_header_that_says_something_else_is_refused(tmp_path, content, message):
    path = file_of(tmp_path, content)
    with pytest.raises(RecordingError, match=f"{re.escape(str(path))}.*{message}"):
        open_dat(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(RecordingError, match=f"{re.escape(str(tmp_path))}: Is a directory"):
        open_dat(tmp_path)
    with pytest.raises(RecordingError, match="No such file"):
        open_dat(tmp_path / "no.dat")


@SAME_FOLDER
@given(times())
def test_what_is_written_is_read(tmp_path, times):
    events = at_times(times)
    path = tmp_path / "some.dat"

    assert write_dat(path, [events[:7], events[7:7], events[7:]], SIZE) == len(events)

    file = open_dat(path)
    found, error = read(file)
    assert error is None
    np.testing.assert_array_equal(found, events)
    assert (file.start, file.end) == (times.min(), times.max())
    assert file.stated_size == SIZE


@SAME_FOLDER
@given(times(), st.data())
def test_any_stretch_of_time_holds_exactly_its_events(tmp_path, times, data):
    events = at_times(times)
    file = open_dat(dat_of(tmp_path, events))
    near = st.builds(int.__add__, st.sampled_from(times.tolist()), st.integers(-30_000, 30_000))
    for _ in range(5):
        first, end = data.draw(near), data.draw(near)
        expected = events[(times >= first) & (times < end)]
        np.testing.assert_array_equal(file.between(first, end), expected)
        late, error = read(file, since=first)
        assert error is None
        np.testing.assert_array_equal(late, events[len(events) - len(late) :])
        assert not (times[: len(events) - len(late)] >= first).any()


def test_times_beyond_all_clocks_may_be_asked_for(tmp_path):
    file = open_dat(dat_of(tmp_path, at_times([3, 5])))

    assert len(file.between(-(1 << 80), 1 << 80)) == 2
    assert len(file.between(5, 3)) == 0
    assert len(read(file, since=1 << 80)[0]) == 0


def test_a_long_disordered_recording_is_read_and_searched_exactly(tmp_path):
    rng = np.random.default_rng(0)
    # Over the turn of the clock, with more records out of order than one piece or block holds.
    true_times = np.sort(rng.integers(TURN - 400_000, TURN + 400_000, 300_000))
    true_times -= rng.integers(0, MAX_STEP_BACK + 1, len(true_times)) * (rng.random(300_000) < 0.3)
    events = at_times(true_times)
    file = open_dat(dat_of(tmp_path, events))

    np.testing.assert_array_equal(read(file)[0], events)
    assert (file.start, file.end) == (true_times.min(), true_times.max())
    for first in range(int(true_times.min()) // 50_000 * 50_000, file.end, 50_000):
        expected = events[(true_times >= first) & (true_times < first + 50_000)]
        np.testing.assert_array_equal(file.between(first, first + 50_000), expected)


@SAME_FOLDER
@given(times(max_size=200), st.integers(0, 200))
def test_a_large_file_is_searched_for_turns_in_samples(tmp_path, times, at):
    # As in a large file: what happens between two samples takes less than a turn of the clock.
    times = times[0] + (times - times[0]) // len(times)
    events = at_times(np.concatenate([times, times[-1:] + MAX_STEP_BACK * np.arange(1, 50)]))
    path = dat_of(tmp_path, events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dat, "_FEW_RECORDS", 10)
        patch.setattr(dat, "_NUM_SAMPLES", 6)
        file = open_dat(path)

        first = int(events["t"][at % len(events)])
        expected = events[(events["t"] >= first) & (events["t"] < first + 70_000)]
        np.testing.assert_array_equal(file.between(first, first + 70_000), expected)
        assert file.end == events["t"].max()


@pytest.mark.parametrize("num_bytes", range(1, 8))
def test_a_file_cut_within_a_record_gives_all_before_and_says_where(tmp_path, num_bytes):
    events = at_times(np.arange(0, 1_000_000, 1000))
    content = HEADER + KIND + records_of(events)
    file = open_dat(file_of(tmp_path, content[: len(content) - 8 + num_bytes]))

    found, error = read(file)

    np.testing.assert_array_equal(found, events[:-1])
    assert not error
    assert file.num_events == 999
    where = len(HEADER) + 2 + 999 * 8
    assert f"event 999 (byte {where}), after {num_bytes} of its 8 bytes" in file.incomplete_end
    np.testing.assert_array_equal(file.between(0, 997_000), events[:997])
    np.testing.assert_array_equal(file.between(990_000, 1_000_000), events[990:-1])


def test_only_part_of_a_record_is_no_event(tmp_path):
    file = open_dat(file_of(tmp_path, HEADER + KIND + b"\x00\x00\x00"))

    assert not read(file)[1]
    assert "event 0" in file.incomplete_end
    assert file.end is None
    assert len(file.between(0, 1)) == 0


@pytest.mark.parametrize("few", [10, 1000])
def test_time_that_steps_back_too_far_is_damage(tmp_path, monkeypatch, few):
    monkeypatch.setattr(dat, "_FEW_RECORDS", few)
    monkeypatch.setattr(dat, "_NUM_SAMPLES", 5)
    times = np.arange(1_000_000, 2_000_000, 10_000)
    times[60:] -= 400_000
    events = at_times(times)
    file = open_dat(dat_of(tmp_path, events))

    found, error = read(file)

    np.testing.assert_array_equal(found, events[:60])
    where = len(HEADER) + 2 + 60 * 8
    assert f"at event 60 (byte {where}) time steps back from 1590000 to 1200000 us" in error
    np.testing.assert_array_equal(file.between(1_000_000, 1_500_000), events[:50])
    with pytest.raises(RecordingError, match=r"at event 60 \(byte"):
        file.between(1_550_000, 1_600_000)
    late, error = read(file, since=1_700_000)
    assert len(late) == 0
    assert "at event 60" in error


@SAME_FOLDER
@given(st.integers(1, 99), st.integers(0, TURN - 1), st.integers(0, 99))
def test_one_wild_time_hides_nothing_before_it(tmp_path, wild, time, at):
    times = np.arange(1_000_000, 2_000_000, 10_000)
    steps_back = times[wild - 1] - MAX_STEP_BACK > time
    leaps = time > times[-1] + MAX_STEP_BACK and time - times[-1] < TURN // 2 - 2_000_000
    assume(steps_back or leaps)
    assume(wild < 99 or steps_back)
    true = at_times(times)
    events = true.copy()
    events["t"][wild] = time
    file = open_dat(dat_of(tmp_path, events))

    found, error = read(file)

    np.testing.assert_array_equal(found, events[: wild if steps_back else wild + 1])
    assert "steps back" in error
    first, end = int(times[at]), int(times[at]) + 30_000
    if at < wild - 6:
        expected = true[(times >= first) & (times < end)]
        np.testing.assert_array_equal(file.between(first, end), expected)
    elif at > wild:
        with pytest.raises(RecordingError, match="steps back"):
            file.between(first, end)


def test_a_wild_time_that_the_samples_miss_is_found_by_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(dat, "_FEW_RECORDS", 10)
    monkeypatch.setattr(dat, "_NUM_SAMPLES", 3)
    times = np.arange(1_000_000, 2_000_000, 10_000)
    for wild in range(1, 99, 5):
        for wild_time in (0, 1_500_000, 9_000_000):
            events = at_times(times)
            events["t"][wild] = wild_time
            file = open_dat(dat_of(tmp_path, events))
            for at in range(0, 98, 3):
                first, end = int(times[at]), int(times[at]) + 20_000
                try:
                    found = file.between(first, end)["x"]
                except RecordingError:
                    continue
                # Either the events of that time, or, of a file known to be damaged, none missing
                # among those before the damage.
                assert set(range(at, at + 2)) - {wild} <= set(found.tolist())


def test_a_pixel_outside_the_stated_sensor_is_damage(tmp_path):
    events = at_times(np.arange(0, 1_000_000, 1000))
    events["x"][500], events["y"][500] = 304, 7
    file = open_dat(dat_of(tmp_path, events))

    found, error = read(file)

    np.testing.assert_array_equal(found, events[:500])
    where = len(HEADER) + 2 + 500 * 8
    assert f"event 500 (byte {where}) lies at x=304, y=7, t=500000 us, outside" in error
    assert "304x240 (width x height)" in error
    np.testing.assert_array_equal(file.between(0, 500_000), events[:500])
    np.testing.assert_array_equal(file.between(500_001, 2_000_000), events[501:])
    with pytest.raises(RecordingError, match="outside the sensor"):
        file.between(500_000, 500_001)


@pytest.mark.parametrize(("x", "y"), [(304, 0), (0, 240), (16_383, 16_383)])
def test_every_border_of_the_sensor_is_watched(tmp_path, x, y):
    with_size = open_dat(dat_of(tmp_path, events_of((0, x, y, 0))))
    assert "outside the sensor" in read(with_size)[1]

    without = open_dat(dat_of(tmp_path, events_of((0, x, y, 0)), header=b"% Version 2\n"))
    np.testing.assert_array_equal(read(without)[0], events_of((0, x, y, 0)))


WHOLE = HEADER + KIND + records_of(at_times(np.arange(TURN - 3000, TURN + 3000, 60)))


@settings(SAME_FOLDER, max_examples=150)
@given(
    st.integers(0, len(WHOLE)),
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, 2 * TURN),
)
@example(0, [], 0)
def test_a_damaged_file_is_read_or_refused(tmp_path, num_bytes, changes, first):
    content = bytearray(WHOLE)
    for at, byte in changes:
        content[at] = byte
    path = file_of(tmp_path, bytes(content[:num_bytes]))
    try:
        file = open_dat(path)
    except RecordingError:
        return
    found, error = read(file)
    assert len(found) == file.num_events or error
    errors = [error, read(file, since=first)[1]]
    try:
        file.between(first, first + 1000)
    except RecordingError as raised:
        errors.append(str(raised))
    assert all(str(path) in error for error in errors if error)
    assert file.start is None or file.start <= file.end


def test_a_file_that_turns_with_every_record_is_read_in_time(tmp_path):
    events = at_times(np.arange(100_000, dtype=np.int64) * 2_000_000_000)
    file = open_dat(dat_of(tmp_path, events))

    begin = time.process_time()
    np.testing.assert_array_equal(read(file)[0], events)
    for at in range(0, 100_000, 1000):
        assert len(file.between(at * 2_000_000_000, (at + 1) * 2_000_000_000)) == 1
    assert time.process_time() - begin < 5


def test_a_file_of_ten_gigabytes_opens_at_once_and_takes_no_memory(tmp_path):
    path = dat_of(tmp_path, at_times([5, 7, 9]))
    open_dat(path).between(0, 10)  # loads what is compiled
    size = 10_000_000_000
    try:
        with path.open("r+b") as file:
            file.truncate(len(HEADER) + 2 + size // 8 * 8 - 8)
            file.seek(0, 2)
            file.write(records_of(at_times([60_000])))
    except OSError:
        pytest.skip("the file system has no files with holes")
    tracemalloc.start()
    begin = time.perf_counter()
    file = open_dat(path)
    took = time.perf_counter() - begin
    assert file.num_events == size // 8
    assert file.start == 0
    assert file.end == 60_000
    assert len(file.between(60_000, 70_000)) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 0.05
    assert peak < 1_000_000


def test_a_copy_in_another_process_is_opened_there(tmp_path):
    file = open_dat(dat_of(tmp_path, at_times(range(1000))))

    packed = pickle.dumps(file)

    assert len(packed) < 1000
    np.testing.assert_array_equal(read(pickle.loads(packed))[0], read(file)[0])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(-1, 0, 0, 0)], "begins at t=-1 us"),
        ([(TURN, 0, 0, 0)], "begins at t=4294967296 us.*--shift-time"),
        ([(5, 0, 0, 0), (-1, 0, 0, 0)], "event 1 has t=-1 us after 5 us"),
        ([(30_000, 0, 0, 0), (9_999, 0, 0, 0)], "event 1 has t=9999 us after 30000 us"),
        ([(5, 0, 0, 0), (TURN + 5, 0, 0, 0)], "event 1 has t=4294967301 us after 5 us"),
        ([(5, 304, 0, 0)], "event 0 has x=304, y=0, p=0; the sensor is 304x240"),
        ([(5, 0, 240, 0)], "event 0 has x=0, y=240"),
        ([(5, 0, 0, 2)], "event 0 has x=0, y=0, p=2"),
    ],
)
@pytest.mark.parametrize("one_by_one", [False, True])
def test_what_the_format_cannot_hold_is_not_written(tmp_path, rows, message, one_by_one):
    events = events_of(*rows)
    blocks = [events[i : i + 1] for i in range(len(events))] if one_by_one else [events]
    path = file_of(tmp_path, b"what was there")

    with pytest.raises(ValueError, match=message):
        write_dat(path, blocks, SIZE)

    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"what was there"]


def test_gaps_of_an_hour_are_held_before_the_clock_turns(tmp_path):
    events = at_times([0, TURN - 1])
    write_dat(tmp_path / "some.dat", [events], SIZE)
    np.testing.assert_array_equal(read(open_dat(tmp_path / "some.dat"))[0], events)


def test_other_arrays_and_sizes_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="must be of EVENT_DTYPE, got int64"):
        write_dat(tmp_path / "some.dat", [np.zeros(3, np.int64)], SIZE)
    with pytest.raises(ValueError, match=r"16385x240 .* from 1x1 to 16384x16384"):
        write_dat(tmp_path / "some.dat", [], SensorSize(240, 16_385))
    assert not list(tmp_path.iterdir())


def test_no_events_make_a_file_without_records(tmp_path):
    assert write_dat(tmp_path / "some.dat", [], SIZE) == 0
    assert open_dat(tmp_path / "some.dat").num_events == 0


def test_a_source_that_fails_leaves_no_file(tmp_path):
    def blocks():
        yield at_times([1, 2])
        raise RecordingError("damaged")

    with pytest.raises(RecordingError, match="damaged"):
        write_dat(tmp_path / "some.dat", blocks(), SIZE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["dat/sample_ncars.dat", "dat/sparklers_openeb_cd.dat"])
def test_real_recordings_give_the_reference_events(event_data, name):
    entry = (event_data / "README.md").read_text().split(f"### {name}\n")[1].split("###")[0]
    digest = re.search(r"events digest: (\w+)", entry)[1]
    times = re.search(r"t (\d+)\.\.(\d+) us", entry)

    file = open_dat(event_data / name)
    events, error = read(file)

    assert error is None
    assert hashlib.sha256(events.tobytes()).hexdigest() == digest
    assert (file.start, file.end) == (int(times[1]), int(times[2]))
    bins = [file.between(first, first + 10_000) for first in range(0, file.end + 1, 10_000)]
    np.testing.assert_array_equal(
        np.concatenate(bins), events[np.argsort(events["t"] // 10_000, kind="stable")]
    )
