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
