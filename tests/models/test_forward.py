"""`detector(clip)`: what hooks, summaries and counters of operations call."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.speed import count_flops

SMALL = {
    "classes": ("car", "bike"),
    "feature_base": 2,
    "feature_channels_out": 4,
    "num_levels": 2,
    "head_channels": 4,
    "height": 64,
    "width": 64,
}
FAMILIES = [
    {"feature_extractor": "Vanilla"},
    {"feature_extractor": "VanillaS5"},
    {"detector": "RVT-Tiny"},
    {"detector": "S5-ViT-Tiny"},
]


@pytest.fixture(params=FAMILIES, ids=lambda changes: next(iter(changes.values())))
def detector(request):
    torch.manual_seed(0)
    return build_detector(DetectionConfig(**{**SMALL, **request.param})).eval()


@torch.no_grad()
def test_a_call_is_a_step_and_calls_the_hooks(detector):
    clip = torch.rand(2, 1, 3, 64, 64)
    calls = []
    detector.register_forward_hook(lambda module, given, result: calls.append(result))
    found, memory = detector(clip)
    expected, same = detector.step(clip)
    assert len(calls) == 1
    for frames, others in zip(found, expected, strict=True):
        for frame, other in zip(frames, others, strict=True):
            assert all(torch.equal(frame[name], other[name]) for name in other)
    again, _ = detector(clip, memory)
    assert len(again) == 2
    assert all(torch.equal(one, other) for one, other in zip(memory, same, strict=True))


@torch.no_grad()
def test_operations_are_counted_through_a_call(detector):
    frame = torch.zeros(1, 1, 3, 64, 64)
    with FlopCounterMode(display=False) as counter:
        detector(frame)
    # The kernels of attention that a call takes are counted a little differently.
    assert counter.get_total_flops() == pytest.approx(count_flops(detector, frame), rel=0.01)


@torch.no_grad()
def test_lightnings_summary_has_sizes_and_operations():
    from pytorch_lightning.utilities.model_summary import ModelSummary

    from evdet.training import LightningDetectionModel

    model = LightningDetectionModel(DetectionConfig(**SMALL))
    summary = ModelSummary(model, max_depth=2)
    text = str(summary)
    assert "detector" in summary.layer_names[0]
    assert summary.total_flops > 0
    assert "FLOPs" in text
    assert summary.trainable_parameters == sum(w.numel() for w in model.parameters())
