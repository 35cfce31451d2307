"""The windows of a frame, and the padding that makes them fit."""

import math
from typing import NamedTuple

from evdet.shapes import Size

__all__ = ["COARSEST_STRIDE", "Grid", "grid_of"]

COARSEST_STRIDE = 32
"""Side of a cell of the last stage, in pixels."""
MAX_WINDOW = 10
"""Longest side of a window, in cells."""


class Grid(NamedTuple):
    """The padded size of a frame, and the windows of every stage."""

    padded: Size
    """Height and width of the padded frame, in pixels."""
    window: Size
    """Height and width of a window and of a dilated grid, in cells of any stage."""


def grid_of(size: Size) -> Grid:
    """Choose the windows of a frame.

    For each side, the cells of the last stage, one every 32 pixels, are divided into the fewest
    windows of at most 10 cells, and the frame is padded until the windows are equal. A window that
    divides the last stage divides all stages, whose sides are 2, 4 and 8 times as long. 240x304
    (height x width) is padded to 256x320 with windows of 8x10 cells, 360x640 to 384x640 with 6x10,
    as in the published networks.

    Raises:
        ValueError: the frame is smaller than half a cell: most of it would be padding.
    """
    if min(size) < COARSEST_STRIDE // 2:
        nearest = [max(side, COARSEST_STRIDE // 2) for side in size]
        unpadded = [grid_of((side, side)).padded[0] for side in nearest]
        raise ValueError(
            f"frames of {size[0]}x{size[1]} (height x width) fit no window of RVT, whose last "
            f"stage has a cell every {COARSEST_STRIDE} pixels: the nearest sizes that do are "
            f"{nearest[0]}x{nearest[1]} and, without padding, {unpadded[0]}x{unpadded[1]}"
        )
    rows, columns = (_cut(side) for side in size)
    padded = tuple(num * cells * COARSEST_STRIDE for num, cells in (rows, columns))
    return Grid((padded[0], padded[1]), (rows[1], columns[1]))


def _cut(side: int) -> tuple[int, int]:
    """The number of windows along a side, and the cells of each."""
    cells = math.ceil(side / COARSEST_STRIDE)
    num_windows = math.ceil(cells / MAX_WINDOW)
    return num_windows, math.ceil(cells / num_windows)
