import pytest
from hypothesis import given, strategies as st

from evdet.cli.detect.serve.requests import RequestError, parse_request, suffix_of
from evdet.events import SensorSize

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = ("source", "detector", "score_thresh", "track", "sensor_size", "format", "time_unit",
          "columns", "stream")  # fmt: skip


def parse(**fields):
    return parse_request(fields, num_detectors=2, can_track=True)


def test_what_is_left_out_has_a_default():
    asked = parse()

    assert (asked.source, asked.detector, asked.is_tracked, asked.size) == ("", 0, False, None)
    assert not asked.is_sample


def test_a_whole_request_is_read():
    asked = parse(source="sample", detector=1, score_thresh=1, track=True, sensor_size="346x260",
                  format="text", time_unit="us", columns="txyp", stream="left")  # fmt: skip

    assert asked.is_sample
    assert asked.size == SensorSize(260, 346)
    assert asked.reading.columns == "txyp"


@pytest.mark.parametrize(
    "fields",
    [
        {"detector": 2}, {"detector": -1}, {"detector": True}, {"detector": "0"},
        {"score_thresh": 2}, {"score_thresh": float("nan")}, {"score_thresh": "0.3"},
        {"score_thresh": True}, {"track": 1}, {"sensor_size": "big"}, {"sensor_size": 3},
        {"format": "doc"}, {"time_unit": "h"}, {"columns": "zzz"}, {"source": "x" * 101},
        {"source": ["x"]}, {"stream": {}},
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_in_one_line(fields):
    with pytest.raises(RequestError, match=r"^[^\n]+$"):
        parse(**fields)


def is_refused_in_one_line(fields):
    """Whether a request is refused; an error of another kind fails the test."""
    try:
        parse_request(fields, num_detectors=1, can_track=True)
    except RequestError as error:
        return "\n" not in str(error)
    return isinstance(fields, dict)


@given(JSON)
def test_any_json_is_read_or_refused(fields):
    assert is_refused_in_one_line(fields)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_fields_are_read_or_refused(fields):
    assert is_refused_in_one_line(fields)


def test_tracking_without_its_library_is_refused():
    with pytest.raises(RequestError, match=r"evdet\[tracking\]"):
        parse_request({"track": True}, num_detectors=1, can_track=False)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("", ""), ("drive.RAW", ".raw"), ("a.tar.gz", ".gz"), ("../../etc/passwd", ""),
        ("x.raw/../../y", ""), ("x.ra w", ""), ("x.\x00raw", ""), ("..", ""), (".dat", ""),
        ("x.r\\..\\..\\y.h5", ".h5"), ("x.verylongsuffix", ""), ("x.ｒaw", ""),
    ],
)  # fmt: skip
def test_of_a_name_only_a_plain_ending_is_used(name, suffix):
    assert suffix_of(name) == suffix


@given(st.text())
def test_no_ending_leaves_its_folder(name):
    assert set("/\\\0") & set(suffix_of(name)) == set()
    assert len(suffix_of(name)) <= 9
