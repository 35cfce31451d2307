"""One picture of what a trained detector sees over time.

Usage: python examples/04_strip_of_a_run.py RUN [picture.png]

RUN is a run's folder after `evdet evaluate`; without it the example trains for a few seconds.
"""

import json
import sys
from pathlib import Path

from evdet.cli import main as evdet
from evdet.draw import decode_png, encode_png, image_grid

TINY = (
    "--feature-base 2 --feature-channels-out 4 --num-levels 2 --head-channels 4 --height 32 "
    "--width 32 --num-tbins 2 --batch-size 2 --max-frames-per-video 4 --max-frames-per-epoch 8 "
    "--max-epochs 1 --val-frames 8 --test-frames 8 --num-workers 0 --root-dir tiny_run"
)


def main(run: str = "", picture_path: str = "strip.png") -> None:
    if not run:
        run = "tiny_run"
        evdet(["train", *TINY.split()])
        evdet(["evaluate", run])
    folder = Path(run) / "evaluation"
    numbers = json.loads((folder / "evaluation.json").read_text())
    entries = numbers["pictures"]["strip"]
    pictures = [decode_png((folder / entry["file"]).read_bytes()) for entry in entries]
    Path(picture_path).write_bytes(encode_png(image_grid(pictures, ncols=len(pictures))))
    print(f"mAP {numbers['mAP']:.3f} ({numbers['protocol']}): {picture_path}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
