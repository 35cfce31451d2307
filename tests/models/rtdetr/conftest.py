"""Weights and inputs that anyone can make again, for comparisons with EvRT-DETR's own code.

The numbers to compare with were made by running the BSD-3-licensed code of
realtime-intelligence/evrt-detr at 02811f12 with these weights and inputs, on a CPU in float32.
"""

import ast
import zlib
from collections import namedtuple
from functools import cache

import numpy as np
import pytest
import torch

from evdet.detectors.checkpoints import load_network
from evdet.detectors.published_evrtdetr import import_evrtdetr
from evdet.models.rtdetr.targets import collect_objects

SEEDS = {"r18": 58, "r50": 52}
Remade = namedtuple("Remade", "detector clip new_video golden objects")


def remade_weight(key, shape, seed):
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    n = np.random.default_rng([seed, zlib.crc32(key.encode())]).standard_normal(shape)
    n = n.astype(np.float32)
    if key.endswith("running_var"):
        n = 1 + 0.1 * np.abs(n)
    elif key.endswith(("running_mean", "bias")):
        n = 0.1 * n
    elif n.ndim == 1:
        n = 1 + 0.1 * n
    else:
        n = n / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(n, np.float32))


def published_shapes(event_data, size):
    """The names and shapes of a published model with two classes."""
    lines = (event_data / "evrtdetr_golden" / f"evrtdetr_{size}_keys.txt").read_text().splitlines()
    return {key: ast.literal_eval(shape) for key, shape in (x.split(" ", 1) for x in lines)}


def write_published(folder, shapes, seed):
    """A model folder as the project publishes it: a file a network."""
    files = {}
    for name, shape in shapes.items():
        network, key = name.split(":", 1)
        files.setdefault(network, {})[key] = remade_weight(name, shape, seed)
    for network, weights in files.items():
        torch.save(weights, folder / f"{network}.pth")


def remade_clip(seed, num_bins):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 11, (num_bins, 2, 20, 256, 320)).astype(np.uint8)
    x[rng.random(x.shape) < 0.9] = 0
    return torch.from_numpy(x)


@cache
def _remade(size, event_data, folder):
    seed = SEEDS[size]
    write_published(folder, published_shapes(event_data, size), seed)
    torch.save(import_evrtdetr(folder, height=256, width=320), folder / "ours.ckpt")
    golden = np.load(event_data / "evrtdetr_golden" / f"evrtdetr_{size}_gen1.npz")
    clip = remade_clip(seed, golden["shape"][0])
    assert clip.sum() == golden["input_sum"]
    return Remade(
        load_network(folder / "ours.ckpt").eval(),
        clip,
        torch.from_numpy(golden["new_video"]),
        golden,
        collect_objects(train_labels(golden), (256, 320), torch.device("cpu")),
    )


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    return cache(tmp_path_factory.mktemp)


@pytest.fixture
def remade(event_data, folder_of):
    """Makes the detector of a size, through the import of published folders, and its input."""
    return lambda size: _remade(size, event_data, folder_of(size))


def train_labels(golden):
    """The labels of the four training frames as evdet has them: x1 y1 x2 y2 label."""
    frames = []
    for rows, count in zip(golden["labels"], golden["train_counts"], strict=True):
        classes, centres, sides = rows[:count, :1], rows[:count, 1:3], rows[:count, 3:]
        corners = (centres - sides / 2, centres + sides / 2)
        frames.append(torch.from_numpy(np.concatenate([*corners, classes + 1], axis=1)).float())
    return frames
