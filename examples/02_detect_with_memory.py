"""Detect in a stream, clip after clip: memory goes in and comes out.

Usage: python examples/02_detect_with_memory.py [CHECKPOINT]

Without a checkpoint the detector is untrained, and finds nothing worth showing.
"""

import sys

import torch

import evdet


def main() -> None:
    if len(sys.argv) > 1:
        detector = evdet.open_detector(sys.argv[1])
    else:
        config = evdet.DetectionConfig(feature_base=4, feature_channels_out=16, num_levels=4)
        detector = evdet.build_detector(config).eval()
    # Two videos side by side, 20 frames each, five at a time.
    loader = evdet.make_moving_mnist(
        train=False, tbins=5, batch_size=2, max_frames_per_video=20, max_frames_per_epoch=80
    )
    thresholds = evdet.SelectionThresholds(score_thresh=0.3)
    memory = None
    for number, batch in enumerate(loader):
        # 0 where a new video starts: what its lane remembers of the last one is cleared.
        mask = batch["mask_keep_memory"]
        memory = evdet.keep_memory(memory, mask)
        with torch.no_grad():
            found, memory = detector.step(batch["inputs"], memory, thresholds=thresholds)
        last = found[-1][0]
        digits = [f"{label - 1} ({score:.2f})" for label, score in zip(
            last["labels"].tolist(), last["scores"].tolist(), strict=True
        )]  # fmt: skip
        print(f"clip {number}: mask {mask.flatten().tolist()}, digits {digits or 'none'}")


if __name__ == "__main__":
    main()
