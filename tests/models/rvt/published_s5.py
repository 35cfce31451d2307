"""Weights of S5-ViT that anyone can make again, from the name that the published code gives each.

The numbers to compare with were made by running the MIT-licensed code of
uzh-rpg/ssms_event_cameras at 7c871b55 with these weights, on a CPU in float32.
"""

import zlib

import numpy as np
import torch


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
