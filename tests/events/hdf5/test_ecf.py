"""ECF chunks, and the Metavision files that are made of them."""

import contextlib
import hashlib
import itertools

import h5py
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet.events import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.hdf5.ecf import chunk_start, decode_chunk
from evdet.events.hdf5.filters import ECF_FILTER
from evdet.events.hdf5.reader import open_hdf5

UNPACKED, XP_PACKED, YXP_PACKED = 0, 1, 2
PACKINGS = st.sampled_from([UNPACKED, XP_PACKED, YXP_PACKED])
CHUNK = 64


def runs(values):
    """Each run of equal values: the value and how many."""
    values = np.asarray(values).astype(np.int64)
    cuts = np.flatnonzero(np.diff(values)) + 1
    bounds = [0, *cuts, len(values)] if len(values) else [0]
    for first, stop in itertools.pairwise(bounds):
        yield int(values[first]), int(stop - first)


def counted(value, num_bits, count, word_bytes):
    """A run: its count in `num_bits` of a word, or after it where it does not fit."""
    most = (1 << num_bits) - 1
    word = (value << num_bits | min(count, most)).to_bytes(word_bytes, "little")
    return word + (count.to_bytes(2, "little") if count >= most else b"")


def encode_times(times):
    out, now = b"", int(times[0]) if len(times) else 0
    for t, count in runs(times):
        step = t - now
        if step >= 15:
            while step:
                out += bytes([0xF0 | step & 15])
                step >>= 4
        out += counted(step, 4, count, 1)
        now = t
    return out


def encode_columns(xs):
    out, i = b"", 0
    while i < len(xs):
        x, mask = int(xs[i]), 0
        i += 1
        for k in range(1, 6):
            if i < len(xs) and xs[i] == x + k:
                mask |= 1 << (5 - k)
                i += 1
        out += (x << 5 | mask).to_bytes(2, "little")
    return out


def encode_packed(fields, quarter):
    """Four fields of 3 quarters of a word in three words; the two in the middle are split."""
    fields = [int(field) for field in fields] + [0] * (-len(fields) % 4)
    out = b""
    for a, b, c, d in zip(*(fields[k::4] for k in range(4)), strict=True):
        low, half = (1 << quarter) - 1, (1 << 2 * quarter) - 1
        words = (
            a << quarter | b & low,
            b >> quarter << 2 * quarter | c & half,
            c >> 2 * quarter << 3 * quarter | d,
        )
        out += b"".join(word.to_bytes(quarter // 2, "little") for word in words)
    return out


def encode(events, packing):
    """An ECF chunk, by the rules in the module's docstring."""
    t, x, y, p = (events[name].astype(np.int64) for name in "txyp")
    start = int(t[0]) if len(t) else 0
    out = (len(events) << 2 | packing).to_bytes(4, "little")
    out += start.to_bytes(8, "little", signed=True) + encode_times(t)
    if packing == YXP_PACKED:
        return out + encode_packed(y << 12 | x << 1 | p, 8)
    out += b"".join(counted(value, 5, count, 2) for value, count in runs(y))
    if packing == XP_PACKED:
        return out + encode_packed(x << 1 | p, 4)
    out += encode_columns(x)
    return out + b"".join(counted(value, 7, count, 1) for value, count in runs(p))


def events_of(*rows):
    return np.array(list(rows), EVENT_DTYPE)


def random_events(seed, num_events, *, most_step=30):
    """Rows of neighbours as a sensor gives them, and times with steps of every length."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(0, most_step, num_events) * (rng.random(num_events) < 0.3)
    events = np.zeros(num_events, EVENT_DTYPE)
    events["t"] = rng.integers(0, 1 << 40) + np.cumsum(steps)
    events["x"] = (rng.integers(0, 1200) + np.arange(num_events) * rng.integers(0, 3)) % 1280
    events["y"] = (rng.integers(0, 720) + np.cumsum(rng.random(num_events) < 0.2)) % 720
    events["p"] = np.cumsum(rng.random(num_events) < 0.1) % 2
    return events


def write_ecf(path, events, *, geometry="1280x720", spoil=None):
    """A Metavision file; `spoil` changes the chunk of a number."""
    dtype = np.dtype(
        {"names": ["x", "y", "p", "t"], "formats": ["<u2", "<u2", "<i2", "<i8"],
         "offsets": [0, 2, 4, 8], "itemsize": 16}
    )  # fmt: skip
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = geometry
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((CHUNK,))
        plan.set_filter(ECF_FILTER, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((len(events),), (h5py.h5s.UNLIMITED,))
        group = file.create_group("CD")
        table = h5py.h5d.create(
            group.id, b"events", h5py.h5t.py_create(dtype, logical=True), space, plan
        )
        for number, first in enumerate(range(0, len(events), CHUNK)):
            chunk = encode(events[first : first + CHUNK], number % 3)
            table.write_direct_chunk((first,), spoil[1] if spoil and spoil[0] == number else chunk)
    return path


def read_all(file):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *file.blocks()])


@pytest.mark.parametrize("packing", [UNPACKED, XP_PACKED, YXP_PACKED])
def test_a_chunk_without_events_has_none(packing):
    assert len(decode_chunk(encode(events_of(), packing), 10)) == 0


def test_a_chunk_worked_by_hand():
    chunk = bytes.fromhex(
        "08000000"  # two events << 2, nothing packed
        "6400000000000000"  # t0 = 100
        "01"  # step 0, one event
        "f1f1" + "01"  # a long step: 1 | 1 << 4 = 17, then step 0, one event
        "6200"  # y = 3, two events
        "5001"  # x = 10, and the mask 10000: x + 1
        "01" + "81"  # one OFF, one ON
    )
    assert decode_chunk(chunk, 2).tolist() == [(100, 10, 3, 0), (117, 11, 3, 1)]


@given(seed=st.integers(0, 10**6), num_events=st.integers(0, 300), packing=PACKINGS)
def test_decoding_undoes_encoding(seed, num_events, packing):
    events = random_events(seed, num_events, most_step=40)
    np.testing.assert_array_equal(decode_chunk(encode(events, packing), 300), events)


@given(
    step=st.integers(1, (1 << 50)), packing=PACKINGS, run=st.sampled_from([14, 15, 31, 126, 5000])
)
def test_long_steps_and_long_runs(step, packing, run):
    events = np.concatenate([random_events(0, 2), np.repeat(random_events(1, 1), run)])
    events["t"] = np.cumsum([0, 3] + [step] + [0] * (run - 1))
    np.testing.assert_array_equal(decode_chunk(encode(events, packing), 6000), events)


def test_bits_behind_the_last_column_are_left():
    chunk = encode(events_of((5, 10, 3, 1)), UNPACKED)
    # As the encoder of hdf5_ecf leaves them, which looks at older columns there.
    spoiled = chunk.replace((10 << 5).to_bytes(2, "little"), (10 << 5 | 31).to_bytes(2, "little"))
    assert decode_chunk(spoiled, 1).tolist() == [(5, 10, 3, 1)]


def test_the_start_is_read_from_the_first_bytes():
    assert chunk_start(encode(events_of((12345, 1, 2, 0)), UNPACKED)[:12]) == 12345


def test_a_count_beyond_the_chunks_size_is_refused_before_anything_is_allocated():
    chunk = ((1 << 30) - 1 << 2).to_bytes(4, "little") + bytes(8)
    with pytest.raises(ValueError, match="1073741823 events, more than 16384"):
        decode_chunk(chunk, 16384)


@given(st.data(), PACKINGS)
@settings(max_examples=150)
def test_a_cut_chunk_is_told_from_a_whole_one(data, packing):
    chunk = encode(random_events(data.draw(st.integers(0, 99)), 50), packing)
    cut = chunk[: data.draw(st.integers(0, len(chunk) - 1))]
    with pytest.raises(ValueError, match=r"ECF chunk starts with|bytes end in"):
        decode_chunk(cut, 50)


@given(st.data(), PACKINGS)
@settings(max_examples=150)
def test_damaged_bytes_are_events_or_an_error(data, packing):
    chunk = bytearray(encode(random_events(data.draw(st.integers(0, 99)), 50), packing))
    for _ in range(data.draw(st.integers(1, 5))):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    try:
        events = decode_chunk(bytes(chunk), 64)
    except ValueError:
        return
    assert len(events) <= 64
    assert set(events["p"]) <= {0, 1}


@given(st.binary(max_size=200))
@settings(max_examples=150)
def test_any_bytes_are_events_or_an_error(chunk):
    with contextlib.suppress(ValueError):
        assert len(decode_chunk(chunk, 1000)) <= 1000


@pytest.mark.parametrize("num_events", [0, 1, CHUNK, 10 * CHUNK + 7])
def test_a_metavision_file_gives_its_events(tmp_path, num_events):
    events = random_events(1, num_events)
    file = open_hdf5(write_ecf(tmp_path / "a.hdf5", events))

    np.testing.assert_array_equal(read_all(file), events)
    assert file.num_events == num_events
    assert file.stated_size == SensorSize(720, 1280)
    assert file.start == (int(events["t"][0]) if num_events else None)
    assert file.end == (int(events["t"][-1]) if num_events else None)


def test_any_stretch_of_a_metavision_file_is_found(tmp_path):
    events = random_events(2, 20 * CHUNK, most_step=4000)
    file = open_hdf5(write_ecf(tmp_path / "a.hdf5", events))
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, end = (int(t) for t in np.sort(rng.choice(events["t"], 2)))
        inside = events[(events["t"] >= first) & (events["t"] < end)]
        np.testing.assert_array_equal(file.between(first, end), inside)
        rest = np.concatenate(list(file.blocks(first)))
        np.testing.assert_array_equal(rest[rest["t"] >= first], events[events["t"] >= first])


def test_what_lies_before_a_damaged_chunk_is_delivered(tmp_path):
    events = random_events(3, 5 * CHUNK)
    file = open_hdf5(write_ecf(tmp_path / "a.hdf5", events, spoil=(3, bytes(20))))

    delivered = []
    with pytest.raises(RecordingError, match=r"a.hdf5: events 192 to 255 cannot be read: "):
        delivered.extend(file.blocks())
    np.testing.assert_array_equal(np.concatenate(delivered), events[: 3 * CHUNK])
    assert file.end == events["t"][-1]


def test_a_broken_last_chunk_leaves_the_end_before_it(tmp_path):
    events = random_events(3, 5 * CHUNK)
    file = open_hdf5(write_ecf(tmp_path / "a.hdf5", events, spoil=(4, b"\xff" * 50)))
    assert file.end == events["t"][4 * CHUNK - 1]


def test_a_damaged_heap_of_strings_is_refused(tmp_path):
    path = write_ecf(tmp_path / "a.hdf5", random_events(3, 10))
    content = bytearray(path.read_bytes())
    # The length of the geometry's text; HDF5 would go round in circles.
    content[content.index(b"1280x720") - 8] = 0
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="heap of strings is damaged at byte"):
        open_hdf5(path)


def test_an_event_beyond_the_stated_size_is_named(tmp_path):
    events = events_of((5, 3, 2, 1), (6, 40, 2, 1))
    file = open_hdf5(write_ecf(tmp_path / "a.hdf5", events, geometry="40x30"))
    delivered = []
    with pytest.raises(RecordingError, match="x=40, y=2, outside the sensor 40x30"):
        delivered.extend(file.blocks())
    assert np.concatenate(delivered).tolist() == [(5, 3, 2, 1)]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("evt3_sample_ecf", "d78427a1c42d363c3eb70f124db448bf6ffa279dd7bf6a0affe63c686316c483"),
        ("sparklers_evt2_ecf", "50578ae3ac361b81b6dc65105a16d84c6a741d9ebd2aa312d6d1ed48865d5e7d"),
    ],
)
def test_recordings_of_prophesee_sensors_are_as_prophesee_decodes_them(event_data, name, digest):
    file = open_hdf5(event_data / "hdf5" / f"{name}.hdf5")
    assert hashlib.sha256(read_all(file).tobytes()).hexdigest() == digest
