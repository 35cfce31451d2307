import logging

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.files import ReadOptions
from evdet.events.live.decoder import LiveDecoder
from evdet.events.recording import open_recording

SIZE = SensorSize(height=48, width=64)
HEADERS = {
    "EVT2": b"% evt 2.0\n% geometry 64x48\n% end\n",
    "EVT2 without end": b"% evt 2.0\n% geometry 64x48\n",
    "EVT2.1": b"% evt 2.1\n% geometry 64x48\n% end\n",
    "EVT2.1 legacy": b"% evt 2.1\n% endianness legacy\n% geometry 64x48\n% end\n",
    "EVT3": b"% camera x\n% evt 3.0\n% geometry 64x48\n% end\n",
    "DAT": b"% Data file\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08",
    "text": b"# t x y p\n",
    "text of Metavision": b"",
}
SUFFIX = {"DAT": ".dat", "text": ".txt", "text of Metavision": ".csv"}
FORMATS = pytest.mark.parametrize("kind", list(HEADERS))


@st.composite
def bodies(draw, kind):
    """Bytes behind a header: mostly sound, in order of time or not, now and then damaged."""
    steps = draw(st.lists(st.integers(-300, 4000) | st.just(-30_000), max_size=40))
    times = np.maximum(100_000 + np.cumsum(np.array(steps, np.int64)), 0)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x, y, p = (rng.integers(0, limit, len(times)) for limit in (64, 48, 2))
    if len(times) and draw(st.integers(0, 9)) == 0:
        x[-1] = 77  # outside
    if kind == "DAT":
        records = np.zeros(len(times), [("t", "<u4"), ("word", "<u4")])
        records["t"], records["word"] = times, x | y << 14 | p << 28
        return records.tobytes()
    if kind.startswith("text"):
        rows = zip(*((times, x, y, p) if kind == "text" else (x, y, p, times)), strict=True)
        separator = " " if kind == "text" else ","
        return "".join(separator.join(map(str, row)) + "\n" for row in rows).encode()
    if kind == "EVT3":
        words = rng.integers(0, 1 << 16, 4 * len(times))
        return words.astype("<u2").tobytes()
    high = 8 << 28 | (times >> 6)
    event = p << 28 | (times & 63) << 22 | x << 11 | y
    if kind.startswith("EVT2.1"):
        mask = rng.integers(0, 1 << 16, len(times))
        high, event = high << 32, (event & ~(0x7E0 << 11)) << 32 | mask
        words = np.stack([high, event], axis=1).ravel().astype("<u8")
        legacy = words << np.uint64(32) | words >> np.uint64(32)
        return (legacy if kind.endswith("legacy") else words).tobytes()
    return np.stack([high, event], axis=1).ravel().astype("<u4").tobytes()


def cut(content, places):
    ends = sorted({min(place, len(content)) for place in places} | {len(content)})
    return [content[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def feed(decoder, pieces):
    events = [decoder.feed(piece) for piece in pieces] + [decoder.finish()]
    return np.concatenate([np.empty(0, EVENT_DTYPE), *events])


def read_file(path):
    blocks, problem = [np.empty(0, EVENT_DTYPE)], None
    try:
        for block in open_recording(path).blocks():
            blocks.append(block)
    except RecordingError as error:
        problem = error
    return np.concatenate(blocks), problem


@FORMATS
def test_a_header_alone_has_no_events(kind):
    decoder = LiveDecoder("a", size=SIZE)
    assert len(feed(decoder, [HEADERS[kind]])) == 0
    if HEADERS[kind]:
        assert decoder.problem is None
        assert decoder.is_open
        assert decoder.size == SIZE
        assert decoder.format == kind.split()[0]


@FORMATS
@given(data=st.data())
def test_events_do_not_depend_on_where_the_stream_is_cut(tmp_path_factory, kind, data):
    body = data.draw(bodies(kind))
    content = HEADERS[kind] + body
    if not body and kind == "text of Metavision":
        return
    places = data.draw(st.lists(st.integers(0, len(content) + 1), max_size=30))
    path = tmp_path_factory.getbasetemp() / f"live{SUFFIX.get(kind, '.raw')}"
    path.write_bytes(content)
    expected, problem = read_file(path)

    decoder = LiveDecoder("a")
    found = feed(decoder, cut(content, places))

    np.testing.assert_array_equal(found, expected)
    assert (decoder.problem is None) == (problem is None)
    if len(found) and problem is None:
        assert decoder.clock >= found["t"].max()


@FORMATS
@given(junk=st.binary(max_size=300), places=st.lists(st.integers(0, 400), max_size=9))
def test_any_bytes_end_well(kind, junk, places):
    decoder = LiveDecoder("a", size=SIZE)
    feed(decoder, cut(HEADERS[kind] + junk, places))
    assert decoder.problem is None or str(decoder.problem).startswith(("a", "cannot read a live"))
    feed(LiveDecoder("a"), cut(junk, places))


def test_a_clock_word_tells_the_time_without_an_event():
    decoder = LiveDecoder("a")
    decoder.feed(HEADERS["EVT2"])
    assert decoder.clock is None
    decoder.feed(np.array([8 << 28 | 1000], "<u4").tobytes())
    assert decoder.clock == 64_000


def test_the_size_asked_for_counts(tmp_path):
    content = HEADERS["DAT"] + np.array([5, 20 | 20 << 14], "<u4").tobytes()
    decoder = LiveDecoder("a", size=SensorSize(10, 10))
    assert len(feed(decoder, [content])) == 0
    assert "outside the sensor 10x10" in str(decoder.problem)
    assert len(decoder.feed(content)) == 0  # nothing more is decoded


def test_text_without_a_size_has_none():
    decoder = LiveDecoder("a")
    assert len(feed(decoder, [b"5 1 1 1\n"])) == 1
    assert decoder.size is None


def test_a_mark_at_the_beginning_of_text_is_passed_over():
    assert len(feed(LiveDecoder("a"), [b"\xef\xbb\xbft,x,y,p\n5,1,1,1\n6,1,1,1"])) == 2


EVENTS = [(1234 + 517 * k + k * k % 5, k * 37 % 64, k * 53 % 48, k % 3 % 2) for k in range(90)]


def lines(form, *, order="txyp", start="", end="\n"):
    rows = (dict(zip("txyp", event, strict=True)) for event in EVENTS)
    return start + "".join(form.format(*(row[name] for name in order)) + end for row in rows)


@pytest.mark.parametrize("step", [97, 10_000])
@pytest.mark.parametrize(
    "content",
    [
        lines("{:.18e} {:.18e} {:.18e} {:.18e}").encode(),
        lines("{},{},{},{}", order="xypt", start="%geometry:64,48\n").encode(),
        lines("{} {} {} {}", order="xytp", start="% a comment\n% another\n").encode(),
        lines("{}\t{}\t{}\t{}", start="t\tx\ty\tp\r\n", end="\r\n").encode("utf-16"),
        lines("{},{},{},{}", start="timestamp (us),x,y,polarity\r", end="\r").encode(),
    ],
    ids=["savetxt", "geometry", "comments", "UTF-16", "CR"],
)
def test_text_is_read_live_as_from_a_file(tmp_path, content, step):
    (tmp_path / "a").write_bytes(content)
    expected, problem = read_file(tmp_path / "a")
    decoder = LiveDecoder("a")
    found = feed(decoder, cut(content, range(step, len(content), step)))
    assert problem is None
    assert decoder.problem is None
    np.testing.assert_array_equal(found, expected)
    assert found.tolist() == EVENTS


def test_a_unit_that_is_not_clear_is_refused_live():
    decoder = LiveDecoder("a")
    content = "".join(f"{t / 1000:.3f} {x} {y} {p}\n" for t, x, y, p in EVENTS)
    assert len(feed(decoder, [content.encode()])) == 0
    assert "--time-unit us, ms, s or ns" in str(decoder.problem)


@pytest.mark.parametrize("kind", ["DAT", "EVT2", "EVT3"])
def test_what_is_cut_within_an_event_is_left_out_with_a_warning(kind, caplog):
    decoder = LiveDecoder("a")
    feed(decoder, [HEADERS[kind] + b"\x00"])
    assert decoder.problem is None
    assert "a ends within an event, of which 1 bytes came. It is left out." in caplog.text


@pytest.mark.parametrize("kind", ["DAT", "EVT2", "EVT3"])
def test_strict_refuses_what_is_cut_within_an_event(kind):
    decoder = LiveDecoder("a", options=ReadOptions(strict=True))
    feed(decoder, [HEADERS[kind] + b"\x00"])
    assert "a ends within an event, of which 1 bytes came" in str(decoder.problem)


WORDS_ALONE = np.array([0x8001, 0x6002, 3, *[0x2007, 0x2806] * 40], "<u2").tobytes()


@pytest.mark.parametrize("places", [[], [1], [5, 100], list(range(170))])
def test_words_without_a_header_are_read_in_the_format_that_is_named(places):
    decoder = LiveDecoder("a", size=SIZE, options=ReadOptions(format="evt3"))
    events = feed(decoder, cut(WORDS_ALONE, places))
    assert len(events) == 80
    assert set(events["t"].tolist()) == {4098}
    assert (decoder.format, decoder.size, decoder.problem) == ("EVT3", SIZE, None)


def test_words_of_another_format_are_refused():
    decoder = LiveDecoder("a", size=SIZE, options=ReadOptions(format="evt2"))
    assert len(feed(decoder, [WORDS_ALONE])) == 0
    assert "a holds no EVT2 words" in str(decoder.problem)


def test_words_without_a_header_and_a_format_are_refused_with_the_option():
    decoder = LiveDecoder("a")
    feed(decoder, [WORDS_ALONE])
    assert "--format evt2, evt2.1 or evt3" in str(decoder.problem)


@pytest.mark.parametrize(
    ("kind", "chosen", "message"),
    [
        ("DAT", "raw", "a has a header of DAT. Leave --format raw out"),
        ("EVT3", "dat", "a has a header of RAW. Leave --format dat out"),
        ("EVT3", "aedat4", "cannot read a live as aedat4"),
        ("EVT2", "evt3", "a has a header of EVT2, not EVT3"),
    ],
)
def test_a_chosen_format_is_refused_where_the_header_states_another(kind, chosen, message):
    decoder = LiveDecoder("a", options=ReadOptions(format=chosen))
    feed(decoder, [HEADERS[kind] + bytes(200)])
    assert message in str(decoder.problem)


def test_a_header_is_read_where_the_format_is_named_too():
    decoder = LiveDecoder("a", options=ReadOptions(format="evt3"))
    events = feed(decoder, cut(HEADERS["EVT3"] + WORDS_ALONE, [3, 20]))
    assert len(events) == 80


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "without data"),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0", "starts with .*HDF"),
        (b"% evt 4.0\n% end\n12345678", "EVT 4.0.*EVT2, EVT2.1, EVT3"),
        (b"% evt 3", "not a RAW file"),
        (b"% Version 2\n", "ends with its header"),
        (b"hello\nworld\n", "not a text file of events"),
    ],
)
def test_what_cannot_be_read_is_named(content, message):
    decoder = LiveDecoder("a")
    assert len(feed(decoder, [content])) == 0
    with pytest.raises(RecordingError, match=message):
        raise decoder.problem


@pytest.mark.parametrize(
    "name",
    [
        "raw/vga_triggers_evt3.raw",
        "raw/sparklers_first200k_evt21.raw",
        "raw/sparklers_evt2.raw",
        "dat/sparklers_openeb_cd.dat",
    ],
)
def test_real_recordings_give_the_same_events(event_data, tmp_path, name):
    path = tmp_path / name.split("/")[1]
    path.write_bytes((event_data / name).read_bytes())
    content = path.read_bytes()
    expected, _ = read_file(path)
    places = np.random.default_rng(0).integers(0, len(content), 50).tolist()
    np.testing.assert_array_equal(feed(LiveDecoder("a"), cut(content, places)), expected)


def test_what_write_dat_wrote_is_read(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    events = np.zeros(3, EVENT_DTYPE)
    events["t"] = 5, 6, 7
    write_dat(tmp_path / "a.dat", [events], SIZE)
    np.testing.assert_array_equal(
        feed(LiveDecoder("a"), [(tmp_path / "a.dat").read_bytes()]), events
    )
    assert not caplog.records
