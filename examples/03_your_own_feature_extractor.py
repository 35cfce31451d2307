"""Put a detector together from parts, one of them your own, and train a few steps."""

import torch
from torch import nn

import evdet
from evdet.models import ConvGRU, ConvLayer, RecurrentPyramid


def small_features(cin: int, cout: int, levels: int) -> RecurrentPyramid:
    """Two plain convolutions to stride 4, then gated recurrent units."""
    stem = nn.Sequential(ConvLayer(cin, 16, stride=2), ConvLayer(16, 32, stride=2))
    return RecurrentPyramid(stem, 32, cout=cout, levels=levels, recurrent=ConvGRU)


def main() -> None:
    features = small_features(cin=3, cout=32, levels=3)
    anchors = evdet.Anchors(num_levels=features.levels)
    head = evdet.BoxHead(features.cout, anchors.num_anchors, 11, hidden_channels=32)
    detector = evdet.SSD(features, anchors, head, evdet.DetectionLoss("softmax_focal_loss"))

    loader = evdet.make_moving_mnist(
        train=True, height=64, width=64, tbins=4, max_frames_per_video=8, max_frames_per_epoch=160
    )
    optimizer = torch.optim.Adam(detector.parameters(), lr=3e-3)
    memory = None
    for number, batch in enumerate(loader):
        memory = evdet.keep_memory(memory, batch["mask_keep_memory"])
        losses, memory = detector.compute_loss(batch, memory)
        # Gradients flow through one clip; the memory itself goes on.
        memory = tuple(part.detach() for part in memory)
        optimizer.zero_grad()
        (losses["cls_loss"] + losses["loc_loss"]).backward()
        optimizer.step()
        print(f"step {number}: " + ", ".join(f"{k} {v.item():.2f}" for k, v in losses.items()))


if __name__ == "__main__":
    main()
