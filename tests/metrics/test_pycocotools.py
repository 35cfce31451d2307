"""Average precision against pycocotools, on random sets of all that is nasty in COCO's rules."""

import math

import numpy as np
import pytest

from evdet.metrics import average_precision

TOLERANCE = 1e-9
# Exactly on the limits of 32**2 and 96**2, a hair beside them, without area, and in between.
SIDES = [
    (32, 32), (16, 64), (64, 16), (96, 96), (48, 192), (32, 32.001), (31.999, 32), (96, 96.01),
    (95.99, 96), (0, 0), (0, 20), (8, 0), (10, 10), (20, 30), (33, 60), (150, 150), (300, 200),
]  # fmt: skip


def draw_boxes(rng, count, *, is_coarse):
    """Boxes on a coarse grid, where many coincide or overlap alike, or anywhere."""
    if is_coarse:
        corner = rng.integers(0, 4, (count, 2)) * 16.0
        sides = np.array(SIDES)[rng.integers(0, len(SIDES), count)]
    else:
        corner, sides = rng.uniform(0, 80, (count, 2)), rng.uniform(1, 140, (count, 2))
    return np.concatenate([corner, corner + sides], axis=1)


def draw_frame(rng, *, num_classes, is_coarse, most_found, levels):
    truth = draw_boxes(rng, rng.integers(0, 7), is_coarse=is_coarse)
    # Twins beside each other: a detection halfway between overlaps both alike.
    twins = truth[: len(truth) // 2] + np.array([8, 0, 8, 0])
    truth = np.concatenate([truth, twins])
    # The last class never occurs in the truth, others by chance.
    labels = rng.integers(1, num_classes, len(truth))
    if len(twins):
        labels[-len(twins) :] = labels[: len(twins)]
    copies = rng.integers(0, 3, len(truth))
    near, near_labels = np.repeat(truth, copies, axis=0), np.repeat(labels, copies)
    moves = rng.choice([0, 0, 0, -2, 2, 5], near.shape) * (1 if is_coarse else rng.random())
    near = near + np.where(rng.random((len(near), 1)) < 0.3, [4, 0, 4, 0], moves)
    near[:, 2:] = np.maximum(near[:, :2], near[:, 2:])
    false = draw_boxes(rng, rng.integers(0, most_found + 1), is_coarse=is_coarse)
    found = np.concatenate([near, false])
    found_labels = rng.integers(1, num_classes + 1, len(found))
    is_right = rng.random(len(near)) < 0.9
    found_labels[: len(near)][is_right] = near_labels[is_right]
    scores = rng.integers(0, levels, len(found)) / levels if levels else rng.random(len(found))
    # So that of equal scores not the right ones come first.
    order = rng.permutation(len(found))
    return np.column_stack([truth, labels]), {
        "boxes": found[order],
        "labels": found_labels[order],
        "scores": scores,
    }


def draw_set(seed):
    """One set: (truths, detections, number of classes, which objects are crowds)."""
    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(2, 5))
    options = {
        "num_classes": num_classes,
        "is_coarse": rng.random() < 0.7,
        # In one set of 25 a frame has more than 100 detections of a class.
        "most_found": 400 if rng.random() < 0.04 else int(rng.integers(0, 14)),
        # All scores alike, few different ones, or all different.
        "levels": int(rng.choice([0, 1, 3, 8])),
    }
    frames = [draw_frame(rng, **options) for _ in range(rng.integers(1, 6))]
    share = rng.choice([0, 0.3, 1], p=[0.5, 0.45, 0.05])
    crowds = [(rng.random(len(truth)) < share).astype(int) for truth, _ in frames]
    return [truth for truth, _ in frames], [found for _, found in frames], num_classes, crowds


def largest_difference(pycocotools_evaluation, seed):
    """Of the twelve numbers, and of the curves and averages of each class."""
    truths, detections, num_classes, crowds = draw_set(seed)
    names = tuple(map(str, range(num_classes)))
    ours = average_precision(truths, detections, names, iscrowd=crowds)
    stats, precision = pycocotools_evaluation(truths, detections, num_classes, crowds)
    numbers = [
        ours.map, ours.map50, ours.map75, *ours.per_size.values(),
        *ours.recall.values(), *ours.recall_per_size.values(),
    ]  # fmt: skip
    differences = [np.nan_to_num(numbers, nan=-1) - stats]
    for mine, theirs in zip(
        ours.per_class.values(), np.moveaxis(precision[..., 0], 2, 0), strict=True
    ):
        if theirs[0, 0] == -1:
            assert mine.num_truths == 0
            assert math.isnan(mine.ap)
        else:
            differences += [mine.precision50 - theirs[0], mine.precision75 - theirs[5]]
            differences += [[mine.ap - theirs.mean()]]
    return max(np.abs(part).max() for part in differences)


def test_eighty_sets_score_as_pycocotools_does(pycocotools_evaluation):
    worst = max(largest_difference(pycocotools_evaluation, seed) for seed in range(80))

    assert worst <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("part", range(12))
def test_twelve_thousand_sets_score_as_pycocotools_does(pycocotools_evaluation, part):
    seeds = range(1000 * (1 + part), 1000 * (2 + part))
    worst = max(largest_difference(pycocotools_evaluation, seed) for seed in seeds)

    assert worst <= TOLERANCE
