import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE, SensorSize, TimeBin
from evdet.events.representations.event_tensors import events_to_tensors

SIZE = SensorSize(height=3, width=4)


def time_bin(start, *rows, delta_t=100):
    return TimeBin(start, delta_t, np.array(list(rows), EVENT_DTYPE))


def test_no_slices():
    tensors = events_to_tensors([], SIZE)
    assert [len(part) for part in tensors] == [0] * 6


def test_slices_follow_each_other_with_times_of_their_own():
    far = 1_700_000_000_000_000
    first = time_bin(far, (far + 5, 3, 2, 1), (far, 0, 1, 0))
    tensors = events_to_tensors([first, time_bin(0), time_bin(-7, (-1, 1, 0, 1))], SIZE)
    assert tensors.t.tolist() == [5, 0, 6]
    assert tensors.x.tolist() == [3, 0, 1]
    assert tensors.y.tolist() == [2, 1, 0]
    assert tensors.p.tolist() == [1, 0, 1]
    assert tensors.num_events.tolist() == [2, 0, 1]
    assert tensors.delta_t.tolist() == [100, 100, 100]


@given(st.lists(st.integers(0, 3), max_size=4))
def test_an_event_takes_nine_bytes_in_one_piece(lengths):
    bins = [time_bin(0, *[(0, 0, 0, 0)] * length) for length in lengths]
    tensors = events_to_tensors(bins, SIZE)
    num_bytes = [part.numel() * part.element_size() for part in tensors]
    assert sum(num_bytes[:4]) == 9 * sum(lengths)
    assert len({part.untyped_storage().data_ptr() for part in tensors}) == 1


def test_the_device_is_the_callers_choice():
    tensors = events_to_tensors([time_bin(0, (0, 0, 0, 0))], SIZE, device=torch.device("meta"))
    assert all(part.is_meta for part in tensors)


def test_what_lies_outside_is_named():
    good = time_bin(0, (0, 0, 0, 0))
    for bad, message in (
        (time_bin(0, (7, 4, 0, 0)), r"1 of 1 events lie outside the sensor 4x3.*x=4, y=0, t=7"),
        (time_bin(0, (100, 0, 0, 0)), "1 of 1 events lie outside the time bin from 0 to 100 us"),
        (time_bin(0, (-1, 0, 0, 0)), "first is at t=-1 us"),
        (time_bin(0, (0, 0, 0, 2)), "1 of 1 events have a polarity other than 0"),
    ):
        with pytest.raises(ValueError, match=message):
            events_to_tensors([good, bad], SIZE)


def test_what_does_not_fit_into_the_tensors_is_refused():
    with pytest.raises(ValueError, match="longer side must be at most 32768, got 40000"):
        events_to_tensors([], SensorSize(3, 40_000))
    with pytest.raises(ValueError, match="delta_t must be at most 2147483647"):
        events_to_tensors([time_bin(0, delta_t=2**31)], SIZE)
