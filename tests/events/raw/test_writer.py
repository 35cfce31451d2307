import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.files import MAX_STEP_BACK
from evdet.events.raw.reader import open_raw
from evdet.events.raw.writer import write_evt3

SIZE = SensorSize(height=48, width=640)
DAY = 86_400_000_000


def events_of(*rows):
    return np.array(list(rows), dtype=EVENT_DTYPE)


def read_all(path):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *open_raw(path).blocks()])


def words_of(path):
    return np.frombuffer(path.read_bytes().split(b"% end\n", 1)[1], "<u2").tolist()


@st.composite
def recordings(draw):
    """Events in bursts: rows of one time, mixed with steps back and pauses of any length."""
    rows, t = [], draw(st.sampled_from([0, 0, 4095, (1 << 24) - 3, 1 << 24, 5 << 24, DAY // 2]))
    for _ in range(draw(st.integers(0, 12))):
        step = draw(
            st.sampled_from([0, 1, 40, 4096, 1 << 22, (1 << 23) - 1, 1 << 23, (1 << 24) + 5])
            | st.integers(-MAX_STEP_BACK // 4, 200_000)
        )
        latest = max([row[0] for row in rows], default=0)
        stays = t + step >= latest - MAX_STEP_BACK and (t + step) >> 24 >= (latest >> 24)
        t = max(t + step, 0) if stays else t
        y, p = draw(st.integers(0, 47)), draw(st.integers(0, 1))
        x = draw(st.integers(0, 639))
        for gap in draw(st.lists(st.sampled_from([1, 1, 1, 2, 9, 0, -3]), max_size=40)):
            rows.append((t, x, y, p))
            x = min(max(x + gap, 0), 639)
    return events_of(*rows)


def test_no_events_make_a_file_without_words(tmp_path):
    assert write_evt3(tmp_path / "a.raw", [], SIZE) == 0
    assert write_evt3(tmp_path / "a.raw", [events_of()], SIZE) == 0
    assert words_of(tmp_path / "a.raw") == []
    assert open_raw(tmp_path / "a.raw").stated_size == SIZE


@given(recordings(), st.integers(0, 100))
def test_writing_and_reading_is_the_identity(tmp_path_factory, events, cut):
    path = tmp_path_factory.getbasetemp() / "identity.raw"

    assert write_evt3(path, [events[:cut], events[cut:]], SIZE) == len(events)

    np.testing.assert_array_equal(read_all(path), events)
    assert open_raw(path).num_events == len(events)


def test_words_worked_by_hand(tmp_path):
    events = events_of(
        (4100, 7, 3, 1), (4100, 6, 3, 1), (4100, 6, 4, 0), *((4101, x, 4, 1) for x in range(9, 25))
    )
    write_evt3(tmp_path / "a.raw", [events], SIZE)

    assert words_of(tmp_path / "a.raw") == [
        0x8001, 0x6004, 3, 0x2807, 0x2806, 4, 0x2006, 0x6005, 0x3809, 0x4FFF, 0x500F,
    ]  # fmt: skip


def test_dense_rows_take_a_fifth_of_a_word_each(tmp_path):
    row = events_of(*((5, x, 1, 0) for x in range(640)))
    write_evt3(tmp_path / "a.raw", [row], SIZE)

    assert len(words_of(tmp_path / "a.raw")) < 640 / 5


def test_time_high_is_repeated(tmp_path):
    events = events_of(*((i, 1, 1, 0) for i in range(3000)))
    write_evt3(tmp_path / "a.raw", [events], SIZE)

    assert words_of(tmp_path / "a.raw").count(0x8000) > 10


def test_a_time_low_follows_every_time_high(tmp_path):
    """Decoders differ in which low bits a new TIME_HIGH has."""
    events = events_of(*((i * 900, 1, 1, 0) for i in range(3000)), (DAY // 9, 1, 1, 0))
    write_evt3(tmp_path / "a.raw", [events], SIZE)

    words = words_of(tmp_path / "a.raw")

    after = [words[i + 1] >> 12 for i, word in enumerate(words[:-1]) if word >> 12 == 8]
    assert set(after) == {6}


def test_the_clock_wraps_in_a_small_step(tmp_path):
    """Some decoders see a wrap only where the clock steps back by nearly a whole turn."""
    events = events_of((5, 1, 1, 0), (11 << 24, 2, 1, 0), ((15 << 24) + 9_000_000, 3, 1, 0))
    write_evt3(tmp_path / "a.raw", [events], SIZE)

    highs = [word & 0xFFF for word in words_of(tmp_path / "a.raw") if word >> 12 == 8]

    wraps = [(a, b) for a, b in itertools.pairwise(highs) if b < a]
    assert wraps == [(4095, 0)] * 15
    np.testing.assert_array_equal(read_all(tmp_path / "a.raw"), events)


def made_of(kind):
    """Events with runs of neighbours, on a clock of this kind."""
    rng = np.random.default_rng(0)
    steps = {
        "dense": rng.integers(0, 3, 20_000),
        "sparse": rng.integers(0, 5000, 20_000),
        "with pauses": np.where(rng.random(20_000) < 0.001, 5_000_000, 2),
        "late": rng.integers(0, 50, 20_000) + (np.arange(20_000) == 0) * ((5 << 24) + 123),
        "with steps back": rng.integers(0, 50, 20_000),
    }[kind]
    run = np.arange(20_000) // 8 * 8
    events = np.zeros(20_000, EVENT_DTYPE)
    events["t"] = np.cumsum(steps)[run]
    if kind == "with steps back":
        events["t"] += 10_000 - 3000 * (rng.random(20_000) < 0.01)[run]
    events["x"] = rng.integers(0, 600, 20_000)[run] + np.arange(20_000) % 8
    events["y"] = rng.integers(0, 48, 20_000)[run]
    events["p"] = rng.integers(0, 2, 20_000)[run]
    return events


def read_by_evt3(path):
    found = pytest.importorskip("evt3").decode_file(str(path))
    return found.t, found.x, found.y, found.p


def read_by_evlib(path):
    frame = pytest.importorskip("evlib").load_events(str(path), sort=False).collect()
    times = frame["t"].dt.total_microseconds().to_numpy()
    return times, frame["x"].to_numpy(), frame["y"].to_numpy(), frame["polarity"].to_numpy() > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "sparse", "with pauses", "late", "with steps back"])
@pytest.mark.parametrize("read", [read_by_evt3, read_by_evlib])
def test_other_decoders_read_the_same_events(tmp_path, read, kind):
    events = made_of(kind)
    write_evt3(tmp_path / "a.raw", [events], SIZE)

    for column, name in zip(read(tmp_path / "a.raw"), "txyp", strict=True):
        np.testing.assert_array_equal(np.asarray(column).astype(np.int64), events[name])


def test_more_events_than_one_buffer_of_words_holds(tmp_path):
    rng = np.random.default_rng(0)
    events = np.zeros(200_000, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, 1 << 26, len(events)))
    events["x"], events["y"] = rng.integers(0, 640, len(events)), rng.integers(0, 48, len(events))
    write_evt3(tmp_path / "a.raw", np.array_split(events, 7), SIZE)

    np.testing.assert_array_equal(read_all(tmp_path / "a.raw"), events)


def test_the_largest_sensor_fits(tmp_path):
    events = events_of((0, 2047, 2047, 1), (0, 0, 0, 0))
    write_evt3(tmp_path / "a.raw", [events], SensorSize(2048, 2048))

    np.testing.assert_array_equal(read_all(tmp_path / "a.raw"), events)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 640, 0, 0)], "lie outside the sensor 640x48.*x=640"),
        ([(0, 0, 0, 0), (0, 0, 48, 0)], "lie outside the sensor 640x48.*y=48"),
        ([(0, 0, 0, 2)], "p=2"),
        ([(-5, 0, 0, 0)], "t=-5 us is before 0"),
        ([(30_000, 0, 0, 0), (9_999, 0, 0, 0)], "steps back from 30000 to t=9999 us"),
        ([((1 << 24) + 1, 0, 0, 0), ((1 << 24) - 1, 0, 0, 0)], "over a multiple of 2.24 us"),
        ([(DAY + 1, 0, 0, 0)], "no events from 0 to t=86400000001 us.*shift_time"),
        ([(5, 0, 0, 0), (DAY + 6, 0, 0, 0)], "no events from 5 to"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_and_leaves_no_file(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        write_evt3(tmp_path / "a.raw", [events_of(*rows)], SIZE)
    assert list(tmp_path.iterdir()) == []


def test_a_sensor_with_too_many_pixels_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"2049x10 .* from 1x1 to 2048x2048"):
        write_evt3(tmp_path / "a.raw", [], SensorSize(10, 2049))


def test_a_failure_half_way_leaves_the_old_file(tmp_path):
    write_evt3(tmp_path / "a.raw", [events_of((1, 2, 3, 1))], SIZE)

    def broken():
        yield events_of((1, 1, 1, 1))
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        write_evt3(tmp_path / "a.raw", broken(), SIZE)

    assert [item.name for item in tmp_path.iterdir()] == ["a.raw"]
    assert len(read_all(tmp_path / "a.raw")) == 1


def test_the_events_are_left_as_they_were(tmp_path):
    events = events_of((1, 2, 3, 1), (2, 2, 3, 1))
    before = events.copy()
    write_evt3(tmp_path / "a.raw", [events[::-1][::-1]], SIZE)
    np.testing.assert_array_equal(events, before)
