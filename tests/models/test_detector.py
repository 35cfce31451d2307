import torch

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.models import device_of
from evdet.models.class_rows import carry_classes

# Two anchors with rows for background, cat and dog; each row says what it is.
OLD = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
OWN = -torch.ones(8, 1)
OLD_NAMES, NAMES = [None, "cat", "dog"], [None, "cow", "dog", "cat"]


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


def test_without_layers_all_is_left_as_it_is():
    assert carry_classes({"a": OWN}, {"a": OLD}, [], OLD_NAMES, NAMES) == {"a": OLD}


def test_rows_that_both_know_are_carried_anchor_by_anchor():
    fitted = carry_classes({"a": OWN}, {"a": OLD, "b": OLD}, ["a"], OLD_NAMES, NAMES)
    assert fitted["a"].flatten().tolist() == [0, -1, 2, 1, 10, -1, 12, 11]
    assert fitted["b"] is OLD
    assert (OWN == -1).all()


def test_what_has_another_shape_is_left_for_others_to_report():
    own = {"a": OWN, "b": OWN}
    other = torch.zeros(5, 1)
    assert carry_classes(own, {"a": other}, ["a", "b"], OLD_NAMES, NAMES) == {"a": other}
