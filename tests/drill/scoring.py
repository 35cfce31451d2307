"""Time and memory of scoring many boxes."""

from pathlib import Path

import numpy as np

from drill.attack import Attack, evdet

__all__ = ["SCORING"]

_FRAMES = 100_000
_BOXES = 1_000_000


def _million_boxes(folder: Path) -> str | None:
    from evdet import BOX_DTYPE

    rng = np.random.default_rng(0)
    boxes = np.zeros(_BOXES // 2, BOX_DTYPE)
    boxes["t"] = np.sort(rng.integers(1, _FRAMES + 1, len(boxes))) * 50_000
    boxes["x"], boxes["y"] = rng.uniform(0, 1100, len(boxes)), rng.uniform(0, 600, len(boxes))
    boxes["w"], boxes["h"] = rng.uniform(10, 150, len(boxes)), rng.uniform(10, 100, len(boxes))
    boxes["class_id"], boxes["class_confidence"] = rng.integers(0, 3, len(boxes)), 1
    np.save(folder / "truth.npy", boxes)
    boxes["x"] += rng.normal(0, 3, len(boxes))
    boxes["class_confidence"] = rng.uniform(0, 1, len(boxes))
    np.save(folder / "found.npy", boxes)
    words = ("score", "--detections", "found.npy", "--boxes", "truth.npy")
    return evdet(*words, folder=folder).unlike(0, "mAP", max_mb=600, max_seconds=10)


SCORING = (Attack("time", "a million boxes in 100,000 frames are scored", _million_boxes),)
