"""How fast a detector is from raw events to boxes, plain and with what makes it faster."""

import torch

from benchmarks.measure import BestRate, Row
from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.frame_spec import SelectionThresholds
from evdet.samples import sample_recording
from evdet.speed import EAGER, measure_speed, open_time_bins

__all__ = ["rows"]

VARIANTS = {"cpu": ("fold+channels-last", "onnx"), "cuda": ("fold+channels-last+half+graphs",)}
# Those of events_digits_quick.yaml, whose data set need not be at hand.
QUICK = DetectionConfig(
    dataset_path="runs/events_digits", preprocess="histogram", in_channels=2, height=128, width=128,
    classes=tuple("0123456789"), feature_extractor="Vanilla", feature_base=6,
    feature_channels_out=48, num_levels=4, head_channels=64, anchor_list="MNIST_ANCHORS",
    channels_last=True,
)  # fmt: skip


def rows(device: str = "cpu") -> list[Row]:
    """Measure the demo's detector, with random weights, on the recording that comes with evdet.

    Args:
        device: where to run.

    Returns:
        The time of a window in the middle, and beside it what its arithmetic alone would take.
    """
    detector = build_detector(QUICK).to(device).eval()
    windows = open_time_bins(sample_recording(), detector.frame_spec, device=torch.device(device))
    report = measure_speed(
        detector,
        windows,
        SelectionThresholds(score_thresh=0.05, nms_thresh=0.6, max_boxes=500),
        num_tbins=100,
        batches=(),
        variants=VARIANTS[device],
    )
    floor = 1e3 * report.flops / BestRate(device).value
    return [
        Row(
            what=f"events in, boxes out, 128x128: {variant.name}",
            value=variant.times.window.p50,
            unit="ms",
            floor=floor,
            note="target 15"
            if variant.name == EAGER
            else f"{variant.times.speedup:.1f} times as fast",
        )
        for variant in report.variants
        if variant.times  # onnxruntime may be missing
    ]
