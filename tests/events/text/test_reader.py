"""Text files of events: columns, units, comments, and lines that are none."""

import contextlib
import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

from evdet.events import AS_STATED, EVENT_DTYPE, ReadOptions, RecordingError, SensorSize
from evdet.events.text.reader import open_text

EVENT = st.tuples(
    st.integers(0, 10**9), st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 1)
)
FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def open_lines(tmp_path, content, options=AS_STATED):
    path = tmp_path / "a.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_text(path, options)


def read_all(file):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *file.blocks()])


def rows(tmp_path, content):
    return read_all(open_lines(tmp_path, content)).tolist()


def test_a_header_alone_is_a_recording_without_events(tmp_path):
    file = open_lines(tmp_path, "t,x,y,p\n")
    assert (file.num_events, file.start, file.end) == (0, None, None)
    assert list(file.blocks()) == []


@given(
    events=st.lists(EVENT, min_size=1, max_size=30),
    separator=st.sampled_from([",", ";", "\t", " ", "   ", " , "]),
    end=st.sampled_from(["\n", "\r\n"]),
    header=st.booleans(),
)
@FILES
def test_reading_gives_what_was_written(tmp_path, events, separator, end, header):
    events = sorted(events)
    lines = [separator.join(map(str, event)) for event in events]
    # Small numbers without a header can be in several orders.
    options = ReadOptions() if header else ReadOptions(columns="txyp")
    file = open_lines(tmp_path, end.join((["t x y p"] if header else []) + lines), options)
    assert read_all(file).tolist() == events
    assert (file.num_events, file.start, file.end) == (len(events), events[0][0], events[-1][0])


@given(
    st.lists(EVENT, min_size=2, max_size=30, unique_by=lambda event: event[0]),
    st.sampled_from(["txyp", "xypt"]),
)
@FILES
def test_without_a_header_the_order_is_right_or_asked_for(tmp_path, events, order):
    events = sorted(events)
    columns = ["txyp".index(letter) for letter in order]
    lines = ["".join(f"{event[column]} " for column in columns) for event in events]
    found = None
    with contextlib.suppress(RecordingError):
        found = read_all(open_lines(tmp_path, "\n".join(lines))).tolist()
    assert found in (None, events)


@given(st.integers(-(10**15), 10**15), st.sampled_from(["plain", "exponent"]))
@example(1468939993067416, "plain")
@FILES
def test_decimals_are_seconds_to_the_microsecond(tmp_path, t, style):
    sign, digits = "-" if t < 0 else "", f"{abs(t):07d}"
    text = f"{sign}{digits[:-6]}.{digits[-6:]}" if style == "plain" else f"{t}e-6"
    assume(t % 10**6)  # whole numbers alone are microseconds
    assert rows(tmp_path, f"{text} 1 2 1\n") == [(t, 1, 2, 1)]


@pytest.mark.parametrize(
    ("text", "t"),
    [("0.0000004", 0), ("0.0000005", 1), ("0.003820001", 3820),
     (".5", 500_000), ("5.000000000000000000e-01", 500_000), ("0.1234565000000000000001", 123457),
     ("-0.0000005", -1)],
)  # fmt: skip
def test_nanoseconds_are_rounded(tmp_path, text, t):
    assert rows(tmp_path, f"{text} 1 2 1\n") == [(t, 1, 2, 1)]


def test_what_numpy_writes_is_read(tmp_path):
    events = np.array([(0.25, 3, 4, 1), (0.5, 100, 200, 0)])
    np.savetxt(tmp_path / "a.txt", events, header="t x y p")
    file = open_text(tmp_path / "a.txt")
    assert read_all(file).tolist() == [(250_000, 3, 4, 1), (500_000, 100, 200, 0)]


@pytest.mark.parametrize(
    ("header", "line", "event"),
    [
        ("timestamp,x,y,polarity", "7,1,2,1", (7, 1, 2, 1)),
        ("x,y,pol,ts", "1,2,-1,7", (7, 1, 2, 0)),
        ("frame;T;Y;X;on;note", "9;7;2;1;True;ab", (7, 1, 2, 1)),
        (",t,x,y,p", "0,7,1,2,false", (7, 1, 2, 0)),
        ('"t_ns","x","y","p"', "7499,1,2,1", (7, 1, 2, 1)),
        ("t_us,x,y,p", "7.0,1,2,1", (7, 1, 2, 1)),
        ("t_ms x y p", "0.007 1 2 1", (7, 1, 2, 1)),
        ("# time_s x y p", "7 1 2 1", (7_000_000, 1, 2, 1)),
        ("\ufefft,x,y,p", "7,1,2,1", (7, 1, 2, 1)),
    ],
)
def test_a_header_names_the_columns_and_their_unit(tmp_path, header, line, event):
    assert rows(tmp_path, f"{header}\n{line}\n") == [event]


def test_x_y_p_t_is_known_where_only_that_can_be_right(tmp_path):
    assert rows(tmp_path, "10,1,1,0\n11,1,0,900\n") == [(0, 10, 1, 1), (900, 11, 1, 0)]
    with pytest.raises(RecordingError, match=r"can be txyp or xypt.*--columns"):
        rows(tmp_path, "10,1,1,0\n11,1,0,1\n")


def test_comments_and_empty_lines_are_passed_over(tmp_path):
    text = "# a camera\n\n  # another\n5 1 2 1\n\n# more\n6 1 2 0\n\n"
    assert rows(tmp_path, text) == [(5, 1, 2, 1), (6, 1, 2, 0)]


def test_a_first_line_of_two_numbers_is_the_size(tmp_path):
    file = open_lines(tmp_path, "240 180\n0.1 239 179 1\n0.2 240 0 1\n")
    assert file.stated_size == SensorSize(height=180, width=240)
    with pytest.raises(RecordingError, match="x=240, y=0, outside the sensor 240x180"):
        list(file.blocks())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("6 1 2", "fewer columns"),
        ("6 1 2 1 9", "more columns"),
        ("6 1 x 1", "not a number"),
        ("6 1 2.5 1", "not a whole number from 0 to 65535"),
        ("6 -1 2 1", "not a whole number from 0 to 65535"),
        ("6 65536 2 1", "not a whole number from 0 to 65535"),
        ("6 1 2 2", "polarity is not 0, 1, -1"),
        ("6.5 1 2 1", "time is a decimal"),
        ("999999999999999999 1 2 1", "time is out of range"),
        ("99999999999999999999999999999999 1 2 1", "time is out of range"),
        ("6.5e0 1 2 1", "time is a decimal"),
        ("nan 1 2 1", "not a number"),
        ("6 1e999999999 2 1", "not a whole number from 0 to 65535"),
        ("-- 1 2 1", "not a number"),
        ("\x00\x01\x02", "not a number"),
    ],
)
def test_a_line_that_is_no_event_is_named_after_what_came_before(tmp_path, line, why):
    file = open_lines(tmp_path, f"# by hand\n5 1 2 1\n{line}\n7 1 2 1\n")
    delivered = []
    with pytest.raises(RecordingError, match=rf"a\.txt: line 3 is not an event: .*{why}") as caught:
        delivered.extend(file.blocks())
    assert repr(line) in str(caught.value)
    assert np.concatenate(delivered).tolist() == [(5, 1, 2, 1)]
    assert (file.num_events, file.start, file.end) == (1, 5, 5)


@pytest.mark.parametrize(
    "content",
    [
        "frame,id,x,y,w,h\n1,1,10,20,30,40\n",  # boxes with a header
        "1,1,10,20,30,40,0.9,-1,-1,-1\n",  # boxes in MOT's text
        "0 0.28 0.38 0.12 0.48\n",  # boxes in YOLO's text
        "10 20 30 40\n",  # boxes without anything
        "hello world\n",
        "# nothing but a comment\n",
        "\n\n",
        "",
        "t x y p\n5 1 2\n",
    ],
)
def test_text_of_something_else_is_refused(tmp_path, content):
    with pytest.raises(RecordingError, match=r"a\.txt is not a text file of events"):
        open_lines(tmp_path, content)


def test_lines_may_end_anywhere_in_the_pieces_that_are_read(tmp_path):
    num_events = 200_000
    lines = b"".join(b"%d %d 2 %d\n" % (t, t % 300, t % 2) for t in range(num_events))
    file = open_lines(tmp_path, lines)
    assert file.num_events == num_events
    events = read_all(file)
    np.testing.assert_array_equal(events["t"], np.arange(num_events))
    np.testing.assert_array_equal(events["x"], np.arange(num_events) % 300)
    with pytest.raises(RecordingError, match=f"line {num_events + 1} is not an event"):
        list(open_lines(tmp_path, lines + b"oops\n").blocks())


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path):
    file = open_lines(tmp_path, b"5 1 2 1\n" + b" " * (3 << 20))
    with pytest.raises(RecordingError, match="a line has over 1048576 bytes"):
        list(file.blocks())


def test_a_time_that_jumps_back_is_damage(tmp_path):
    file = open_lines(tmp_path, "50000 1 2 1\n10 1 2 1\n")
    with pytest.raises(RecordingError, match="time steps back by 49990 us"):
        list(file.blocks())
    assert file.num_events == 1


@given(data=st.data())
@settings(FILES, max_examples=150)
def test_damaged_text_gives_events_or_the_one_error(tmp_path, data):
    content = bytearray(b"t,x,y,p\n" + b"".join(b"%d,1,2,1\n" % t for t in range(5, 40)))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RecordingError):
        list(open_lines(tmp_path, bytes(content)).blocks())


@given(st.binary(max_size=300))
@settings(FILES, max_examples=150)
def test_any_bytes_give_events_or_the_one_error(tmp_path, content):
    with contextlib.suppress(RecordingError):
        list(open_lines(tmp_path, content).blocks())


def test_a_recording_in_seconds_is_read_to_the_microsecond(event_data):
    file = open_text(event_data / "text" / "slider_depth_events_chunk.txt")
    digest = hashlib.sha256(read_all(file).tobytes()).hexdigest()
    assert digest == "15e62c36c183a4642f4c9b93ffc4331e1663943e02712597fe055197b0517e53"
    assert (file.num_events, file.start, file.end) == (50_000, 3811, 174_156)


@pytest.mark.parametrize("name", ["frame0013230.txt", "frame0013230.xml"])
def test_real_label_files_are_no_events(event_data, name):
    with pytest.raises(RecordingError, match="not a text file of events"):
        open_text(event_data / "labelled" / "pedro" / "train" / name)
