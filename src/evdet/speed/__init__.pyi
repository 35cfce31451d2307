from .captured import CapturedCall as CapturedCall
from .costs import count_flops as count_flops, count_parameters as count_parameters
from .measuring import SpeedReport as SpeedReport, measure_speed as measure_speed
from .tables import describe_speed as describe_speed
from .variants import DEFAULT_VARIANTS as DEFAULT_VARIANTS, EAGER as EAGER
from .windows import (
    Windows as Windows,
    open_windows as open_windows,
    picture_windows as picture_windows,
)
