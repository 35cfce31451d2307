from .captured import CapturedCall as CapturedCall
from .costs import count_flops as count_flops, count_parameters as count_parameters
from .levers import DEFAULT_LEVERS as DEFAULT_LEVERS, EAGER as EAGER
from .measuring import SpeedReport as SpeedReport, measure_speed as measure_speed
from .tables import describe_speed as describe_speed
from .windows import (
    Windows as Windows,
    open_windows as open_windows,
    picture_windows as picture_windows,
)
