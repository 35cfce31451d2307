"""RAW files as a whole. The expected events come from plain decoders written down here."""

import contextlib
import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK, SeekableEventFile
from evdet.events.raw import reader as evt
from evdet.events.raw.reader import open_raw

HEADERS = {
    "EVT2": b"% evt 2.0\n% geometry 64x48\n% end\n",
    "EVT2.1": b"% evt 2.1\n% geometry 64x48\n% end\n",
    "EVT2.1 legacy": b"% evt 2.1\n% endianness legacy\n% geometry 64x48\n% end\n",
    "EVT3": b"% evt 3.0\n% geometry 64x48\n% end\n",
}
WORD = {"EVT2": "<u4", "EVT2.1": "<u8", "EVT2.1 legacy": "<u8", "EVT3": "<u2"}
SIZE = SensorSize(height=48, width=64)


def events_of(*rows):
    return np.array(list(rows), dtype=EVENT_DTYPE)


def write_raw(path, encoding, words, header=None):
    words = np.array(words, WORD[encoding])
    if encoding == "EVT2.1 legacy":
        words = words << np.uint64(32) | words >> np.uint64(32)
    path.write_bytes((header or HEADERS[encoding]) + words.tobytes())
    return path


def read_all(path):
    """All events up to the end or the damage, and what was said of the damage."""
    blocks, error = [np.empty(0, EVENT_DTYPE)], None
    try:
        for block in open_raw(path).blocks():
            blocks.append(block)
    except RecordingError as caught:
        error = str(caught)
    assert error is None or error.startswith(f"{path}: ")
    return np.concatenate(blocks), error


class Clock:
    """TIME_HIGH words -> time, None before the first."""

    def __init__(self, num_bits, shift):
        self.num_bits, self.shift = num_bits, shift
        self.high, self.loops = None, 0

    def set_high(self, high):
        if self.high is not None and self.high - high >= 1 << (self.num_bits - 1):
            self.loops += 1
        self.high = high

    def time(self, low):
        if self.high is None:
            return None
        return (self.loops << (self.num_bits + self.shift)) + (self.high << self.shift) + low


def plain_evt2(words):
    clock = Clock(28, 6)
    for word in words:
        kind = word >> 28
        if kind == 8:
            clock.set_high(word & 0xFFFFFFF)
        elif kind <= 1:
            yield clock.time(word >> 22 & 63), word >> 11 & 2047, word & 2047, kind


def plain_evt21(words):
    clock = Clock(28, 6)
    for word in words:
        kind = word >> 60
        if kind == 8:
            clock.set_high(word >> 32 & 0xFFFFFFF)
        elif kind <= 1:
            for i in range(32):
                if word >> i & 1:
                    x, y = (word >> 43 & 2047) + i, word >> 32 & 2047
                    yield clock.time(word >> 54 & 63), x, y, kind


def plain_evt3(words):
    clock = Clock(12, 12)
    low = y = base = polarity = 0
    i = 0
    while i < len(words):
        kind, value = words[i] >> 12, words[i] & 0xFFF
        if kind == 0:
            y = value & 2047
        elif kind == 2:
            yield clock.time(low), value & 2047, y, value >> 11
        elif kind == 3:
            base, polarity = value & 2047, value >> 11
        elif kind in (4, 5):
            length = 12 if kind == 4 else 8
            for bit in range(length):
                if value >> bit & 1:
                    yield clock.time(low), base + bit, y, polarity
            base += length
        elif kind == 6:
            low = value
        elif kind == 8:
            low = low if value == clock.high else 0
            clock.set_high(value)
        elif kind == 14 and i + 1 < len(words) and words[i + 1] >> 12 == 15:
            i += 3
        i += 1


PLAIN = {
    "EVT2": plain_evt2,
    "EVT2.1": plain_evt21,
    "EVT2.1 legacy": plain_evt21,
    "EVT3": plain_evt3,
}


def expected_of(encoding, words, size=SIZE):
    """Events, number of dropped ones, and whether there is damage."""
    rows, num_dropped, latest = [], 0, 0
    for t, x, y, p in PLAIN[encoding](words):
        if t is None or (encoding == "EVT3" and y >= size.height):
            num_dropped += 1
        elif x >= size.width or y >= size.height or t < latest - MAX_STEP_BACK:
            return events_of(*rows), num_dropped, True
        else:
            rows.append((t, x, y, p))
            latest = max(latest, t)
    return events_of(*rows), num_dropped, False


def evt2(kind, low, x, y):
    return kind << 28 | low << 22 | x << 11 | y


def evt21(kind, low, x, y, mask):
    return evt2(kind, low, x, y) << 32 | mask


LOW = st.integers(0, 63)
HIGH = st.integers(0, 300)
EVT2_WORD = st.builds(evt2, st.integers(0, 1), LOW, st.integers(0, 63), st.integers(0, 47))
MASK = st.sampled_from([0, 1, 5, 0xFFF, 0x80000000, 0xFFFFFFFF]) | st.integers(0, 0xFFFF)
EVT21_WORD = st.builds(evt21, st.integers(0, 1), LOW, st.integers(0, 31), st.integers(0, 47), MASK)
EVT3_WORD = st.one_of(
    st.integers(0, 49),  # ADDR_Y, some of them beyond the sensor
    st.integers(0, 63).map(lambda x: 0x2000 | x),
    st.integers(0, 63).map(lambda x: 0x2800 | x),
    st.builds(lambda x, p: 0x3000 | p << 11 | x, st.integers(0, 40), st.integers(0, 1)),
    st.integers(0, 0xFFF).map(lambda mask: 0x4000 | mask),
    st.integers(0, 0xFF).map(lambda mask: 0x5000 | mask),
    st.integers(0, 0xFFF).map(lambda low: 0x6000 | low),
    st.sampled_from([0, 1, 2, 3, 4, 2047, 2048, 4094, 4095]).map(lambda high: 0x8000 | high),
    st.sampled_from([0x7000, 0xA601, 0xD000, 0xE019, 0xF123, 0xE019]),
)
WORDS = {
    "EVT2": EVT2_WORD
    | HIGH.map(lambda high: 8 << 28 | high)
    | st.sampled_from([8 << 28, 8 << 28 | 0xFFFFFFF, 8 << 28 | 0x8000000, 10 << 28, 14 << 28]),
    "EVT2.1": EVT21_WORD
    | HIGH.map(lambda high: (8 << 28 | high) << 32)
    | st.sampled_from([8 << 60, 8 << 60 | 0xFFFFFFF << 32, 10 << 60, 15 << 60]),
    "EVT3": EVT3_WORD,
}
WORDS["EVT2.1 legacy"] = WORDS["EVT2.1"]
ENCODINGS = pytest.mark.parametrize("encoding", list(HEADERS))


@ENCODINGS
def test_a_file_with_nothing_but_a_header_has_no_events(tmp_path, encoding):
    file = open_raw(write_raw(tmp_path / "a.raw", encoding, []))

    assert isinstance(file, SeekableEventFile)
    assert list(file.blocks()) == []
    assert len(file.between(0, 10)) == 0
    assert (file.num_events, file.start, file.end, file.time_origin) == (0, None, None, None)
    assert file.format == encoding.split()[0]
    assert file.stated_size == SIZE


@ENCODINGS
@given(data=st.data())
def test_words_are_decoded_as_the_formats_say(tmp_path_factory, encoding, data):
    words = data.draw(st.lists(WORDS[encoding], max_size=60))
    path = write_raw(tmp_path_factory.getbasetemp() / "words.raw", encoding, words)
    events, num_dropped, is_damaged = expected_of(encoding, words)

    read, error = read_all(path)
    file = open_raw(path)

    np.testing.assert_array_equal(read, events)
    assert (error is not None) == is_damaged
    assert (file.num_events, file.num_dropped) == (len(events), num_dropped)
    assert file.start == (events["t"].min() if len(events) else None)
    assert file.end == (events["t"].max() if len(events) else None)


@ENCODINGS
@given(data=st.data(), chunk=st.sampled_from([8, 16, 40, 200]), block=st.integers(33, 60))
def test_decoding_may_stop_and_go_on_at_any_word(tmp_path_factory, encoding, data, chunk, block):
    words = data.draw(st.lists(WORDS[encoding], max_size=200))
    path = write_raw(tmp_path_factory.getbasetemp() / "pieces.raw", encoding, words)
    events, _, is_damaged = expected_of(encoding, words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evt, "_CHUNK_BYTES", chunk)
        patch.setattr(evt, "_BLOCK_EVENTS", block)
        read, error = read_all(path)

    np.testing.assert_array_equal(read, events)
    assert (error is not None) == is_damaged
    assert error == read_all(path)[1], "the same place of damage"


def test_evt2_worked_by_hand(tmp_path):
    words = [evt2(1, 5, 1, 2), 8 << 28 | 3, evt2(1, 5, 7, 9), 10 << 28, evt2(0, 63, 63, 47)]
    file = open_raw(write_raw(tmp_path / "a.raw", "EVT2", words))

    (events,) = file.blocks()

    np.testing.assert_array_equal(events, events_of((197, 7, 9, 1), (255, 63, 47, 0)))
    assert file.num_dropped == 1, "the event before the first TIME_HIGH"
    assert file.time_origin == 192


def test_evt2_clock_wraps_after_34_bits(tmp_path):
    words = [8 << 28 | 0xFFFFFFF, evt2(0, 0, 0, 0), 8 << 28, evt2(0, 1, 0, 0)]
    (events,) = open_raw(write_raw(tmp_path / "a.raw", "EVT2", words)).blocks()

    assert events["t"].tolist() == [(1 << 34) - 64, (1 << 34) + 1]


@pytest.mark.parametrize("encoding", ["EVT2.1", "EVT2.1 legacy"])
def test_evt21_has_an_event_for_every_bit_of_the_mask(tmp_path, encoding):
    words = [(8 << 28 | 1) << 32, evt21(1, 2, 10, 3, 0b1000_0000_0000_0000_0000_0000_0000_0101)]
    (events,) = open_raw(write_raw(tmp_path / "a.raw", encoding, words)).blocks()

    np.testing.assert_array_equal(events, events_of((66, 10, 3, 1), (66, 12, 3, 1), (66, 41, 3, 1)))


def test_evt3_vectors_advance_their_base(tmp_path):
    words = [0x8001, 0x6002, 0x0005, 0x3800 | 4, 0x4801, 0x5080, 0x4001, 0x2007]
    (events,) = open_raw(write_raw(tmp_path / "a.raw", "EVT3", words)).blocks()

    assert events["x"].tolist() == [4, 15, 23, 24, 7]
    assert events["p"].tolist() == [1, 1, 1, 1, 0]
    assert set(events["y"]) == {5}
    assert set(events["t"]) == {4098}


def test_evt3_time_high_starts_a_new_low_only_if_it_changes(tmp_path):
    words = [0x8001, 0x6002, 0x2000, 0x8001, 0x2000, 0x8002, 0x2000]
    (events,) = open_raw(write_raw(tmp_path / "a.raw", "EVT3", words)).blocks()

    assert events["t"].tolist() == [4098, 4098, 8192]


def test_evt3_clock_wraps_after_24_bits_and_steps_back_do_not_count(tmp_path):
    words = [0x8FFF, 0x2000, 0x8FFE, 0x2000, 0x8000, 0x2000, 0x8FFF]
    (events,) = open_raw(write_raw(tmp_path / "a.raw", "EVT3", words)).blocks()

    assert events["t"].tolist() == [4095 << 12, 4094 << 12, 1 << 24]


@pytest.mark.parametrize("num_words", range(20))
def test_evt3_runs_of_clock_row_and_column_end_at_any_word(tmp_path, num_words, monkeypatch):
    monkeypatch.setattr(evt, "_CHUNK_BYTES", 16)
    words = [0x8001, *[0xD000] * 11, *[0x8001, 0x6002, 3, 0x2004] * 5][: 12 + num_words]
    path = write_raw(tmp_path / "a.raw", "EVT3", words)

    np.testing.assert_array_equal(read_all(path)[0], expected_of("EVT3", words)[0])


def test_evt3_rows_beyond_the_sensor_are_dropped_and_counted(tmp_path):
    words = [0x8001, 48, 0x2001, 0x3000, 0x4003, 47, 0x2002]
    file = open_raw(write_raw(tmp_path / "a.raw", "EVT3", words))

    (events,) = file.blocks()

    assert events["x"].tolist() == [2]
    assert file.num_dropped == 3


@pytest.mark.parametrize(
    ("encoding", "words", "place"),
    [
        ("EVT2", [8 << 28, evt2(0, 0, 63, 47), evt2(0, 1, 64, 3)], 2),
        ("EVT2", [8 << 28, evt2(0, 0, 63, 47), evt2(0, 1, 6, 48)], 2),
        ("EVT2.1", [8 << 60, evt21(0, 0, 0, 0, 1), evt21(0, 0, 33, 0, 0x80000001)], 2),
        ("EVT3", [0x8001, 0x2001, 0x6001, 0x2040], 3),
    ],
)
def test_an_event_outside_the_stated_sensor_is_damage(tmp_path, encoding, words, place):
    path = write_raw(tmp_path / "a.raw", encoding, words)
    byte = len(HEADERS[encoding]) + place * np.dtype(WORD[encoding]).itemsize

    events, error = read_all(path)

    assert len(events) == (2 if encoding == "EVT2.1" else 1)
    assert f"at byte {byte}, lies outside the sensor 64x48" in error
    assert open_raw(path).num_events == len(events)


def test_a_step_back_in_time_is_kept_up_to_the_limit_and_then_damage(tmp_path):
    words = [0x8005, 0x2001, 0x8001, 0x2002, 0x8000, 0x2003, 0x2004]
    path = write_raw(tmp_path / "a.raw", "EVT3", words)

    events, error = read_all(path)

    assert events["x"].tolist() == [1, 2]
    place = len(HEADERS["EVT3"]) + 2 * 5
    assert f"time steps back from 20480 to 0 us at byte {place}" in error


def test_a_place_of_damage_is_found_far_into_a_file(tmp_path):
    words = np.full(200_001, evt2(0, 1, 1, 1))
    words[0] = 8 << 28
    words[150_000] = evt2(1, 1, 70, 1)
    path = write_raw(tmp_path / "a.raw", "EVT2", words)

    events, error = read_all(path)

    assert len(events) == 149_999
    assert f"at byte {len(HEADERS['EVT2']) + 4 * 150_000}," in error


def test_the_words_may_begin_at_an_odd_byte(tmp_path):
    header = b"% evt 2.0\n% a bc\n"
    assert len(header) % 2
    path = write_raw(tmp_path / "a.raw", "EVT2", [8 << 28 | 1, evt2(1, 2, 3, 4)], header)

    np.testing.assert_array_equal(read_all(path)[0], events_of((66, 3, 4, 1)))


def test_without_a_stated_size_every_pixel_of_the_format_counts(tmp_path):
    words = [0x8001, 2047, 0x2000 | 2047, 0x3000 | 2047, 0x5002]
    file = open_raw(write_raw(tmp_path / "a.raw", "EVT3", words, b"% evt 3.0\n% end\n"))

    assert file.stated_size is None
    with pytest.raises(RecordingError, match=r"x=2048, y=2047.*the 2048 columns of the format"):
        list(file.blocks())


def test_a_file_cut_anywhere_gives_its_whole_words_or_says_so(tmp_path):
    words = [8 << 28] + [evt2(i & 1, i, i, i) for i in range(8)]
    whole = write_raw(tmp_path / "whole.raw", "EVT2", words).read_bytes()
    path = tmp_path / "cut.raw"
    for num_bytes in range(len(whole)):
        path.write_bytes(whole[:num_bytes])
        num_words, num_spare = divmod(num_bytes - len(HEADERS["EVT2"]), 4)
        if num_words < 0:
            with contextlib.suppress(RecordingError):
                assert list(open_raw(path).blocks()) == []
            continue
        events, error = read_all(path)
        assert events["x"].tolist() == list(range(max(num_words - 1, 0)))
        assert error is None
        end = open_raw(path).incomplete_end
        assert (end == "") == (num_spare == 0)
        assert not end or f"within a word, at byte {num_bytes - num_spare}" in end


@ENCODINGS
@given(junk=st.binary(max_size=3000))
def test_any_bytes_behind_a_header_end_well(tmp_path_factory, encoding, junk):
    path = tmp_path_factory.getbasetemp() / "junk.raw"
    path.write_bytes(HEADERS[encoding] + junk)
    per_word = {"EVT2": 1, "EVT3": 12}.get(encoding, 32)

    events, _ = read_all(path)
    file = open_raw(path)

    num_words = len(junk) // np.dtype(WORD[encoding]).itemsize
    assert len(events) <= per_word * num_words
    assert file.num_events == len(events)
    if len(events):
        assert events["x"].max() < 64
        assert events["y"].max() < 48
        assert events["p"].max() <= 1
        first, end = int(events["t"][0]), int(events["t"][-1])
        with contextlib.suppress(RecordingError):
            assert len(file.between(first, end)) <= len(events)


@given(junk=st.binary(max_size=300))
def test_any_bytes_instead_of_a_file_end_well(tmp_path_factory, junk):
    path = tmp_path_factory.getbasetemp() / "no.raw"
    path.write_bytes(junk)
    with pytest.raises(RecordingError, match="is not a RAW file"):
        open_raw(path)


def test_what_cannot_be_opened_is_a_recording_error(tmp_path):
    for path in (tmp_path, tmp_path / "absent.raw"):
        with pytest.raises(RecordingError, match=re.escape(str(path))):
            open_raw(path)


def test_a_file_that_vanishes_is_a_recording_error(tmp_path):
    path = write_raw(tmp_path / "a.raw", "EVT3", [0x8001, 0x2001])
    file = open_raw(path)
    path.unlink()
    with pytest.raises(RecordingError, match=re.escape(str(path))):
        list(file.blocks())
    with pytest.raises(RecordingError, match=re.escape(str(path))):
        _ = file.num_events


REFERENCES = {
    "evt3_sample.raw": (
        "9bba5ca48301878102200069a89413a3240eaae3ff599d217f1c1a84d13fe7ba",
        (219596, 11718656, 11727457, 11714560, 720, 1280),
    ),
    "sparklers_evt2.raw": (
        "58773c06cd3098d13e0f2781e1134449d2f01ed498d4975aabc2c4e5ec81d44b",
        (521252, 913716224, 913812095, 913716224, 480, 640),
    ),
    "sparklers_first200k_evt21.raw": (
        "52f7f4a1a938219c095c9f64b8155c2086dec1f3467b291603ad7ee62fbc8e24",
        (200000, 913716224, 913742850, 913716224, 480, 640),
    ),
    "vga_triggers_evt3.raw": (
        "8f580a5821831f61a13916be950140e5f188d25aa820cbb15c577d8689cfb819",
        (343474, 7139845, 9218023, 7139328 - 4096, 480, 640),
    ),
}


@pytest.mark.parametrize("name", list(REFERENCES))
def test_real_recordings_give_the_reference_events(event_data, tmp_path, name):
    copy = tmp_path / name
    copy.write_bytes((event_data / "raw" / name).read_bytes())
    digest, numbers = REFERENCES[name]
    file = open_raw(copy)

    events = np.concatenate(list(file.blocks()))

    assert hashlib.sha256(events.tobytes()).hexdigest() == digest
    assert numbers == (
        file.num_events, file.start, file.end, file.time_origin, *file.stated_size,
    )  # fmt: skip
    assert file.num_dropped == 0
    rng = np.random.default_rng(0)
    for first in rng.integers(file.start - 10, file.end, 20).tolist():
        end = first + int(rng.integers(0, 30_000))
        inside = (events["t"] >= first) & (events["t"] < end)
        np.testing.assert_array_equal(file.between(first, end), events[inside])
