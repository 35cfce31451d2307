"""A detector of a few operators, in torch and in ONNX: fast tests need no exporter."""

import dataclasses

import numpy as np
import pytest
import torch
from onnx import parser
from torch import nn

from evdet.detectors.onnx_metadata import MemoryPart, ModelMetadata
from evdet.export.exporting import _sign
from evdet.export.selection_graph import append_selection
from evdet.frame_spec import FrameSpec, SelectionThresholds

CORNERS = [[0.0, 0, 6, 6], [1, 0, 7, 6], [-2, -2, 9, 9], [8, 8, 20, 30]]
WEIGHTS = [[1.0, -2], [1.5, 0.25], [-1, 1], [2, 2]]
SPEC = FrameSpec(
    preprocess="histogram",
    delta_t=10_000,
    height=8,
    width=12,
    in_channels=2,
    class_names=("cat", "dog"),
    thresholds=SelectionThresholds(score_thresh=0.4, nms_thresh=0.5, max_boxes=6),
)
METADATA = ModelMetadata(
    evdet_version="0.0",
    raw_heads=False,
    num_classes=2,
    memory=(MemoryPart(name="sum", channels=1, stride=1),),
    frame_spec=SPEC,
)


def listed(rows):
    return ", ".join(f"{value:g}" for row in rows for value in row)


def toy_text(size, drift, *, timed=False):
    """With `timed` a frame counts by how many times 10 ms it lasts."""
    duration = ", float[batch] duration" if timed else ""
    weighed = "Mul (mean, weight)" if timed else "Identity (mean)"
    weigh = (
        """
        sides_1 = Constant <value_ints = [1, 2, 3]> ()
        scale = Div (duration, trained)
        weight = Unsqueeze (scale, sides_1)"""
        if timed
        else ""
    )
    return f"""
    <ir_version: 8, opset_import: ["": 18]>
    toy (float[batch, 2, {size}] frame, float[batch, 1, {size}] memory_sum{duration}) => (
        float[batch, anchors, 4] candidate_boxes, float[batch, anchors, 2] candidate_scores,
        float[batch, 1, {size}] next_memory_sum
    ) <
        float[1, 4, 4] corners = {{{listed(CORNERS)}}},
        float[1, 4, 2] weights = {{{listed(WEIGHTS)}}},
        float half = {{0.5}}, float trained = {{10000}},
        float four = {{4}}, float drift = {{{drift}}},
        int64[1] channel = {{1}}, int64[2] sides = {{2, 3}}, int64[1] last = {{3}}
    > {{
        mean = ReduceMean (frame, channel){weigh}
        weighed = {weighed}
        faded = Mul (memory_sum, half)
        sum = Add (faded, weighed)
        next_memory_sum = Add (sum, drift)
        pooled = ReduceMean (sum, sides)
        level = Squeeze (pooled, last)
        logits = Mul (level, weights)
        candidate_scores = Sigmoid (logits)
        shift = Mul (level, four)
        candidate_boxes = Add (corners, shift)
    }}
    """


def write_toy(path, *, size="height, width", raw_heads=False, drift=0.0, timed=False):
    model = parser.parse_model(toy_text(size, drift, timed=timed))
    if not raw_heads:
        append_selection(model, SPEC.thresholds)
    _sign(model, dataclasses.replace(METADATA, raw_heads=raw_heads))
    path.write_bytes(model.SerializeToString())
    return path


class Toy(nn.Module):
    memory_names = ("sum",)
    num_classes = 2
    frame_spec = SPEC

    def predict(self, clip, memory=None, *, durations=None):
        state = clip.new_zeros(clip.shape[1], 1, *clip.shape[3:]) if memory is None else memory[0]
        scales = torch.ones(clip.shape[:2]) if durations is None else durations / SPEC.delta_t
        boxes, scores = [], []
        for frame, scale in zip(clip, scales, strict=True):
            state = state * 0.5 + frame.mean(dim=1, keepdim=True) * scale[:, None, None, None]
            level = state.mean(dim=(2, 3))[..., None]
            boxes.append(torch.tensor(CORNERS) + level * 4)
            scores.append((level * torch.tensor(WEIGHTS)).sigmoid())
        return torch.cat(boxes), torch.cat(scores), (state,)


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def toy_path(tmp_path):
    return write_toy(tmp_path / "toy.onnx")


@pytest.fixture
def make_toy():
    return write_toy


@pytest.fixture
def toy_windows():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((2, 2, 8, 12)).astype(np.float32) for _ in range(5)]
