"""How long the steps around the head take: matching and encoding, decoding and suppression."""

from collections.abc import Callable

import torch

from benchmarks.measure import BestRate, Row, seconds
from evdet.boxes import cxcywh_to_xyxy
from evdet.frame_spec import SelectionThresholds
from evdet.models import select_boxes, to_detections
from evdet.models.ssd import Anchors

__all__ = ["rows"]

NUM_FRAMES, NUM_CLASSES, MAX_BOXES, MAX_OBJECTS = 80, 10, 500, 3
SIZE = (128, 128)
# Per pair of boxes: 4 extrema, 2 differences, 2 bounds, 1 product, 2 for the union, 1 quotient.
FLOPS_PER_OVERLAP = 12


def rows(device: str = "cpu") -> list[Row]:
    """Measure on frames of 128x128 with the six anchors of the tutorial (A = 2046).

    Args:
        device: where to run.

    Returns:
        Time per frame, and beside it what the arithmetic alone would take.
    """
    generator = torch.Generator().manual_seed(0)
    anchors = Anchors()
    x = torch.zeros(1, *SIZE, device=device)
    features = [torch.zeros(NUM_FRAMES, 1, 16 >> n, 16 >> n, device=device) for n in range(5)]
    num_anchors = len(anchors(features, x))
    targets = [_random_labels(generator) for _ in range(NUM_FRAMES)]
    deltas = 0.3 * torch.randn(NUM_FRAMES, num_anchors, 4, generator=generator)
    deltas = deltas.to(device)

    def encode() -> None:
        anchors.encode(features, x, targets)

    def select(scores: torch.Tensor) -> None:
        boxes = anchors.decode(features, x, deltas)
        selection = select_boxes(boxes, scores, SIZE, SelectionThresholds(max_boxes=MAX_BOXES))
        to_detections(selection, 4)

    # An untrained head: every frame has far more than MAX_BOXES candidates.
    crowded = torch.rand(NUM_FRAMES, num_anchors, NUM_CLASSES, generator=generator).to(device)
    # A trained one: the anchors around each object, and nothing else.
    near = anchors.encode(features, x, targets)["cls"] > 0
    trained = crowded * near[..., None] * (crowded > 0.8)
    rate = BestRate(device).value
    overlaps = {
        "match + encode": num_anchors * MAX_OBJECTS,
        "decode + NMS, trained": 0.5 * float((trained >= 0.05).sum(dim=(1, 2)).max()) ** 2,
        "decode + NMS, 500 candidates": 0.5 * MAX_BOXES**2,
    }
    calls: list[Callable[[], None]] = [encode, lambda: select(trained), lambda: select(crowded)]
    return [
        Row(
            what=f"{what} (F={NUM_FRAMES}, A={num_anchors}, C={NUM_CLASSES})",
            value=1e3 * seconds(call, device) / NUM_FRAMES,
            unit="ms/frame",
            floor=1e3 * num_overlaps * FLOPS_PER_OVERLAP / rate,
        )
        for (what, num_overlaps), call in zip(overlaps.items(), calls, strict=True)
    ]


def _random_labels(generator: torch.Generator) -> torch.Tensor:
    num = int(torch.randint(1, MAX_OBJECTS + 1, (), generator=generator))
    size = 20 + 40 * torch.rand(num, 2, generator=generator)
    centre = size / 2 + torch.rand(num, 2, generator=generator) * (SIZE[0] - size)
    label = torch.randint(1, NUM_CLASSES + 1, (num, 1), generator=generator)
    return torch.cat([cxcywh_to_xyxy(torch.cat([centre, size], dim=1)), label], dim=1)
