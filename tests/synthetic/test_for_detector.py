import numpy as np
import pytest

from evdet.frame_spec import FrameSpec
from evdet.synthetic import simulated_windows


def spec_of(preprocess, in_channels, **fields):
    return FrameSpec(
        preprocess=preprocess,
        in_channels=in_channels,
        **{"delta_t": 20_000, "height": 32, "width": 40, "class_names": ("a",), **fields},
    )


@pytest.mark.parametrize(
    ("preprocess", "channels"),
    [("histogram", 2), ("event_cube", 6), ("stacked_histogram", 20), ("none", 3), ("none", 1),
     ("none", 2), ("ready_made", 4)],
)  # fmt: skip
def test_simulated_windows_are_those_of_the_training_and_move(preprocess, channels):
    windows = list(simulated_windows(spec_of(preprocess, channels), 6))

    assert [window.shape for window in windows] == [(1, channels, 32, 40)] * 6
    assert {window.dtype for window in windows} == {np.dtype(np.float32)}
    assert all(window.any() for window in windows[1:])
    assert not np.array_equal(windows[1], windows[2])


def test_a_seed_makes_the_same_windows_again():
    spec = spec_of("histogram", 2)
    first, again, other = (list(simulated_windows(spec, 3, seed=seed)) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_windows_may_be_shorter_than_the_simulation_draws():
    assert len(list(simulated_windows(spec_of("histogram", 2, delta_t=700), 5))) == 5
