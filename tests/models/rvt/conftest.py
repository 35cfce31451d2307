"""Weights and inputs that anyone can make again, for comparisons with RVT's own code.

The numbers to compare with were made by running the MIT-licensed code of uzh-rpg/RVT at b80f568
with these weights and inputs, on a CPU in float32.
"""

from collections import namedtuple
from functools import cache

import numpy as np
import pytest
import torch

from evdet.detectors import import_rvt, published_name
from evdet.detectors.checkpoints import load_network
from evdet.models.rvt import RVT, RVT_PLANS
from models.rvt.published_numbers import remade_weight

SEEDS = {"tiny": 11, "small": 12, "base": 13}
Remade = namedtuple("Remade", "detector clip")


def published_shapes(size):
    """The names and shapes of a published checkpoint with two classes."""
    with torch.device("meta"):
        weights = RVT(RVT_PLANS[f"RVT-{size.title()}"], 20, 2).state_dict()
    return {published_name(name): tuple(weight.shape) for name, weight in weights.items()}


def remade_clip(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 11, (3, 2, 20, 256, 320)).astype(np.uint8)
    x[rng.random(x.shape) < 0.9] = 0
    return torch.from_numpy(x)


@pytest.fixture(scope="session")
def remade(tmp_path_factory):
    """Makes the detector of a size, through the import of published checkpoints, and its input."""

    @cache
    def make(size):
        folder, seed = tmp_path_factory.mktemp(size), SEEDS[size]
        weights = {
            key: remade_weight(key, shape, seed) for key, shape in published_shapes(size).items()
        }
        torch.save({"state_dict": weights}, folder / "rvt.ckpt")
        torch.save(import_rvt(folder / "rvt.ckpt"), folder / "ours.ckpt")
        return Remade(load_network(folder / "ours.ckpt"), remade_clip(seed))

    return make
