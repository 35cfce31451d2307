from .cells import count_per_pixel as count_per_pixel
from .event_tensors import events_to_tensors as events_to_tensors
from .functions import (
    REPRESENTATIONS as REPRESENTATIONS,
    histogram as histogram,
    stacked_histogram as stacked_histogram,
)
from .grid import check_count as check_count, frame_grid as frame_grid
from .names import (
    ON_FIRST as ON_FIRST,
    family_of as family_of,
    get_representation as get_representation,
)
from .torch_twins import (
    TORCH_REPRESENTATIONS as TORCH_REPRESENTATIONS,
    TORCH_VARIANTS as TORCH_VARIANTS,
    scatter_frames as scatter_frames,
)
