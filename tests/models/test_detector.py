import torch

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.models import device_of


class WithoutWeights:
    frame_spec = None

    def step(self, clip, memory=None, **thresholds):
        return [], memory


def test_what_has_no_weights_computes_on_the_cpu():
    assert device_of(WithoutWeights()) == torch.device("cpu")


def test_a_detector_computes_where_its_weights_are():
    detector = build_detector(DetectionConfig(feature_base=2, feature_channels_out=4, num_levels=2))
    assert device_of(detector) == torch.device("cpu")
    assert device_of(detector.to("meta")) == torch.device("meta")
