import numpy as np
import pytest

from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.pictures import events_to_picture, frame_to_picture
from evdet.events.representations import functions as representations
from evdet.events.representations.functions import REPRESENTATIONS

SIZE = SensorSize(height=3, width=5)
DARK = (24, 24, 28)

every = pytest.mark.parametrize("name", sorted(REPRESENTATIONS))


def events_of(*rows):
    return np.array(list(rows), dtype=EVENT_DTYPE)


def picture_of(name, *rows, **options):
    make = getattr(representations, name)
    return frame_to_picture(make(events_of(*rows), SIZE, start=0, delta_t=100, **options), name)


def is_orange(pixel):
    red, green, blue = (int(value) for value in pixel)
    return red > green > blue and red > blue + 60


def is_blue(pixel):
    red, green, blue = (int(value) for value in pixel)
    return blue > green > red and blue > red + 60


@every
def test_nothing_is_dark(name):
    picture = picture_of(name)
    assert (picture.shape, picture.dtype) == ((*SIZE, 3), np.uint8)
    assert (picture == DARK).all()


@every
def test_polarities_have_their_colours_and_pixels(name):
    picture = picture_of(name, (60, 1, 0, 1), (60, 3, 2, 0))
    assert is_orange(picture[0, 1])
    assert is_blue(picture[2, 3])
    picture[0, 1] = picture[2, 3] = DARK
    assert (picture == DARK).all()


@every
def test_one_event_is_plainly_visible(name):
    for p in (0, 1):
        pixel = picture_of(name, (90, 2, 1, p))[1, 2].astype(int)
        assert pixel.max() >= 140, "of 255"


@pytest.mark.parametrize("name", sorted(set(REPRESENTATIONS) - {"time_surface"}))
def test_more_events_are_brighter_and_full_at_last(name):
    if name == "multi_channel_time_surface":
        brightness = [picture_of(name, (t, 0, 0, 1))[0, 0].sum() for t in (10, 50, 90)]
    else:
        brightness = [picture_of(name, *[(50, 0, 0, 1)] * count)[0, 0].sum() for count in (1, 3, 5)]
        assert picture_of(name, *[(50, 0, 0, 1)] * 200)[0, 0].tolist() == [255, 170, 50]
    assert brightness == sorted(set(brightness))


def test_later_is_brighter_in_a_time_surface():
    brightness = [picture_of("time_surface", (t, 0, 0, 0))[0, 0].sum() for t in (1, 50, 99)]
    assert brightness == sorted(set(brightness))


def test_both_polarities_are_nearly_white():
    rows = [(50, 0, 0, p) for p in (0, 1)] * 5
    assert (picture_of("histogram", *rows)[0, 0] >= 250).all()


@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize(
    "name", ["event_cube", "multi_channel_time_surface", "stacked_histogram", "voxel_grid"]
)
def test_any_number_of_micro_bins(name, k):
    picture = picture_of(name, (90, 0, 0, 1), (90, 4, 2, 0), num_micro_bins=k)
    assert is_orange(picture[0, 0])
    assert is_blue(picture[2, 4])


def test_the_frame_is_left_as_it_was():
    frame = representations.diff(events_of((0, 0, 0, 0)), SIZE)
    before = frame.copy()
    frame_to_picture(frame, "diff")
    np.testing.assert_array_equal(frame, before)


def test_events_are_drawn_without_a_frame():
    assert (events_to_picture(events_of(), SIZE) == DARK).all()
    picture = events_to_picture(events_of((7, 1, 0, 1), (9, 3, 2, 0)), SIZE)
    assert is_orange(picture[0, 1])
    assert is_blue(picture[2, 3])
    with pytest.raises(ValueError, match="outside the sensor 5x3"):
        events_to_picture(events_of((7, 5, 0, 1)), SIZE)


def test_what_is_no_frame_of_that_kind_is_refused():
    with pytest.raises(
        ValueError, match=r"preprocess must be one of diff, event_cube.*got 'histo'"
    ):
        frame_to_picture(np.zeros((2, *SIZE), np.float32), "histo")
    with pytest.raises(ValueError, match=r"histogram .* 3 channels"):
        frame_to_picture(np.zeros((3, *SIZE), np.float32), "histogram")
