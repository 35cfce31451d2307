"""How fast a detector is, and what makes it faster."""

from evdet.speed.levers import DEFAULT_LEVERS
from evdet.speed.measuring import SpeedReport, measure_speed
from evdet.speed.tables import describe_speed
from evdet.speed.windows import Windows, open_windows, picture_windows, simulate_recording

__all__ = [
    "DEFAULT_LEVERS",
    "SpeedReport",
    "Windows",
    "describe_speed",
    "measure_speed",
    "open_windows",
    "picture_windows",
    "simulate_recording",
]
