from pathlib import Path

import pytest

from evdet.events import RecordingError
from evdet.events.files import (
    AS_STATED,
    FORMAT_NAMES,
    ReadOptions,
    StreamChoiceError,
    choose_stream,
)
from evdet.events.readers import READERS

HERE = Path("rec.dat")


def test_no_options_leave_everything_to_the_file():
    AS_STATED.check_used(HERE, (), format_name="DAT")


def test_every_format_has_a_reader():
    assert sorted(READERS) == sorted(FORMAT_NAMES)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("format", "evt9", "format must be one of aedat2, "),
        ("time_unit", "minutes", "time_unit must be one of ns, us, ms, s"),
        ("columns", "txy", "columns must have t, x, y and p once each"),
        ("columns", "txypp", "columns must have t, x, y and p once each"),
        ("columns", "", "columns must have t, x, y and p once each"),
    ],
)
def test_a_value_that_is_not_a_choice_is_named(name, value, wanted):
    with pytest.raises(ValueError, match=wanted):
        ReadOptions(**{name: value})


def test_columns_can_skip_others():
    assert ReadOptions(columns="-xyt-p").columns == "-xyt-p"


def test_an_option_that_the_format_does_not_use_is_refused():
    with pytest.raises(RecordingError, match=r"rec.dat is DAT, which has no time unit to choose"):
        ReadOptions(time_unit="ms").check_used(HERE, ("stream",), format_name="DAT")


def test_the_only_stream_needs_no_choice():
    assert choose_stream(HERE, ["left"], None) == "left"


def test_of_several_streams_none_is_taken_silently():
    with pytest.raises(StreamChoiceError, match="has 2 streams of events: left, right") as caught:
        choose_stream(HERE, ["left", "right"], None)
    assert caught.value.streams == ("left", "right")
    assert choose_stream(HERE, ["left", "right"], "right") == "right"


def test_a_stream_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(StreamChoiceError, match="has no stream 'up' of events; it has left, right"):
        choose_stream(HERE, ["left", "right"], "up")
