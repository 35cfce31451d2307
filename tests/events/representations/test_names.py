import numpy as np
import pytest

from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.representations.functions import REPRESENTATIONS
from evdet.events.representations.names import VARIANTS, family_of, get_representation

SIZE = SensorSize(height=3, width=4)


@pytest.mark.parametrize("name", sorted(REPRESENTATIONS))
def test_a_representation_of_the_table_is_its_own_family(name):
    assert get_representation(name) is REPRESENTATIONS[name]
    assert family_of(name) == name


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_variant_makes_what_it_says(name):
    make, num_channels, dtype = get_representation(name)
    events = np.array([(5, 1, 2, 1), (90, 1, 2, 0)], EVENT_DTYPE)
    for each in (events[:0], events):
        frame = make(each, SIZE, start=0, delta_t=100)
        assert (frame.shape, frame.dtype) == ((num_channels, *SIZE), dtype)
        assert frame.any() == bool(len(each))
    assert name.startswith(family_of(name))


def test_an_unknown_name_is_answered_with_the_list():
    with pytest.raises(ValueError, match=r"one of diff, event_cube, .*, got 'histo'"):
        get_representation("histo")


def test_the_frames_of_evrtdetr_count_without_a_limit_on_before_off_between_first_and_last_event():
    make = get_representation("stacked_histogram_evrtdetr").make
    rows = [(30, 1, 2, 1)] * 300 + [(30, 0, 0, 0), (49, 3, 1, 0), (31, 3, 1, 0)]
    frame = make(np.array(rows, EVENT_DTYPE), SIZE, start=0, delta_t=100)
    assert frame[0, 2, 1] == 300
    assert frame[10, 0, 0] == 1
    assert (frame[19, 1, 3], frame[10, 1, 3]) == (1, 1)
    assert frame.sum() == 303


def test_frames_of_evrtdetr_at_half_the_size_are_means():
    make = get_representation("stacked_histogram_evrtdetr").make
    size, half = SensorSize(4, 6), (2, 3)
    rows = np.random.default_rng(0).integers(0, [100, 6, 4, 2], (200, 4))
    events = np.array([tuple(row) for row in rows], EVENT_DTYPE)
    whole, small = (make(events, size, start=0, delta_t=100, out_size=out) for out in (None, half))
    means = whole.reshape(20, 2, 2, 3, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(small, means)
    doubled = make(events, size, start=0, delta_t=100, out_size=half, count_scale=2.0)
    np.testing.assert_allclose(doubled, 2 * means)
