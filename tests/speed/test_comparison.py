import itertools
import time

import pytest
import torch

from evdet.speed import comparison
from evdet.speed.comparison import time_variants
from evdet.speed.time_bins import TimeBins
from evdet.speed.variants import Difference, Variant


def variant_of(name, seconds, log):
    """Takes its time, and remembers how many windows it has seen."""

    def step(clip, memory):
        count = 0 if memory is None else int(memory[0].item())
        log.append((name, int(clip[0, 0, 0, 0, 0]), count))
        time.sleep(seconds)
        return [[{}]], (torch.full((1, 1, 1, 1), count + 1.0),)

    return Variant(name, step, Difference(0.0, 0.0), 0.0)


@pytest.fixture
def time_bins():
    frames = torch.arange(1000.0)[:, None, None, None]
    return TimeBins("counting", 50_000, lambda: iter(frames), lambda frame: frame[None, None])


def test_nothing_to_compare_takes_no_time(time_bins):
    assert time_variants([], time_bins, num_tbins=10, warm_up=2) == []


def test_each_variant_plays_the_same_windows_with_its_own_memory(time_bins):
    log = []
    variants = [variant_of(name, 0.0, log) for name in "abc"]
    found = time_variants(variants, time_bins, num_tbins=9, warm_up=2)

    assert len(found) == 3
    # 2 to warm up, and two turns of 1 + 5 time_bins.
    for name in "abc":
        played = [(window, count) for who, window, count in log if who == name]
        assert played == [(number, number) for number in range(14)]


def test_they_take_turns_and_each_comes_first_once(time_bins):
    log = []
    variants = [variant_of(name, 0.0, log) for name in "abc"]
    time_variants(variants, time_bins, num_tbins=15, warm_up=0)

    turns = [name for name, _ in itertools.groupby(who for who, _, _ in log)]
    assert "".join(turns) == "abcbcacab"


def test_a_variant_twice_as_fast_is_twice_as_fast(time_bins, monkeypatch):
    monkeypatch.setattr(comparison, "_PAUSE", 0.0)
    log = []
    variants = [variant_of("slow", 0.02, log), variant_of("fast", 0.01, log)]
    slow, fast = time_variants(variants, time_bins, num_tbins=10, warm_up=0)

    assert slow.speedup == 1
    assert fast.speedup == pytest.approx(2, rel=0.4)
    assert slow.window.best >= 20
    assert 10 <= fast.window.best < 20
