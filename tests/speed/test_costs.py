import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from evdet.models.rvt import RVT, RVT_PLANS
from evdet.speed import costs
from evdet.speed.costs import PeakMemory, count_flops, count_parameters, measure_memory

CPU = torch.device("cpu")
MEGABYTE = 2**20


def test_a_convolution_is_counted_by_hand(detector, clips):
    with_stem = count_flops(detector, clips[0])
    first = detector.feature_extractor.stem[0][0]
    channels = first.out_channels
    detector.feature_extractor.stem[0] = nn.Sequential(
        nn.Conv2d(2, channels, 1, stride=2), nn.BatchNorm2d(channels)
    )
    # 16 x 16 outputs of so many channels from 2 channels: 7 x 7 products, or one; times two.
    assert with_stem - count_flops(detector, clips[0]) == 2 * 16 * 16 * channels * 2 * (49 - 1)


def test_twice_the_lanes_are_twice_the_arithmetic(any_detector, clips):
    one = count_flops(any_detector, clips[0])
    assert one > 0
    assert count_flops(any_detector, torch.cat(clips[:2], dim=1)) == 2 * one


def test_every_weight_is_a_parameter(detector):
    expected = sum(np.prod(weight.shape) for weight in detector.state_dict().values())
    statistics = sum(buffer.numel() for buffer in detector.buffers())
    assert count_parameters(detector) == expected - statistics


def test_work_that_takes_memory_shows_in_the_peak():
    # In a process of its own: some systems cannot forget the peak that earlier tests reached.
    code = """
import json, numpy, torch
from evdet.speed.costs import measure_memory
cpu = torch.device("cpu")
idle = measure_memory(lambda: None, cpu)
busy = measure_memory(lambda: numpy.ones(500 * 2**20, numpy.uint8).sum(), cpu)
print(json.dumps([idle, busy]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    idle, busy = (PeakMemory(*numbers) for numbers in json.loads(run.stdout))

    assert idle.accelerator is None
    assert idle.host >= idle.host_before > 0
    assert busy.host - busy.host_before > 400 * MEGABYTE


def test_a_system_that_says_less_still_says_the_peak(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "_STATUS", tmp_path / "missing")
    monkeypatch.setattr(costs, "_RESET", tmp_path / "missing" / "too")
    peak = measure_memory(lambda: None, CPU)
    assert peak.host >= peak.host_before > MEGABYTE


@pytest.mark.gpu
def test_tensors_on_an_accelerator_are_counted():
    device = torch.device("cuda")
    peak = measure_memory(lambda: torch.ones(100 * MEGABYTE, device=device), device)
    assert peak.accelerator >= 400 * MEGABYTE


def test_attention_is_counted_as_published():
    with torch.device("meta"):
        rvt = RVT(RVT_PLANS["RVT-Tiny"], 20, 2).eval()
        flops = count_flops(rvt, torch.zeros(1, 1, 20, 256, 320))
    assert flops / 2 == pytest.approx(1.39e9, rel=0.01)
