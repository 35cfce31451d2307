import os

import pytest
import torch

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.training.threads import computing_threads

SMALL = {
    "feature_base": 2, "feature_channels_out": 4, "num_levels": 2, "head_channels": 4,
    "anchor_list": "MNIST_ANCHORS", "in_channels": 3, "height": 32, "width": 32,
    "classes": ("one",), "preprocess": "none",
}  # fmt: skip


def threads_in(**fields):
    config = DetectionConfig(**SMALL, **fields)
    with computing_threads(config, build_detector(config)) as chosen:
        return chosen, torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize(("asked", "chosen"), [(0, 1), (1, 1), (2, 2)])
def test_the_threads_of_the_configuration_are_used(monkeypatch, asked, chosen):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(3)

    assert threads_in(threads=asked) == (chosen, chosen, str(chosen))


@pytest.mark.parametrize("value", [None, "3"])
def test_what_was_set_before_is_set_again(monkeypatch, value):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if value is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    torch.set_num_threads(3)

    assert threads_in(threads=2) == (2, 2, "2")
    assert torch.get_num_threads() == 3
    assert os.environ.get("OMP_NUM_THREADS") == value


def test_without_a_number_that_of_the_environment_is_used(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)

    assert threads_in() == (3, 3, "3")
