"""SimOTA: assignment of candidates to objects, for all frames at once.

The objects of all frames form one list of G rows, so every table is (G, A): there is no loop over
frames and no transfer from the device.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from evdet.boxes import xyxy_to_cxcywh
from evdet.models.rvt.head import RVTOutputs

__all__ = ["Assignment", "Objects", "assign_candidates", "collect_objects", "paired_iou"]

CENTRE_RADIUS = 1.5
"""Largest distance of a central candidate from an object's centre, in strides, in x and in y."""
NUM_BEST = 10
"""Largest number of candidates of an object: the sum of its best overlaps gives the number."""
IOU_WEIGHT = 3.0
OUTSIDE_COST = 1e6
_MIN_LOG = -100.0  # as binary cross-entropy bounds its logarithms
_TINY = 1e-8


class Objects(NamedTuple):
    """The objects of F frames, one list."""

    boxes_cxcywh: Float[Tensor, "G 4"]
    """Centre x, centre y, width, height, in pixels."""
    classes: Int64[Tensor, " G"]
    """Classes from 0, without background."""
    frames: Int64[Tensor, " G"]
    """Index of the frame of each, ascending."""


class Assignment(NamedTuple):
    """The object of every candidate."""

    is_positive: Bool[Tensor, "F A"]
    """Whether the candidate is assigned to an object."""
    object_index: Int64[Tensor, "F A"]
    """Index among the G objects; 0 for candidates without an object."""
    iou: Float[Tensor, "F A"]
    """Overlap with that object; 0 for candidates without an object."""


def collect_objects(labels: Sequence[Float[Tensor, "_ 5"]], device: torch.device) -> Objects:
    """Join the labels of frames.

    Args:
        labels: the objects of each frame, x1 y1 x2 y2 label; label 1 is the first class.
        device: of the result.

    Returns:
        The objects; frames without any have no row.
    """
    counts = torch.tensor([len(frame) for frame in labels])
    frames = torch.repeat_interleave(torch.arange(len(labels)), counts)
    rows = torch.cat([torch.zeros(0, 5, device=device), *(frame.to(device) for frame in labels)])
    return Objects(
        xyxy_to_cxcywh(rows[:, :4].float()),
        rows[:, 4].long() - 1,
        frames.to(device, non_blocking=True),
    )


@torch.no_grad()
def assign_candidates(outputs: RVTOutputs, objects: Objects) -> Assignment:
    """Assign to every object the candidates of least cost.

    A candidate takes part where it is central to any object of its frame. An object takes its
    cheapest candidates; the sum of its `NUM_BEST` best overlaps is their number, at least one. A
    candidate that several objects take goes to the object for which it costs least.

    Args:
        outputs: of F frames.
        objects: of the same frames.

    Source:
        Ge et al., "YOLOX: exceeding YOLO series in 2021", https://arxiv.org/abs/2107.08430.
    """
    num_frames = len(outputs.objectness)
    if not len(objects.classes):
        none = torch.zeros_like(outputs.objectness)
        return Assignment(none > 0, none.long(), none)
    frames = objects.frames
    central = _is_central(outputs, objects)
    takes_part = _any_in_frame(central, frames, num_frames)[frames]
    # Other candidates have no overlap and an infinite cost.
    iou = _pairwise_iou(outputs, objects).masked_fill(~takes_part, 0)
    cost = _class_cost(outputs, objects) + IOU_WEIGHT * -(iou + _TINY).log()
    cost = cost + OUTSIDE_COST * (~central)
    cost = cost.masked_fill(~takes_part, torch.inf)
    taken = _cheapest(cost, iou)
    # Where several objects of a frame take one candidate, the one of least cost keeps it.
    num_takers = _sum_in_frame(taken, frames, num_frames)
    is_contested = (num_takers > 1)[frames]
    taken = torch.where(is_contested, _is_cheapest(cost, frames, num_frames), taken)
    rows = torch.arange(1, len(frames) + 1, device=frames.device)[:, None]
    row = _sum_in_frame(taken * rows, frames, num_frames)
    overlap = torch.zeros_like(outputs.objectness).index_add_(0, frames, iou * taken)
    return Assignment(row > 0, (row - 1).clamp(min=0), overlap)


def paired_iou(
    first_cxcywh: Float[Tensor, "*#batch 4"], second_cxcywh: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*#batch"]:
    """Overlap of each box with the box of the same index; gradients flow through it.

    Args:
        first_cxcywh: boxes; they broadcast against the others.
        second_cxcywh: the other boxes.

    Returns:
        IoU in [0, 1].
    """
    half_a, half_b = first_cxcywh[..., 2:] / 2, second_cxcywh[..., 2:] / 2
    low = torch.maximum(first_cxcywh[..., :2] - half_a, second_cxcywh[..., :2] - half_b)
    high = torch.minimum(first_cxcywh[..., :2] + half_a, second_cxcywh[..., :2] + half_b)
    sides = (high - low).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    areas = first_cxcywh[..., 2:].prod(dim=-1) + second_cxcywh[..., 2:].prod(dim=-1)
    return common / (areas - common + 1e-16)


def _is_central(outputs: RVTOutputs, objects: Objects) -> Bool[Tensor, "G A"]:
    away = (outputs.centres[None] - objects.boxes_cxcywh[:, None, :2]).abs()
    return (away < CENTRE_RADIUS * outputs.strides[None, :, None]).all(dim=-1)


def _pairwise_iou(outputs: RVTOutputs, objects: Objects) -> Float[Tensor, "G A"]:
    boxes = outputs.boxes_cxcywh.float()[objects.frames]
    return paired_iou(objects.boxes_cxcywh[:, None], boxes)


def _class_cost(outputs: RVTOutputs, objects: Objects) -> Float[Tensor, "G A"]:
    """Cross-entropy of the joint probability of object and class with the object's class."""
    joint = (
        outputs.class_logits.float().sigmoid() * outputs.objectness.float().sigmoid()[..., None]
    ).sqrt()
    if_there = -joint.log().clamp(min=_MIN_LOG)
    if_not = -(1 - joint).log().clamp(min=_MIN_LOG)
    cost = torch.zeros(len(objects.classes), joint.shape[1], device=joint.device, dtype=joint.dtype)
    # Class by class: a table over objects, candidates and classes would be the largest tensor.
    for index in range(joint.shape[2]):
        is_class = (objects.classes == index)[:, None]
        there, absent = if_there[..., index], if_not[..., index]
        cost += torch.where(is_class, there[objects.frames], absent[objects.frames])
    return cost


def _cheapest(cost: Float[Tensor, "G A"], iou: Float[Tensor, "G A"]) -> Bool[Tensor, "G A"]:
    """The cheapest candidates of every object, before conflicts are resolved."""
    num_best = min(NUM_BEST, cost.shape[1])
    num_wanted = iou.topk(num_best, dim=1).values.sum(dim=1).int().clamp(min=1)
    best = cost.topk(num_best, dim=1, largest=False)
    rank = torch.arange(num_best, device=cost.device)
    is_wanted = (rank < num_wanted[:, None]) & best.values.isfinite()
    return torch.zeros_like(cost, dtype=torch.bool).scatter_(1, best.indices, is_wanted)


def _is_cheapest(
    cost: Float[Tensor, "G A"], frames: Int64[Tensor, " G"], num_frames: int
) -> Bool[Tensor, "G A"]:
    """The object of each frame for which a candidate costs least, the first of equal ones."""
    num_objects, num_candidates = cost.shape
    index = frames[:, None].expand(-1, num_candidates)
    least = cost.new_full((num_frames, num_candidates), torch.inf)
    least = least.scatter_reduce(0, index, cost, "amin")
    row = torch.arange(num_objects, device=cost.device)[:, None].expand(-1, num_candidates)
    tied = torch.where(cost == least[frames], row, num_objects)
    first = row.new_full((num_frames, num_candidates), num_objects)
    first = first.scatter_reduce(0, index, tied, "amin")
    return row == first[frames]


def _any_in_frame(
    table: Bool[Tensor, "G A"], frames: Int64[Tensor, " G"], num_frames: int
) -> Bool[Tensor, "F A"]:
    return _sum_in_frame(table, frames, num_frames) > 0


def _sum_in_frame(
    table: Bool[Tensor, "G A"] | Int64[Tensor, "G A"], frames: Int64[Tensor, " G"], num_frames: int
) -> Int64[Tensor, "F A"]:
    zeros = torch.zeros(num_frames, table.shape[1], dtype=torch.int64, device=table.device)
    return zeros.index_add_(0, frames, table.long())
