"""Objects with noise as further queries: the decoder learns to correct boxes without matching."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from evdet.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from evdet.models.rtdetr.queries import box_logits
from evdet.models.rtdetr.targets import Objects

__all__ = ["NoiseDraws", "NoisedQueries", "draw_noise", "noise_objects", "num_noised"]

CLASS_NOISE = 0.25
"""Share of the queries whose class is drawn anew."""


class NoiseDraws(NamedTuple):
    """The random numbers of noised queries."""

    exchange: Float[Tensor, "F Q"]
    """From 0 to 1: below `CLASS_NOISE` the class is exchanged."""
    classes: Int[Tensor, "F Q"]
    """The class that comes instead."""
    signs: Int[Tensor, "F Q 4"]
    """0 or 1: the direction in which each side of a box moves."""
    shifts: Float[Tensor, "F Q 4"]
    """From 0 to 1: how far it moves, as a share of half the box."""


class NoisedQueries(NamedTuple):
    """Queries made of the objects of F frames: groups, each of all objects twice."""

    classes: Int[Tensor, "F Q"]
    """Class of each, from 0; the number of classes where a frame has fewer objects."""
    box_logits: Float[Tensor, "F Q 4"]
    """Logits of centre and size, as shares of the frame."""
    num_groups: int
    """Groups; of each the first half has little noise, and is to find its objects."""

    def hides_from(self, num: int) -> Bool[Tensor, "N N"]:
        """Say which query (row) may not see which (column), with the noised ones in front.

        Args:
            num: all queries. The others see no noised query, and a group sees no other group.
        """
        count = self.classes.shape[1]
        group = torch.arange(num, device=self.classes.device) // (count // self.num_groups)
        group = group.clamp(max=self.num_groups)  # the others are one more group, which all see
        return (group != group[:, None]) & (group < self.num_groups)

    def pairs(self, objects: Objects) -> Int[Tensor, "F Q"]:
        """The object that each query answers for, -1 for none."""
        most = objects.classes.shape[1]
        place = torch.arange(self.classes.shape[1], device=self.classes.device) % (2 * most)
        answers = (place < most) & (place < objects.counts[:, None])
        return torch.where(answers, place, -1)


def num_noised(most_objects: int, at_most: int) -> int:
    """Groups of noised queries, of all objects each, so that about `at_most` objects are made."""
    return max(1, at_most // most_objects) if most_objects else 0


def draw_noise(objects: Objects, num_groups: int, num_classes: int) -> NoiseDraws:
    """Draw the random numbers of `noise_objects`."""
    device = objects.classes.device
    shape = (len(objects.classes), num_groups * 2 * objects.classes.shape[1])
    return NoiseDraws(
        torch.rand(shape, device=device),
        torch.randint(num_classes, shape, device=device),
        torch.randint(2, (*shape, 4), device=device),
        torch.rand(*shape, 4, device=device),
    )


def noise_objects(
    objects: Objects, draws: NoiseDraws, num_groups: int, num_classes: int
) -> NoisedQueries:
    """Make queries of objects, half of them near an object and half further away.

    Args:
        objects: of F frames, at least one.
        draws: random numbers, of Q queries.
        num_groups: groups of all objects twice.
        num_classes: classes, without background.

    Source:
        Zhang et al., "DINO: DETR with improved denoising anchor boxes for end-to-end object
        detection", ICLR 2023, https://arxiv.org/abs/2203.03605, section 3.3.
    """
    most = objects.classes.shape[1]
    is_real = torch.arange(most, device=objects.classes.device) < objects.counts[:, None]
    classes = torch.where(is_real, objects.classes, num_classes).repeat(1, 2 * num_groups)
    is_real = is_real.repeat(1, 2 * num_groups)
    exchanged = (draws.exchange < CLASS_NOISE) & is_real
    classes = torch.where(exchanged, draws.classes, classes)
    boxes = objects.boxes_cxcywh.repeat(1, 2 * num_groups, 1)
    half = boxes[..., 2:].repeat(1, 1, 2) / 2
    is_far = torch.arange(2, device=boxes.device).repeat_interleave(most).repeat(num_groups)
    shifts = (draws.signs * 2 - 1) * (draws.shifts + is_far[:, None])
    corners = (cxcywh_to_xyxy(boxes) + shifts * half).clamp(0, 1)
    return NoisedQueries(classes, box_logits(xyxy_to_cxcywh(corners)), num_groups)
