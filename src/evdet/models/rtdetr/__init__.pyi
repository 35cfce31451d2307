from .denoising import NoiseDraws as NoiseDraws, noise_objects as noise_objects
from .detector import (
    EVRT_DETR_PLANS as EVRT_DETR_PLANS,
    RT_DETR_PLANS as RT_DETR_PLANS,
    RTDETR as RTDETR,
    RTDETRPlan as RTDETRPlan,
)
from .loss import BOX_WEIGHT as BOX_WEIGHT, OVERLAP_WEIGHT as OVERLAP_WEIGHT
from .targets import Objects as Objects, match_queries as match_queries
