import pytest
from hypothesis import given, strategies as st

from evdet.models.rvt.sizes import COARSEST_STRIDE, grid_of

SIDE = st.integers(COARSEST_STRIDE // 2, 5000)


@pytest.mark.parametrize(
    ("size", "padded", "window"),
    [
        ((240, 304), (256, 320), (8, 10)),  # Gen1
        ((256, 320), (256, 320), (8, 10)),
        ((360, 640), (384, 640), (6, 10)),  # 1 Mpx at half size
        ((384, 640), (384, 640), (6, 10)),
        ((720, 1280), (768, 1280), (8, 10)),
        ((480, 640), (512, 640), (8, 10)),
        ((16, 33), (32, 64), (1, 2)),
    ],
)
def test_known_sizes_get_the_published_windows(size, padded, window):
    assert grid_of(size) == (padded, window)


@given(SIDE, SIDE)
def test_windows_divide_every_stage_of_a_frame_that_is_hardly_larger(height, width):
    padded, window = grid_of((height, width))
    for side, whole, cells in zip((height, width), padded, window, strict=True):
        assert side <= whole <= 2 * side
        # Apart from the last cell, at most a tenth is added.
        assert whole <= 1.1 * (side + COARSEST_STRIDE)
        assert 1 <= cells <= 10
        assert whole % (COARSEST_STRIDE * cells) == 0
    assert grid_of(padded) == (padded, window)


@pytest.mark.parametrize("size", [(15, 100), (100, 1), (0, 0)])
def test_a_frame_that_fits_no_window_is_told_the_nearest_that_do(size):
    with pytest.raises(ValueError, match=rf"{size[0]}x{size[1]} .* fit no window") as caught:
        grid_of(size)
    nearest = tuple(max(16, side) for side in size)
    assert f"{nearest[0]}x{nearest[1]}" in str(caught.value)
    grid_of(nearest)
