import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.models.folding import fold_batch_norm

T, B, C, SIZE = 2, 2, 3, 32
SMALL = {
    "feature_base": 2, "feature_channels_out": 4, "num_levels": 2, "head_channels": 4,
    "classes": ("cat", "dog"), "height": SIZE, "width": SIZE,
}  # fmt: skip


def make(**fields):
    detector = build_detector(DetectionConfig(**{**SMALL, **fields})).eval()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return detector


def norms_of(detector):
    return [module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    "fields",
    [
        {"feature_extractor": "Vanilla"},
        {"feature_extractor": "VanillaGRU"},
        {"feature_extractor": "VanillaS5"},
        {"feature_extractor": "VggLike"},
        {"detector": "RVT-Tiny"},
    ],
    ids=lambda fields: next(iter(fields.values())),
)
def test_a_folded_detector_gives_the_same_without_any_batch_norm(fields):
    detector, clip = make(**fields), torch.rand(T, B, C, SIZE, SIZE)
    folded = fold_batch_norm(detector, lambda model: model.predict(clip))

    assert norms_of(detector)
    assert not norms_of(folded)
    with torch.no_grad():
        expected, given = detector.predict(clip), folded.predict(clip)
    for one, other in zip((*expected[:2], *expected[2]), (*given[:2], *given[2]), strict=True):
        assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_detector_itself_is_left_as_it_is():
    detector = make().train()
    before = copy.deepcopy(detector.state_dict())
    fold_batch_norm(detector, lambda model: model.predict(torch.rand(T, B, C, SIZE, SIZE)))

    assert detector.training
    assert not any(module._forward_hooks for module in detector.modules())
    for name, value in detector.state_dict().items():
        assert torch.equal(value, before[name])


class _Odd(nn.Module):
    """BatchNorms that cannot be folded: one before a convolution, two behind one, one between."""

    def __init__(self):
        super().__init__()
        self.first = nn.BatchNorm2d(C)
        self.shared = nn.Conv2d(C, C, 1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(C), nn.BatchNorm2d(C)])
        self.plain = nn.Conv2d(C, C, 1)
        self.after_relu = nn.BatchNorm2d(C)

    def predict(self, clip):
        maps = self.first(clip.flatten(0, 1))
        maps = self.norms[0](self.shared(maps)) + self.norms[1](self.shared(maps + 1))
        return self.after_relu(self.plain(maps).relu())


def test_a_batch_norm_that_belongs_to_no_convolution_alone_stays():
    odd, clip = _Odd().eval(), torch.rand(T, B, C, 4, 4)
    for norm in norms_of(odd):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    folded = fold_batch_norm(odd, lambda model: model.predict(clip))

    assert len(norms_of(folded)) == 4
    assert_close(folded.predict(clip), odd.predict(clip))
