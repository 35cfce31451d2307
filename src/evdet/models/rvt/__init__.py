"""RVT, the recurrent vision transformer: backbone, neck, head and loss."""

from evdet.models.rvt.detector import RVT, RVT_PLANS, RVTPlan
from evdet.models.rvt.head import RVTOutputs

__all__ = ["RVT", "RVT_PLANS", "RVTOutputs", "RVTPlan"]
