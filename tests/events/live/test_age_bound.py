import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet.events.live.age_bound import AgeBound
from evdet.events.live.live_events import LiveEvents
from timed_pipe import ControlledClock, TimedPipe

HEADER = b"% Version 2\n% Width 9\n% Height 8\n\x0c\x08"
MS = 1000
DELTA_T = 10 * MS
COST = 0.008


def records(*times):
    """Records of a DAT file."""
    content = np.zeros(len(times), [("t", "<u4"), ("word", "<u4")])
    content["t"] = times
    return content.tobytes()


def steady(begin, num_bins, *, at, seconds, packed=1):
    """Pieces of some bins with five events each, evenly over a time of the host."""
    pieces = []
    for k in range(0, num_bins, packed):
        start = begin + k * DELTA_T
        stop = min(start + packed * DELTA_T, begin + num_bins * DELTA_T)
        pieces.append((at + seconds * k / num_bins, records(*range(start, stop, 2 * MS))))
    return pieces


def burst():
    """A second in time, a second at ten times the sustainable rate, and a second in time."""
    num = round(10 / COST)
    return [
        *steady(0, 100, at=0.0, seconds=1.0),
        *steady(100 * DELTA_T, num, at=1.0, seconds=1.0, packed=10),
        *steady((100 + num) * DELTA_T, 100, at=2.0, seconds=1.0),
        (3.0, b""),
    ]


def consume(pieces, cost, **options):
    """Take all frames, each for `cost` seconds of the clock; with their ages at their output."""
    clock = ControlledClock()
    pipe = TimedPipe(clock, HEADER, pieces)
    events = LiveEvents(pipe, name="pipe", delta_t=DELTA_T, max_delay=None, clock=clock, **options)
    frames, ages, windows = [], [], events.slices()
    reached = num_reads = 0

    def wait_for_a_bin():
        """Move the clock until a bin is complete, once the consumer waits for it."""
        if frames:
            clock.wait_for_reads(num_reads)
        while not pipe.has_ended and pipe.latest < reached + DELTA_T:
            pipe.next()

    while True:
        num_reads = clock.num_reads
        mover = threading.Thread(target=wait_for_a_bin)
        mover.start()
        window = next(windows, None)
        mover.join()
        if window is None:
            return events, frames, ages
        frames.append(window.time_bin)
        reached = window.time_bin.start + window.time_bin.delta_t
        pipe.advance(cost(len(frames)) if callable(cost) else cost)
        ages.append(clock() - window.arrived)


def num_events(frames):
    return sum(len(frame.events) for frame in frames)


def test_without_events_there_is_no_frame_and_no_warning(caplog):
    events, frames, _ = consume([(0.5, b"")], COST, max_age=20 * MS)
    assert (frames, events.num_skipped) == ([], 0)
    assert caplog.text == ""


def test_a_burst_of_ten_times_the_sustainable_rate_loses_no_event_and_holds_the_bound(caplog):
    events, frames, ages = consume(burst(), COST, max_age=20 * MS)
    assert max(ages) <= 0.020
    assert (events.num_skipped, events.num_late) == (0, 0)
    num_bins = 200 + round(10 / COST)
    assert num_events(frames) == 5 * num_bins
    # Time is whole: each frame starts where the one before ended.
    assert frames[0].start == 0
    ends = [frame.start + frame.delta_t for frame in frames]
    assert ends == [*(frame.start for frame in frames[1:]), num_bins * DELTA_T]
    assert all((frame.events["t"] >= frame.start).all() for frame in frames)
    assert all((frame.events["t"] < end).all() for frame, end in zip(frames, ends, strict=True))
    # Merged where bins wait, and only there.
    assert {frame.delta_t for frame in frames[:99]} == {DELTA_T}
    assert max(frame.delta_t for frame in frames) >= 10 * DELTA_T
    assert len(frames) < 350
    assert caplog.text == ""


def test_a_detector_that_does_not_know_time_skips_and_holds_the_bound(caplog):
    events, frames, ages = consume(burst(), COST, max_age=20 * MS, waiting="skip")
    assert max(ages) <= 0.020
    assert {frame.delta_t for frame in frames} == {DELTA_T}
    num_bins = 200 + round(10 / COST)
    assert len(frames) + events.num_skipped == num_bins
    assert num_events(frames) == 5 * len(frames)
    assert events.num_skipped > 1000
    assert "time bins waited, whose boxes would be older than max_age 20 ms" in caplog.text


def test_a_larger_bound_skips_fewer_bins_of_a_short_burst():
    pieces = [*steady(0, 8, at=0.0, seconds=0.008), (1.0, b"")]
    skipped = [
        consume(pieces, COST, max_age=max_age * MS, waiting="skip", frame_time=8 * MS)[
            0
        ].num_skipped
        for max_age in (20, 100)
    ]
    assert skipped[0] > skipped[1] == 0


@settings(max_examples=15, deadline=None)
@given(
    gaps=st.lists(st.integers(0, 30), min_size=1, max_size=40),
    cost=st.integers(1, 40),
    steps=st.lists(st.integers(1, 90_000), min_size=1, max_size=40),
)
def test_whatever_the_pattern_boxes_are_at_most_as_old_as_two_frames_take(gaps, cost, steps):
    times = np.cumsum([0, *steps]).tolist()
    arrivals = (np.cumsum((gaps * 40)[: len(times)]) / 1e3).tolist()
    pieces = [(at, records(t)) for at, t in zip(arrivals, times, strict=True)]
    bound = 2 * cost * MS
    events, frames, ages = consume(
        [*pieces, (arrivals[-1], b"")], cost / 1e3, max_age=bound, frame_time=cost * MS
    )
    assert max(ages) <= bound / 1e6 + 1e-9
    assert num_events(frames) == len(times) - events.num_late
    assert all(a.start + a.delta_t == b.start for a, b in itertools.pairwise(frames))


def test_a_long_gap_is_an_empty_frame_of_its_true_duration(caplog):
    pieces = [(0.0, records(1 * MS)), (0.1, records(60_000 * MS, 60_012 * MS)), (0.2, b"")]
    _, frames, ages = consume(pieces, COST, max_age=40 * MS, frame_time=8 * MS)
    assert [(frame.delta_t, len(frame.events)) for frame in frames] == [
        (10 * MS, 1), (59_990 * MS, 0), (10 * MS, 1), (10 * MS, 1),
    ]  # fmt: skip
    assert max(ages) <= 0.040
    assert "skipped" not in caplog.text
    # Where the bound leaves no time for more frames, all is one.
    _, frames, ages = consume(pieces, COST, max_age=17 * MS, frame_time=8 * MS)
    assert [(frame.delta_t, len(frame.events)) for frame in frames] == [
        (60_010 * MS, 2), (10 * MS, 1),
    ]  # fmt: skip
    assert max(ages) <= 0.017


def test_a_bound_that_cannot_be_held_is_said_before_the_first_frame(caplog):
    consume([*burst()[:5], (9.0, b"")], COST, max_age=10 * MS, frame_time=8 * MS)
    assert "pipe: max_age 10 ms cannot be held: a frame takes 8.0 ms" in caplog.text
    assert "are up to 16.0 ms old" in caplog.text
    assert caplog.text.count("cannot be held") == 1


def test_frames_that_become_slower_are_said_before_the_bound_is_broken(caplog):
    said = []

    def cost(number):
        said.append("cannot be held" in caplog.text)
        return COST if number < 50 else 0.012

    _, _, ages = consume(burst(), cost, max_age=20 * MS)
    broken = [k for k, age in enumerate(ages) if age > 0.020]
    assert broken
    assert not said[49]
    assert said[broken[0]]


@pytest.fixture
def bound():
    clock = ControlledClock()
    bound = AgeBound(0.02, name="pipe", frame_time=0.001, clock=clock)
    yield bound, clock
    bound.close()


def until_said(caplog, text):
    for _ in range(500):
        if text in caplog.text:
            return True
        time.sleep(0.01)
    return False


def test_a_frame_that_takes_longer_than_all_before_is_said_while_it_does(bound, caplog):
    bound, clock = bound
    for _ in range(3):
        bound.begin(clock())
        clock.now += 0.001
        bound.end()
    assert bound.frame_time == pytest.approx(0.001)
    bound.begin(clock() - 0.004)
    clock.now += 0.015  # 19 ms after its arrival
    assert until_said(caplog, "a frame takes more than 15.0 ms")
    assert "its boxes may be older than max_age 20 ms" in caplog.text


def test_the_first_frame_that_was_not_measured_before_says_nothing_about_others(caplog):
    clock = ControlledClock()
    bound = AgeBound(0.02, name="pipe", frame_time=None, clock=clock)
    bound.end()
    bound.begin(clock())
    clock.now += 0.017
    bound.end()
    assert bound.frame_time == 0
    assert bound.fits(3, since=clock())
    bound.close()
    assert caplog.text == ""


def test_warnings_of_a_bound_are_seconds_apart(bound, caplog):
    bound, clock = bound
    for _ in range(100):
        bound.begin(clock())
        clock.now += 0.015
        bound.end()
    assert caplog.text.count("cannot be held") == 1
    clock.now += 11
    bound.end()
    bound.begin(clock())
    clock.now += 0.015
    bound.end()
    assert caplog.text.count("cannot be held") == 2


def test_no_thread_is_left():
    before = set(threading.enumerate())
    consume([*burst()[:9], (9.0, b"")], COST, max_age=20 * MS)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
