"""How well the detector of `evdet demo` finds the digits of other generators.

    python -m benchmarks.other_digits runs/demo

Two generators play white digits of 30 to 95 pixels in frames of 128x128: Moving MNIST with other
arguments, and one that shares no code with it, in which digits keep their size and positions are
whole pixels.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from evdet.data import Clip, ClipInfo, ClipShape, StreamLoader
from evdet.evaluation import evaluate, open_evaluated
from evdet.events import frame_to_rgb
from evdet.opencv import cv2
from evdet.synthetic import MovingMNIST
from evdet.synthetic.mnist import load_digits

SIDE = 128
SIZES = (30, 95)  # pixels of a digit's longer side
TBINS, FRAMES_PER_VIDEO = 3, 12
INK = 32  # of 255: boxes are tight around it


@dataclass(frozen=True)
class BouncingDigits:
    """Videos of one to three white digits of constant size, for a `StreamLoader` to play."""

    split: str
    num_videos: int
    clip_shape: ClipShape = (TBINS, 3, SIDE, SIDE)

    def clip_counts(self, epoch: int) -> list[int]:
        """Clips of each video."""
        return [FRAMES_PER_VIDEO // TBINS] * self.num_videos

    def clips(self, epoch: int, index: int, first_clip: int) -> Iterator[Clip]:
        """Make the clips of one video, the same in every epoch."""
        rng = np.random.default_rng([3, index])
        frames = np.zeros((FRAMES_PER_VIDEO, SIDE, SIDE), np.uint8)
        boxes: list[list[Float32[np.ndarray, " 5"]]] = [[] for _ in frames]
        for _ in range(rng.integers(1, 3, endpoint=True)):
            self._play(rng, frames, boxes)
        for start in range(first_clip * TBINS, FRAMES_PER_VIDEO, TBINS):
            part = slice(start, start + TBINS)
            yield Clip(
                inputs=torch.from_numpy(frames[part, None].repeat(3, axis=1)),
                labels=[np.stack(rows) for rows in boxes[part]],
                frame_is_labeled=np.ones(TBINS, np.bool_),
                info=ClipInfo(f"{self.split}-{index}", index, start, 50_000),
            )

    def _play(
        self,
        rng: np.random.Generator,
        frames: UInt8[np.ndarray, "T H W"],
        boxes: list[list[Float32[np.ndarray, " 5"]]],
    ) -> None:
        digit, label = _draw_digit(rng, self.split)
        height, width = digit.shape
        free = np.array([SIDE - height, SIDE - width])
        corner = rng.uniform(0, free)
        speed = rng.uniform(-4, 4, 2)
        rows, columns = np.nonzero(digit >= INK)
        for frame, labels in zip(frames, boxes, strict=True):
            y, x = corner.round().astype(int)
            part = frame[y : y + height, x : x + width]
            np.maximum(part, digit, out=part)
            ends = x + columns.min(), y + rows.min(), x + columns.max() + 1, y + rows.max() + 1
            labels.append(np.array([*ends, label + 1], np.float32))
            corner += speed
            speed = np.where((corner < 0) | (corner > free), -speed, speed)
            corner = corner.clip(0, free)


def _draw_digit(rng: np.random.Generator, split: str) -> tuple[UInt8[np.ndarray, "h w"], int]:
    digits = load_digits(split)
    index = rng.integers(len(digits.labels))
    image = digits.images[index]
    rows, columns = np.nonzero(image.any(axis=1))[0], np.nonzero(image.any(axis=0))[0]
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = rng.integers(*SIZES, endpoint=True) / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    return cv2.resize(ink, (width, height), interpolation=cv2.INTER_LINEAR), int(
        digits.labels[index]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run, or a checkpoint")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--frames", type=int, default=2400)
    options = parser.parse_args()
    evaluated = open_evaluated(options.run)
    generators = {
        "Moving MNIST, white": MovingMNIST(
            split=options.split,
            tbins=TBINS,
            max_frames_per_video=FRAMES_PER_VIDEO,
            max_frames_per_epoch=options.frames,
            color=False,
            min_digit_share=SIZES[0] / SIDE,
            max_digit_share=SIZES[1] / SIDE,
        ),
        "bouncing digits": BouncingDigits(options.split, options.frames // FRAMES_PER_VIDEO),
    }
    print(f"{'generator':24}{'frames':>8}{'mAP':>8}{'mAP50':>8}{'mAP75':>8}")
    for name, videos in generators.items():
        scores = evaluate(
            evaluated.detector,
            StreamLoader(videos, batch_size=8, shuffle=False),
            evaluated.class_names,
            show_frame=frame_to_rgb,
            thresholds=evaluated.config.thresholds,
        ).scores
        print(
            f"{name:24}{options.frames:8}{scores.map:8.3f}{scores.map50:8.3f}{scores.map75:8.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
