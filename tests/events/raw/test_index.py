import contextlib
import os

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK
from evdet.events.raw import index as evt_index
from evdet.events.raw.reader import open_raw
from evdet.events.raw.state import HIGH, LATEST, WORD
from evdet.events.raw.writer import write_evt3

SIZE = SensorSize(height=48, width=64)


def some_events(num, *, seed=0, step=3, jitter=0):
    """Events of about `step` us each, out of order by up to `jitter` us."""
    rng = np.random.default_rng(seed)
    events = np.empty(num, EVENT_DTYPE)
    events["t"] = 40_000 + np.cumsum(rng.integers(0, 2 * step + 1, num))
    events["t"] -= rng.integers(0, jitter + 1, num)
    events["x"], events["y"] = rng.integers(0, 64, num), rng.integers(0, 48, num)
    events["p"] = rng.integers(0, 2, num)
    return events


@pytest.fixture
def small_steps(monkeypatch):
    """An index as dense as that of a large file, in a small one."""
    monkeypatch.setattr(evt_index, "_BYTES_PER_STATE", 1 << 10)


@pytest.fixture
def written(tmp_path, small_steps):
    events = some_events(150_000, jitter=MAX_STEP_BACK // 2)
    path = tmp_path / "a.raw"
    write_evt3(path, [events], SIZE)
    return path, events


def sidecar_of(path):
    return path.with_name(f"{path.name}.evdet-index")


def test_a_file_without_events_has_an_index(tmp_path):
    path = tmp_path / "a.raw"
    write_evt3(path, [], SIZE)

    assert open_raw(path).num_events == 0
    assert sidecar_of(path).exists()
    assert (open_raw(path).num_events, open_raw(path).start) == (0, None)


@given(st.integers(30_000, 600_000), st.integers(-10, 50_000))
def test_any_stretch_is_what_the_whole_has_there(tmp_path_factory, first, duration):
    path = tmp_path_factory.getbasetemp() / "stretch.raw"
    events = some_events(150_000, jitter=MAX_STEP_BACK // 2)
    if not path.exists():
        write_evt3(path, [events], SIZE)
    file = open_raw(path)

    got = file.between(first, first + duration)

    inside = (events["t"] >= first) & (events["t"] < first + duration)
    np.testing.assert_array_equal(got, events[inside])


@given(st.integers(30_000, 600_000))
def test_blocks_since_a_time_leave_nothing_out(tmp_path_factory, since):
    path = tmp_path_factory.getbasetemp() / "since.raw"
    events = some_events(150_000, jitter=MAX_STEP_BACK // 2)
    if not path.exists():
        write_evt3(path, [events], SIZE)

    tail = np.concatenate([np.empty(0, EVENT_DTYPE), *open_raw(path).blocks(since)])

    np.testing.assert_array_equal(tail, events[len(events) - len(tail) :])
    assert (events["t"][: len(events) - len(tail)] < since).all()


def test_the_index_is_dense_enough_to_skip_what_is_not_asked_for(written):
    path, events = written
    file = open_raw(path)

    tail = sum(len(block) for block in file.blocks(int(events["t"][-1])))

    assert len(file._indexed().states) >= 4
    assert tail < len(events) / 2


def test_the_index_is_bounded(written, monkeypatch):
    monkeypatch.setattr(evt_index, "_MAX_STATES", 3)
    path, events = written
    file = open_raw(path)

    states = file._indexed().states

    assert 2 <= len(states) <= 3
    assert (np.diff(states[:, WORD]) > 0).all()
    assert (np.diff(states[:, LATEST]) >= 0).all()
    t = int(events["t"][100_000])
    assert len(file.between(t, t + 1)) == (events["t"] == t).sum()


def test_iterating_makes_no_index(written):
    path, events = written
    assert sum(len(block) for block in open_raw(path).blocks()) == len(events)
    assert open_raw(path).start == events["t"].min()
    assert not sidecar_of(path).exists()


def test_a_known_index_saves_the_pass(written, monkeypatch):
    path, events = written
    num_events = open_raw(path).num_events

    monkeypatch.setattr("evdet.events.raw.reader.make_index", None)
    monkeypatch.setattr("evdet.events.raw.index._NUM_REPLAYED", 1)
    file = open_raw(path)

    assert file.num_events == num_events == len(events)
    assert (file.start, file.end) == (events["t"].min(), events["t"].max())


def test_the_folder_holds_nothing_but_the_recording_and_its_index(written):
    path, _ = written
    _ = open_raw(path).num_events
    assert sorted(item.name for item in path.parent.iterdir()) == ["a.raw", "a.raw.evdet-index"]


def test_a_changed_recording_is_indexed_anew(written):
    path, events = written
    assert open_raw(path).num_events == len(events)
    write_evt3(path, [events[:1000]], SIZE)
    assert open_raw(path).num_events == 1000


def test_another_recording_of_the_same_size_and_date_has_an_index_of_its_own(written):
    path, events = written
    assert open_raw(path).end == events["t"].max()
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-2:] = (0x8F00).to_bytes(2, "little")
    content[-4:-2] = (0x2001).to_bytes(2, "little")
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert open_raw(path)._indexed().last[HIGH] == 0xF00


def test_a_folder_that_cannot_be_written_to_is_no_obstacle(written):
    path, events = written
    sidecar_of(path).mkdir()  # neither readable nor replaceable, even for root
    assert open_raw(path).num_events == len(events)
    assert sorted(item.name for item in path.parent.iterdir()) == ["a.raw", "a.raw.evdet-index"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        lambda content: content + b"\0" * 8,
        lambda content: content[: len(content) // 2] + b"\x01" + content[len(content) // 2 + 1 :],
        lambda content: b"evdet-index 9\n" + content[14:],
        lambda content: content[:14] + b"\0" * (len(content) - 14),
        lambda content: content * 100,
    ],
)
def test_a_garbled_index_is_made_anew(written, damage):
    path, events = written
    good = open_raw(path)._indexed()
    content = sidecar_of(path).read_bytes()

    sidecar_of(path).write_bytes(damage(content))

    assert open_raw(path).num_events == len(events)
    assert sidecar_of(path).read_bytes() == content
    np.testing.assert_array_equal(open_raw(path)._indexed().states, good.states)


@given(number=st.integers(0, 60), value=st.integers(-(1 << 63), (1 << 63) - 1))
def test_an_index_of_wrong_numbers_does_no_harm(tmp_path_factory, number, value):
    """Numbers under a right checksum: the events may be wrong then, but nothing breaks."""
    path = tmp_path_factory.getbasetemp() / "wrong.raw"
    write_evt3(path, [some_events(2000)], SIZE)
    file = open_raw(path)
    index, stamp = file._indexed(), evt_index.stamp_of(path)
    states = np.concatenate([index.states, index.last[None]])
    states.ravel()[number % states.size] = value
    evt_index.write_sidecar(path, index._replace(states=states), stamp)

    read = evt_index.read_sidecar(path, file._header.encoding, stamp)
    if read is not None:
        misled = open_raw(path)
        misled._index = read
        with contextlib.suppress(RecordingError):
            assert len(misled.between(0, 1 << 40)) <= 12 * path.stat().st_size


def falsified(index, rng):
    """Indices that a reader must not believe, each right in its form."""
    states = index.states
    yield index._replace(states=states[:1], last=evt_index.new_state())
    last = index.last.copy()
    last[LATEST] -= 1
    yield index._replace(last=last)
    yield index._replace(start=index.start - 1)
    shifted = states.copy()
    shifted[1:, LATEST] = np.minimum(states[1:, LATEST] + 5000, index.last[LATEST])
    yield index._replace(states=shifted)
    fewer = states.copy()
    fewer[1:, evt_index.NUM_EVENTS] //= 2
    yield index._replace(states=fewer)


def test_a_false_index_of_the_right_form_hides_no_event(written, caplog):
    path, events = written
    true, warned = open_raw(path)._indexed(), []
    for false in falsified(true, np.random.default_rng(0)):
        caplog.clear()
        evt_index.write_sidecar(path, false, evt_index.stamp_of(path))
        file = open_raw(path)
        assert (file.num_events, file.start) == (len(events), events["t"].min())
        assert len(file.between(100_000, 200_000)) == len(
            events[(events["t"] >= 100_000) & (events["t"] < 200_000)]
        )
        warned.append("the index beside it is of other events" in caplog.text)
        assert open_raw(path)._read_sidecar(evt_index.stamp_of(path)) is not None
    assert any(warned)  # others are out of range, and are made anew as well
