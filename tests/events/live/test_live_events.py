import io
import os
import queue
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK
from evdet.events.live.byte_sources import ByteSource, FollowedFile, Pipe
from evdet.events.live.live_events import LiveEvents
from evdet.events.raw.writer import write_evt3
from evdet.events.recording import open_recording

SIZE = SensorSize(height=8, width=9)
HEADER = b"% Version 2\n% Width 9\n% Height 8\n\x0c\x08"
WITHOUT_SIZE = b"% Version 2\n\x0c\x08"
MS = 1000


class Sender:
    """A source whose bytes a test sends when it likes; a `ByteSource`."""

    def __init__(self, *pieces):
        self.unread = queue.Queue()
        self.is_stopped = self.is_closed = False
        for piece in pieces:
            self.unread.put(piece)

    def read(self):
        piece = self.unread.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def stop(self):
        self.is_stopped = True
        self.unread.put(b"")

    def close(self):
        self.is_closed = True


def at(*times):
    """Records of a DAT file."""
    records = np.zeros(len(times), [("t", "<u4"), ("word", "<u4")])
    records["t"] = times
    return records.tobytes()


def open_live(*pieces, delta_t=10, **options):
    sender = Sender(*pieces)
    options = {"max_delay": None, "max_backlog": None, **options}
    return sender, LiveEvents(sender, name="sensor", delta_t=delta_t, **options)


def starts(windows):
    return [(w.time_bin.start, len(w.time_bin.events)) for w in windows]


def test_a_source_without_events_has_no_windows():
    sender, live = open_live(HEADER, b"")
    assert isinstance(sender, ByteSource)
    assert live.size == SIZE
    assert live.format == "DAT"
    assert list(live.slices()) == []
    assert sender.is_stopped
    assert (live.num_skipped, live.num_late) == (0, 0)


def test_the_last_window_comes_when_the_source_ends():
    _, live = open_live(HEADER, at(5, 17), at(31), b"")
    before = time.monotonic()
    windows = list(live.slices())
    assert starts(windows) == [(0, 1), (10, 1), (20, 0), (30, 1)]
    assert all(before - 10 < window.arrived <= time.monotonic() for window in windows)


def test_a_window_comes_as_soon_as_it_is_over():
    sender, live = open_live(HEADER)
    windows = live.slices()
    sender.unread.put(at(5, 17))
    assert next(windows).time_bin.start == 0
    sender.unread.put(at(23))
    assert next(windows).time_bin.start == 10
    sender.unread.put(b"")
    assert starts(windows) == [(20, 1)]


@settings(max_examples=25)
@given(
    steps=st.lists(st.integers(-400, 40_000), min_size=1, max_size=60),
    places=st.lists(st.integers(0, 900), max_size=12),
    delta_t=st.sampled_from([700, 10_000, 50_000]),
    is_dat=st.booleans(),
)
def test_any_pieces_give_the_slices_of_the_recording(
    tmp_path_factory, steps, places, delta_t, is_dat
):
    events = np.zeros(len(steps), EVENT_DTYPE)
    events["t"] = np.maximum(100_000 + np.cumsum(steps), 0)
    events["x"] = np.arange(len(steps)) % SIZE.width
    path = tmp_path_factory.mktemp("live") / ("a.dat" if is_dat else "a.raw")
    (write_dat if is_dat else write_evt3)(path, [events], SIZE)
    content = path.read_bytes()
    ends = sorted({*places, len(content)})
    pieces = [content[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    pieces = [piece for piece in pieces if piece]

    _, live = open_live(*pieces, b"", delta_t=delta_t, max_disorder=MAX_STEP_BACK)
    found = list(live.slices())

    expected = list(open_recording(path).slices(delta_t))
    assert len(found) == len(expected)
    for window, time_bin in zip(found, expected, strict=True):
        assert window.time_bin[:2] == time_bin[:2]
        np.testing.assert_array_equal(window.time_bin.events, time_bin.events)


def test_what_lies_before_the_damage_comes_first():
    outside = np.array([47, 100], "<u4").tobytes()
    _, live = open_live(HEADER, at(5, 31) + outside, at(60))
    windows: list = []
    with pytest.raises(RecordingError, match=r"sensor: event 2 lies outside the sensor 9x8"):
        windows.extend(live.slices())
    assert starts(windows) == [(0, 1), (10, 0), (20, 0), (30, 1)]


def test_a_source_that_fails_says_so_after_what_has_come():
    _, live = open_live(HEADER, at(5, 17), MemoryError("full"))
    windows: list = []
    with pytest.raises(RecordingError, match=r"sensor .*MemoryError"):
        windows.extend(live.slices())
    assert starts(windows) == [(0, 1), (10, 1)]


def test_a_silent_sensor_has_windows_by_the_clock_on_the_wall():
    sender, live = open_live(HEADER, at(5 * MS), delta_t=10 * MS, max_delay=20 * MS)
    windows = live.slices()
    begin = time.monotonic()
    found = [next(windows) for _ in range(4)]
    assert starts(found) == [(0, 1), (10 * MS, 0), (20 * MS, 0), (30 * MS, 0)]
    # The last ends 35 ms after the event, and is waited for another 20 ms.
    assert time.monotonic() - begin > 0.05
    gaps = np.diff([window.arrived for window in found])
    np.testing.assert_allclose(gaps, 0.01)
    sender.unread.put(at(1000 * MS))
    sender.unread.put(b"")
    rest = starts(windows)
    assert rest[-1] == (1000 * MS, 1)
    assert sum(count for _, count in rest) == 1
    assert live.num_late == 0


def test_a_pause_that_was_no_silence_is_warned_of_and_waited_for_from_then_on(caplog):
    sender, live = open_live(HEADER, at(5 * MS), delta_t=10 * MS, max_delay=1 * MS)
    windows = live.slices()
    found = [next(windows) for _ in range(3)]
    sender.unread.put(at(6 * MS, 15 * MS))  # of the two first windows
    while not live.num_late:
        time.sleep(0.001)
    sender.unread.put(at(7 * MS, 90 * MS))
    sender.unread.put(b"")
    found += list(windows)
    assert live.num_late == 3
    assert [start for start, _ in starts(found)] == list(range(0, 100 * MS, 10 * MS))
    assert caplog.text.count("events of a pause") == 1


def test_a_source_that_has_to_wait_is_not_taken_for_silent():
    pieces = [at(10 * MS * k) for k in range(100)]
    _, live = open_live(HEADER, *pieces, b"", delta_t=10 * MS, max_delay=100 * MS)
    found = []
    for window in live.slices():
        found.append(window)
        if len(found) == 30:
            time.sleep(0.3)
    assert live.num_late == 0
    assert [count for _, count in starts(found)] == [1] * 100


def test_whole_windows_are_skipped_when_too_many_wait(caplog):
    _, live = open_live(HEADER, at(*range(5, 300, 10)), b"", max_backlog=3)
    windows = list(live.slices())
    # All but the newest complete one, and then the one that the end closes.
    assert starts(windows) == [(280, 1), (290, 1)]
    assert live.num_skipped == 28
    assert "29 time bins waited, more than max_backlog 3" in caplog.text
    assert caplog.text.count("waited") == 1


def test_a_backlog_that_is_allowed_is_played():
    _, live = open_live(HEADER, at(5, 15, 25, 35), b"", max_backlog=3)
    assert len(list(live.slices())) == 4
    assert live.num_skipped == 0


def test_silence_counts_for_the_backlog_too():
    _, live = open_live(HEADER, at(0), delta_t=1 * MS, max_delay=0, max_backlog=5)
    windows = live.slices()
    next(windows)
    time.sleep(1.0)
    late = time.monotonic() - next(windows).arrived
    assert live.num_skipped >= 500
    assert late < 0.8  # a busy machine is late, too, but not by the whole second
    windows.close()


def test_without_skipping_the_source_waits():
    pieces = [at(10 * k) for k in range(200)]
    sender, live = open_live(HEADER, *pieces, b"")
    windows = live.slices()
    next(windows)
    time.sleep(0.05)
    assert sender.unread.qsize() > 100
    assert len(list(windows)) == 199


def test_nothing_is_read_ahead_before_somebody_listens():
    sender, live = open_live(HEADER, at(5), at(15), b"", max_backlog=1)
    time.sleep(0.03)
    assert sender.unread.qsize() == 3
    assert len(list(live.slices())) + live.num_skipped == 2


def test_stop_delivers_what_has_come():
    _, live = open_live(HEADER, at(5, 17))
    windows = live.slices()
    assert next(windows).time_bin.start == 0
    live.stop()
    live.stop()
    assert starts(windows) == [(10, 1)]


def test_ctrl_c_while_waiting_ends_cleanly():
    sender, live = open_live(HEADER, at(5, 17))
    windows = live.slices()
    next(windows)
    threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    assert starts(windows) == [(10, 1)]
    assert sender.is_stopped


def test_whoever_stops_listening_stops_the_source():
    sender, live = open_live(HEADER, at(5, 17))
    windows = live.slices()
    next(windows)
    windows.close()
    assert sender.is_stopped


def test_late_events_of_a_disordered_source_are_counted_and_warned_of(caplog):
    _, live = open_live(HEADER, at(5, 12, 8, 30), b"")
    assert starts(live.slices()) == [(0, 1), (10, 1), (20, 0), (30, 1)]
    assert live.num_late == 1
    assert "steps back by more than max_disorder" in caplog.text


def test_a_source_that_does_not_say_its_size_needs_one():
    with pytest.raises(ValueError, match=r"sensor .*--sensor-size"):
        open_live(WITHOUT_SIZE, at(5))
    _, live = open_live(WITHOUT_SIZE, at(5), b"", size=SIZE)
    assert live.size == SIZE
    assert starts(live.slices()) == [(0, 1)]


def test_silly_values_are_named():
    for name, value in (("delta_t", 0), ("max_disorder", -1), ("max_delay", -1),
                        ("max_backlog", 0)):  # fmt: skip
        with pytest.raises(ValueError, match=f"{name} must be .*got {value}"):
            open_live(HEADER, **{name: value})
    with pytest.raises(RecordingError, match="without data"):
        open_live(b"")
    with pytest.raises(RecordingError, match="sensor live"):
        open_live(b"\x89HDF\r\n\x1a\n\0")


def test_a_pipe_gives_what_there_is():
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as writer:
        pipe = Pipe(os.fdopen(reading, "rb"), "pipe", closes=True)
        writer.write(b"abc")
        assert pipe.read() == b"abc"
    assert pipe.read() == b""
    pipe.stop()
    pipe.close()
    with pytest.raises(RecordingError, match="cannot read pipe"):
        pipe.read()
    kept = io.BytesIO(b"abc")
    Pipe(kept, "bytes").close()
    assert Pipe(kept, "bytes").read() == b"abc"


@pytest.fixture
def growing(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(b"abc")
    source = FollowedFile(path, idle_timeout=5)
    yield path, source
    source.close()


def test_a_growing_file_is_followed(growing):
    path, source = growing
    assert source.read() == b"abc"
    with path.open("ab") as file:
        threading.Timer(0.03, lambda: (file.write(b"de"), file.flush())).start()
        assert source.read() == b"de"
    source.stop()
    assert source.read() == b""


def test_a_file_that_does_not_grow_any_more_ends(tmp_path):
    (tmp_path / "a.dat").write_bytes(b"abc")
    source = FollowedFile(tmp_path / "a.dat", idle_timeout=0.02)
    assert source.read() == b"abc"
    assert source.read() == b""
    source.close()


def replace(path):
    path.with_name("b").write_bytes(b"abcdef")
    path.with_name("b").replace(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"x"), r"a\.dat was truncated from 3 to 1 bytes"),
        (lambda path: path.unlink(), r"a\.dat was removed or renamed"),
        (replace, r"a\.dat was replaced by another file"),
    ],
)
def test_a_file_that_is_not_the_same_any_more_is_named(growing, change, message):
    path, source = growing
    assert source.read() == b"abc"
    change(path)
    with pytest.raises(RecordingError, match=message):
        source.read()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r"a\.dat: No such file"):
        FollowedFile(tmp_path / "a.dat")
