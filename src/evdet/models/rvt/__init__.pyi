from .detector import (
    RVT as RVT,
    RVT_PLANS as RVT_PLANS,
    S5_VIT_PLANS as S5_VIT_PLANS,
    RVTPlan as RVTPlan,
)
from .head import RVTOutputs as RVTOutputs
from .loss import BOX_WEIGHT as BOX_WEIGHT, rvt_loss as rvt_loss
from .simota import (
    CENTRE_RADIUS as CENTRE_RADIUS,
    IOU_WEIGHT as IOU_WEIGHT,
    NUM_BEST as NUM_BEST,
    OUTSIDE_COST as OUTSIDE_COST,
    collect_objects as collect_objects,
    paired_iou as paired_iou,
)
from .sizes import grid_of as grid_of
