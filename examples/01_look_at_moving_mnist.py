"""What a batch of Moving MNIST holds, and how it looks.

Run it:  python examples/01_look_at_moving_mnist.py [picture.png]
"""

import sys
from itertools import islice
from pathlib import Path

from evdet import draw_box_events, image_grid, make_moving_mnist, to_box_events
from evdet.draw import encode_png

NUM_TBINS, BATCH_SIZE = 20, 4
LABEL_MAP = ["background", *"0123456789"]


def main(picture_path: str = "moving_mnist.png") -> None:
    loader = make_moving_mnist(
        train=True,
        height=128,
        width=128,
        tbins=NUM_TBINS,
        num_workers=1,
        batch_size=BATCH_SIZE,
        max_frames_per_video=80,
        max_frames_per_epoch=8000,
    )
    to_rgb = loader.get_vis_func()
    pictures = []
    for number, batch in enumerate(islice(loader, 6)):
        inputs, labels = batch["inputs"], batch["labels"]
        print(f"batch {number}: inputs {tuple(inputs.shape)} (T, B, C, H, W)")
        # 0: a new video starts, and with it empty memory. 1: it goes on.
        print(f"  mask_keep_memory {batch['mask_keep_memory'].view(-1).tolist()}")
        for lane, info in enumerate(batch["video_infos"]):
            boxes = labels[0][lane]
            digits = ", ".join(LABEL_MAP[int(label)] for label in boxes[:, 4])
            print(f"  lane {lane}: {info.name}, from frame {info.first_frame}: {digits}")
            box_events = to_box_events(boxes[:, :4], boxes[:, 4])
            frame = to_rgb(inputs[0, lane])
            pictures.append(draw_box_events(frame, box_events, LABEL_MAP, draw_score=False))
    Path(picture_path).write_bytes(encode_png(image_grid(pictures, ncols=BATCH_SIZE)))
    print(f"one row per batch, one column per lane: {picture_path}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
