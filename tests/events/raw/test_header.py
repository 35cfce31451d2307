import contextlib

import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.raw.header import read_header


@pytest.fixture
def header_of(tmp_path):
    def read(content):
        path = tmp_path / "a.raw"
        path.write_bytes(content)
        return read_header(path)

    return read


def test_a_header_of_today(header_of):
    content = (
        b"% camera_integrator_name Prophesee\n% evt 3.0\n% format EVT3;height=720;width=1280\n"
    )
    content += b"% geometry 1280x720\n% end\n"
    header = header_of(content + b"\x01\x80")

    assert header.encoding.name == "EVT3"
    assert header.size == SensorSize(height=720, width=1280)
    assert header.num_bytes == len(content)


@given(st.permutations(["evt 2.0", "system_ID 21", "Date 2020-09-25 07:48:29", "serial 5"]))
def test_lines_come_in_any_order(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "order.raw"
    content = "".join(f"% {line}\n" for line in lines).encode()
    path.write_bytes(content + b"\xd0\xd8\xd9\x80")
    header = read_header(path)

    assert (header.encoding.name, header.size) == ("EVT2", SensorSize(480, 640))
    assert header.num_bytes == len(content)


@pytest.mark.parametrize(
    ("line", "name", "num_bytes"),
    [
        (b"evt 2.0", "EVT2", 4),
        (b"evt 2.1", "EVT2.1", 8),
        (b"evt 3.0", "EVT3", 2),
        (b"format EVT2", "EVT2", 4),
        (b"format EVT21;height=4;width=5", "EVT2.1", 8),
        (b"format EVT3", "EVT3", 2),
        (b"EVT 3.0\r", "EVT3", 2),
    ],
)
def test_the_format_is_named_by_either_line(header_of, line, name, num_bytes):
    encoding = header_of(b"% " + line + b"\n% end\n").encoding
    assert (encoding.name, encoding.bytes_per_word) == (name, num_bytes)


@pytest.mark.parametrize(
    ("lines", "size"),
    [
        (b"", None),
        (b"% system_ID 7\n", None),
        (b"% system_ID 21\n", SensorSize(480, 640)),
        (b"% system_ID 48\n", SensorSize(720, 1280)),
        (b"% system_ID 49\n", SensorSize(720, 1280)),
        (b"% system_ID 49\n% geometry 320x240\n", SensorSize(240, 320)),
        (b"% format EVT3;height=7;width=9\n", SensorSize(7, 9)),
        (b"% geometry 2048x2048\n", SensorSize(2048, 2048)),
    ],
)
def test_the_size_is_stated_or_known_from_the_system(header_of, lines, size):
    assert header_of(b"% evt 3.0\n" + lines).size == size


@pytest.mark.parametrize(
    ("lines", "is_swapped"),
    [
        (b"% evt 2.1\n", False),
        (b"% evt 2.1\n% endianness little\n", False),
        (b"% endianness legacy\n% evt 2.1\n", True),
        (b"% format EVT21;endianness=legacy;height=4;width=4\n", True),
    ],
)
def test_legacy_endianness_swaps_the_halves_of_evt21(header_of, lines, is_swapped):
    assert header_of(lines).encoding.halves_swapped == is_swapped


@pytest.mark.parametrize(
    "words", [b"% \x80\x01", b"%\x80", b"% \n", b"% \xff\n% \x01\n", b"%%%%", b"\n% end\n"]
)
def test_words_that_look_like_a_header_are_not_of_it(header_of, words):
    content = b"% evt 3.0\n% end\n"
    assert header_of(content + words).num_bytes == len(content)


@pytest.mark.parametrize("words", [b"% \x80\x01", b"%\x80", b"% \x80\n% evt 9\n", b"\n% end\n"])
def test_without_an_end_the_header_ends_before_what_is_no_text(header_of, words):
    content = b"% evt 3.0\n% system_ID 48\n"
    header = header_of(content + words)

    assert (header.num_bytes, header.encoding.name) == (len(content), "EVT3")


def test_names_in_any_alphabet_belong_to_a_header(header_of):
    content = "% integrator_name Übermäßig 株式会社\n% evt 3.0\n".encode()
    assert header_of(content).num_bytes == len(content)
    content = b"% serial \xff\xfe\n% evt 3.0\n% end\n"
    assert header_of(content + b"\x01\x80").num_bytes == len(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a RAW file"),
        (b"evt 3.0\n", "is not a RAW file"),
        (b"% evt 3", "is not a RAW file"),
        (b"% \x00\n\x00", "is not a RAW file"),
        (b"% evt 3.0\n% geom", r"truncated in its header, at byte 16\. Copy it again"),
        (b"% evt 3.0\n%", "truncated in its header, at byte 11"),
        (b"% date 2020\n% end\n", "names no format.*such as '% evt 2.0'"),
        (b"% evt 4.0\n", "format 'EVT 4.0'.*EVT2, EVT2.1, EVT3"),
        (b"% format AER-8b\n", "format 'AER-8b'"),
        (b"% format HISTO3D;height=4;width=4\n% evt 3.0\n", "format 'HISTO3D'"),
        (b"% format EVT3\n% evt 2.0\n", "names two formats, 'EVT3' and 'evt 2.0'"),
        (b"% evt 2.1\n% endianness big\n", "endianness 'big'.*little, legacy"),
        (b"% evt 3.0\n% geometry 0x4\n", "states the geometry '0x4', not a width and height"),
        (b"% evt 3.0\n% geometry 4\n", "states the geometry '4'"),
        (b"% evt 3.0\n% geometry 2049x4\n", "from 1 to 2048"),
        (b"% format EVT3;height=4\n", "states the geometry 'x4'"),
        (b"% evt 3.0\n% geometry " + b"9" * 5000 + b"x4\n", "not a width and height"),
    ],
)
def test_a_header_that_cannot_be_used_says_why(header_of, tmp_path, content, message):
    with pytest.raises(RecordingError, match=message) as caught:
        header_of(content)
    assert str(tmp_path / "a.raw") in str(caught.value)


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_any_lines_end_well(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "lines.raw"
    path.write_bytes(b"".join(b"% " + line + b"\n" for line in [b"evt 3.0", *lines]))
    with contextlib.suppress(RecordingError):
        assert read_header(path).num_bytes <= path.stat().st_size
