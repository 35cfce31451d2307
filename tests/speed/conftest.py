import itertools

import pytest
import torch

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.frame_spec import SelectionThresholds
from evdet.speed.time_bins import TimeBins

SIZE = 32
CONFIG = {
    "dataset_path": "nowhere", "preprocess": "histogram", "in_channels": 2,
    "classes": ("cat", "dog"), "height": SIZE, "width": SIZE, "feature_base": 2,
    "feature_channels_out": 4, "num_levels": 2, "head_channels": 4,
}  # fmt: skip


@pytest.fixture(params=[{"feature_extractor": "Vanilla"}, {"detector": "RVT-Tiny"}], ids=str)
def any_detector(request):
    return make_detector(**request.param)


@pytest.fixture
def make():
    """Makes a detector that differs from the others in a few fields."""
    return make_detector


@pytest.fixture
def detector():
    return make_detector()


def make_detector(**fields):
    detector = build_detector(DetectionConfig(**{**CONFIG, **fields})).eval()
    # A fresh head finds nothing; this one finds something everywhere.
    for name, weight in detector.named_parameters():
        if "cls_head.1" in name:
            torch.nn.init.normal_(weight, std=3.0)
        elif "class_logits" in name or "objectness" in name:
            # Not too much: scores of 1.0 are ties, whose order is left to the last digit.
            torch.nn.init.normal_(weight, mean=float(weight.dim() == 1), std=0.3)
    return detector


@pytest.fixture
def thresholds():
    return SelectionThresholds(score_thresh=0.3, nms_thresh=0.5, max_boxes=50)


@pytest.fixture
def clips():
    return list(torch.rand(4, 1, 1, 2, SIZE, SIZE))


@pytest.fixture
def time_bins(clips):
    """Noise in memory."""
    return TimeBins("noise", 50_000, lambda: itertools.cycle(clips), lambda clip: clip)
