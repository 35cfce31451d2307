"""The size of a picture that is shown on a screen, whatever the sensor's size."""

from evdet.shapes import Size

__all__ = ["LARGEST_SIDE", "enlargement"]

LARGEST_SIDE = 1920
"""Pixels to which a picture is enlarged at most, in each direction: screens show it whole."""
# Boxes and names need the room.
_LEAST_WIDTH = 600


def enlargement(size: Size, *, room: int = LARGEST_SIDE) -> int:
    """The whole factor by which a sensor's picture is enlarged; 1 for large sensors.

    Args:
        size: height and width of the sensor.
        room: pixels that the enlarged picture may fill, in each direction.
    """
    height, width = size
    return max(1, min(-(-_LEAST_WIDTH // width), room // max(height, width)))
