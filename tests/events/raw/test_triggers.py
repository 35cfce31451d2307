"""External triggers of RAW files. The expected ones come from plain decoders written down here."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events import TRIGGER_DTYPE, RecordingError, open_recording
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.raw import write_evt3

HEADERS = {
    "EVT2": b"% evt 2.0\n% geometry 64x48\n% end\n",
    "EVT2.1": b"% evt 2.1\n% geometry 64x48\n% end\n",
    "EVT2.1 legacy": b"% evt 2.1\n% endianness legacy\n% geometry 64x48\n% end\n",
    "EVT3": b"% evt 3.0\n% geometry 64x48\n% end\n",
}
ENCODINGS = pytest.mark.parametrize("encoding", list(HEADERS))


def write_raw(path, encoding, words):
    words = np.array(words, {"EVT2": "<u4", "EVT3": "<u2"}.get(encoding, "<u8"))
    if encoding == "EVT2.1 legacy":
        words = words << np.uint64(32) | words >> np.uint64(32)
    path.write_bytes(HEADERS[encoding] + words.tobytes())
    return path


def triggers_of(*rows):
    return np.array(list(rows), TRIGGER_DTYPE)


def words_of(encoding, what):
    """Words of a list of ("high", value), ("low", value), ("event",), ("trigger", low, id, p)."""
    out = []
    for kind, *values in what:
        if encoding == "EVT3":
            out += {
                "high": lambda high: [0x8000 | high],
                "low": lambda low: [0x6000 | low],
                "event": lambda: [3, 0x2007],
                "trigger": lambda low, number, p: [0xA000 | number % 16 << 8 | p],
            }[kind](*values)
            continue
        word = {
            "high": lambda high: 8 << 28 | high,
            "low": lambda low: 15 << 28 | low,
            "event": lambda: 7 << 11 | 3,
            "trigger": lambda low, number, p: 10 << 28 | (low & 63) << 22 | number << 8 | p,
        }[kind](*values)
        out.append(word if encoding == "EVT2" else word << 32 | (kind == "event"))
    return out


def expected_of(encoding, what):
    rows, high, low, wraps = [], None, 0, 0
    bits, shift = (12, 12) if encoding == "EVT3" else (28, 6)
    for kind, *values in what:
        if kind == "high":
            if high is not None and high - values[0] >= 1 << (bits - 1):
                wraps += 1
            low = low if values[0] == high else 0
            high = values[0]
        elif kind == "low":
            low = values[0]
        elif kind == "trigger" and high is not None:
            own = low if encoding == "EVT3" else values[0] & 63
            number = values[1] % 16 if encoding == "EVT3" else values[1]
            base = (wraps << (bits + shift)) + (high << shift)
            rows.append((base + own, number, values[2]))
    return triggers_of(*rows)


WHAT = st.lists(
    st.one_of(
        st.tuples(st.just("high"), st.integers(0, 5)),
        st.tuples(st.just("low"), st.integers(0, 4095)),
        st.tuples(st.just("event")),
        st.tuples(st.just("trigger"), st.integers(0, 63), st.integers(0, 31), st.integers(0, 1)),
    ),
    max_size=60,
)


@ENCODINGS
def test_a_file_without_triggers_has_none(tmp_path, encoding):
    path = write_raw(tmp_path / "a.raw", encoding, words_of(encoding, [("high", 1), ("event",)]))
    triggers = open_recording(path).triggers
    assert len(triggers) == 0
    assert triggers.dtype == TRIGGER_DTYPE


def test_formats_without_triggers_have_none(tmp_path):
    (tmp_path / "a.csv").write_text("t,x,y,p\n1,2,3,1\n")
    assert len(open_recording(tmp_path / "a.csv").triggers) == 0


@ENCODINGS
@given(what=WHAT)
def test_triggers_are_decoded_as_the_formats_say(tmp_path_factory, encoding, what):
    path = tmp_path_factory.getbasetemp() / "triggers.raw"
    write_raw(path, encoding, words_of(encoding, what))
    found = open_recording(path).triggers
    expected = expected_of(encoding, what)
    num = len(found)
    # Time may step back in these words, which is damage: triggers come before it.
    np.testing.assert_array_equal(found, expected[:num])
    highs = [value for kind, *value in what if kind == "high"]
    if highs == sorted(highs):
        assert num == len(expected)


@pytest.mark.parametrize(("encoding", "bits"), [("EVT3", 12), ("EVT2", 28), ("EVT2.1", 28)])
def test_the_clock_wraps(tmp_path, encoding, bits):
    what = [("high", (1 << bits) - 1), ("trigger", 0, 3, 1), ("high", 0), ("trigger", 0, 3, 0)]
    path = write_raw(tmp_path / "a.raw", encoding, words_of(encoding, what))
    shift = 12 if encoding == "EVT3" else 6
    turn = 1 << bits + shift
    found = open_recording(path).triggers
    np.testing.assert_array_equal(found, triggers_of((turn - (1 << shift), 3, 1), (turn, 3, 0)))


def test_events_and_triggers_have_one_clock_that_can_be_shifted(tmp_path):
    what = [("high", 5), ("low", 7), ("event",), ("low", 9), ("trigger", 0, 6, 1), ("event",)]
    path = write_raw(tmp_path / "a.raw", "EVT3", words_of("EVT3", what))

    for shift in (False, True):
        recording = open_recording(path, shift_time=shift)
        (events,) = recording.blocks()
        assert recording.triggers["t"].tolist() == [events["t"][1]]
        assert events["t"][0] == (4096 + 7 if shift else 5 * 4096 + 7)
        assert recording.triggers is recording.triggers


def test_triggers_end_with_the_damage(tmp_path):
    what = [("high", 5), ("trigger", 0, 6, 1), ("event",)]
    words = [*words_of("EVT3", what), 0x2050, *[0xD000] * 9000, 0xA601]
    recording = open_recording(write_raw(tmp_path / "a.raw", "EVT3", words))
    with pytest.raises(RecordingError, match="outside the sensor"):
        list(recording.blocks())
    assert len(recording.triggers) == 1


def test_a_dat_file_of_triggers_is_named(tmp_path):
    (tmp_path / "a.dat").write_bytes(b"% Version 2\n\x0e\x08" + bytes(16))
    with pytest.raises(RecordingError, match="holds external triggers"):
        open_recording(tmp_path / "a.dat")


def test_what_evdet_writes_has_no_triggers(tmp_path):
    events = np.zeros(10, EVENT_DTYPE)
    write_evt3(tmp_path / "a.raw", [events], SensorSize(4, 4))
    assert len(open_recording(tmp_path / "a.raw").triggers) == 0


def test_real_triggers_are_those_of_the_manufacturer(event_data, tmp_path):
    copy = tmp_path / "a.raw"
    copy.write_bytes((event_data / "raw" / "vga_triggers_evt3.raw").read_bytes())
    reference = event_data / "raw" / "vga_triggers_evt3_triggers.csv"
    expected = np.loadtxt(reference, np.int64, delimiter=",")
    found = open_recording(copy).triggers
    np.testing.assert_array_equal(np.stack([found[name] for name in ("p", "id", "t")], 1), expected)
