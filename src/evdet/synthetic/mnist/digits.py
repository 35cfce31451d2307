"""The 70,000 MNIST digits that come with the package (licence: mnist/NOTICE)."""

import functools
import gzip
from importlib import resources
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

__all__ = ["SPLITS", "Digits", "load_digits"]

SPLITS = ("train", "val", "test")
"""The first 55,000 training digits, the last 5,000 of them, and the 10,000 test digits."""

NUM_TRAIN = 55_000


class Digits(NamedTuple):
    """Images, white ink (255) on black (0), and their digits."""

    images: UInt8[np.ndarray, "N 28 28"]
    labels: UInt8[np.ndarray, " N"]


def load_digits(split: str) -> Digits:
    """Read the digits of one split, in the order of the database; the arrays are read-only.

    Raises:
        ValueError: the split is not in `SPLITS`.

    Source:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
        recognition", Proceedings of the IEEE 86(11), 1998: the database.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    part = {"train": slice(NUM_TRAIN), "val": slice(NUM_TRAIN, None), "test": slice(None)}[split]
    prefix = "t10k" if split == "test" else "train"
    images = _read_idx(f"{prefix}-images-idx3-ubyte.gz")
    labels = _read_idx(f"{prefix}-labels-idx1-ubyte.gz")
    return Digits(images[part], labels[part])


@functools.cache
def _read_idx(name: str) -> UInt8[np.ndarray, "..."]:
    """Read an IDX file: a magic number that ends in the number of dimensions, shape, bytes."""
    packed = resources.files("evdet.synthetic.mnist").joinpath(name).read_bytes()
    content = gzip.decompress(packed)
    num_dimensions = content[3]
    shape = np.frombuffer(content, ">i4", count=num_dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * num_dimensions).reshape(shape)
