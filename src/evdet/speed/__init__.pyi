from .captured import CapturedCall as CapturedCall
from .costs import count_flops as count_flops, count_parameters as count_parameters
from .measuring import SpeedReport as SpeedReport, measure_speed as measure_speed
from .tables import describe_speed as describe_speed
from .time_bins import (
    TimeBins as TimeBins,
    open_time_bins as open_time_bins,
    picture_bins as picture_bins,
)
from .variants import (
    DEFAULT_VARIANTS as DEFAULT_VARIANTS,
    EAGER as EAGER,
    prepare_variant as prepare_variant,
)
