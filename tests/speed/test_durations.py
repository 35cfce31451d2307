import dataclasses

import pytest
import torch
from hypothesis import given, strategies as st

from evdet.speed.durations import Durations, summarise, wait_for


def test_one_window_says_it_all():
    assert summarise([0.002]) == Durations(p50=2.0, p90=2.0, p99=2.0, best=2.0)


def test_of_a_hundred_windows_the_percentiles_are_counted():
    found = summarise([number / 1000 for number in range(100, 0, -1)])
    assert dataclasses.astuple(found) == pytest.approx((50, 90, 99, 1))


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50))
def test_they_are_in_order_and_were_measured(seconds):
    found = summarise(seconds)
    assert found.best <= found.p50 <= found.p90 <= found.p99
    for value in (found.best, found.p50, found.p90, found.p99):
        assert any(value == pytest.approx(1e3 * second) for second in seconds)


def test_nobody_waits_for_a_cpu():
    assert wait_for(torch.device("cpu")) is None
