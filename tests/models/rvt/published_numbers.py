"""Weights that anyone can make again, from the name that the published code gives each.

The numbers to compare with were made by running the MIT-licensed code of uzh-rpg/RVT at b80f568 and
of uzh-rpg/ssms_event_cameras at 7c871b55 with these weights, on a CPU in float32.
"""

import zlib

import numpy as np
import pytest
import torch

from evdet.detectors import published_name


def remade_weight(key, shape, seed):
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    n = rng.standard_normal(shape).astype(np.float32)
    rest = np.sqrt(np.prod(shape[1:]))
    if key.endswith(".seq.Lambda"):
        n = np.stack([-(0.5 + 0.1 * np.abs(n[:, 0])), 20 * n[:, 1]], axis=1)
    elif key.endswith(".seq.log_step"):
        n = -4.5 + n
    elif key.endswith(".seq.B"):
        n = 8 * n / rest
    elif key.endswith(".gamma"):
        n = 0.5 + 0.1 * n
    elif key.endswith("running_var"):
        n = 1 + 0.1 * np.abs(n)
    elif key.endswith(("running_mean", "bias")):
        n = 0.1 * n
    elif n.ndim == 1:
        n = 1 + 0.1 * n
    else:
        n = n / rest
    return torch.from_numpy(np.asarray(n, np.float32))


def assert_losses_are(golden, detector, clip, *, gradients):
    """Compare losses, to 1e-4, and the norms of gradients with those of the published code."""
    frames = [from_golden(torch.from_numpy(frame)) for frame in golden["labels"]]
    num_lanes = clip.shape[1]
    labels = [frames[at : at + num_lanes] for at in range(0, len(frames), num_lanes)]
    losses, _ = detector.compute_loss({"inputs": clip, "labels": labels})
    sum(losses.values()).backward()

    found = [losses[name].item() for name in ("loc_loss", "obj_loss", "cls_loss")]
    wanted = [golden[f"loss_{name}"] for name in ("iou_loss", "conf_loss", "cls_loss")]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    weights = {published_name(name): weight for name, weight in detector.named_parameters()}
    norms = [name.removeprefix("grad_") for name in golden if name.startswith("grad_")]
    assert norms
    for name in norms:
        norm = weights[f"mdl.{name}"].grad.norm().item()
        assert norm == pytest.approx(float(golden[f"grad_{name}"]), rel=gradients), name


def from_golden(rows):
    """Rows of class, cx, cy, w, h, padded with zeros -> x1 y1 x2 y2 label."""
    rows = rows[rows[:, 3] > 0]
    centre, half = rows[:, 1:3], rows[:, 3:5] / 2
    return torch.cat([centre - half, centre + half, rows[:, :1] + 1], dim=1)
