"""Train without Lightning: batch, memory, loss, backward, step.

Run it:  python examples/05_train_without_lightning.py
"""

import torch

import evdet
from evdet.build import complete_config

NUM_EPOCHS = 2


def main() -> None:
    config = evdet.DetectionConfig(
        height=64, width=64, num_tbins=4, batch_size=4, max_frames_per_video=8,
        max_frames_per_epoch=160, num_workers=0, feature_base=2, feature_channels_out=16,
        num_levels=3, head_channels=16, anchor_list="MNIST_ANCHORS", lr=3e-3,
    )  # fmt: skip
    config = complete_config(config)
    loader = evdet.build_loader(config, "train")
    detector = evdet.build_detector(config).train()
    optimizer = torch.optim.Adam(detector.parameters(), lr=config.lr)

    memory = None
    for epoch in range(NUM_EPOCHS):
        loader.set_position(epoch)
        for batch in loader:
            # The mask is 0 where a lane starts a new video.
            memory = evdet.keep_memory(memory, batch["mask_keep_memory"])
            losses, memory = detector.compute_loss(batch, memory)
            memory = tuple(part.detach() for part in memory)  # gradients end with the clip
            loss = losses["cls_loss"] + losses["loc_loss"]
            optimizer.zero_grad()
            loss.backward()
            if not loss.isfinite():
                raise RuntimeError(f"the loss is {loss.item()}: lower the learning rate")
            torch.nn.utils.clip_grad_norm_(detector.parameters(), config.gradient_clip)
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}")
    torch.save(detector.state_dict(), "weights.pt")


if __name__ == "__main__":
    main()
