"""Memory for a detector of single frames: a recurrent layer beside each of its feature maps."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from evdet.models.recurrent import ConvGRU, ConvLSTM, ConvS5, PeepholeLSTM
from evdet.models.state_space import StepScale
from evdet.shapes import Maps, Memory

__all__ = ["MemoryAdapter", "MemoryCell"]

MemoryCell = Literal["lstm", "gru", "s5"]
"""Peephole LSTM as in EvRT-DETR, gated recurrent unit, or state space model."""
_CELLS: dict[str, type[PeepholeLSTM] | type[ConvGRU] | type[ConvS5]] = {
    "lstm": PeepholeLSTM,
    "gru": ConvGRU,
    "s5": ConvS5,
}


class MemoryAdapter(nn.Module):
    """Adds to each feature map of a frame what memory knows: map + projection(recurrent(map)).

    A new adapter adds nothing, since its projections start at 0: the detector begins as the one of
    single frames, bit for bit.

    Args:
        channels: of each map.
        cell: the recurrent layer.

    Source:
        Torbunov et al., "EvRT-DETR: latent space adaptation of image detectors for event-based
        vision", ICCV 2025, https://arxiv.org/abs/2412.02890, where the projections start at
        random.
    """

    def __init__(self, channels: Sequence[int], cell: MemoryCell = "lstm") -> None:
        super().__init__()
        make = _CELLS[cell]
        self.cells = nn.ModuleList(make(own, own) for own in channels)
        self.projections = nn.ModuleList(nn.Conv2d(own, own, 1) for own in channels)
        for layer in self.projections:
            nn.init.zeros_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))
        self.knows_time = make.knows_time
        """Whether its memory takes into account how long a frame lasts."""
        self.memory_names = tuple(
            f"level{level}.{name}" for level in range(len(channels)) for name in make.memory_names
        )
        """Name of each tensor of the memory, in order."""

    def step(
        self,
        maps: Maps,
        num_lanes: int,
        memory: Memory | None = None,
        *,
        step_scale: StepScale | None = None,
    ) -> tuple[Maps, Memory]:
        """Continue a stream: read the maps of one clip, starting from `memory`.

        Args:
            maps: of F = T·B frames, time-major.
            num_lanes: lanes B.
            memory: what the previous call returned, in the order of `memory_names`; None starts
                every lane with zeros.
            step_scale: how long each frame lasts, as a multiple of the training's frames; None: 1.
                Cells that do not know time ignore it.

        Returns:
            The changed maps, and the memory.
        """
        out: Maps = []
        carried: list[torch.Tensor] = []
        per_level = len(self.memory_names) // len(self.cells)
        for level, (cell, projection, own) in enumerate(
            zip(self.cells, self.projections, maps, strict=True)
        ):
            if not isinstance(cell, PeepholeLSTM | ConvGRU | ConvLSTM | ConvS5):
                raise TypeError(f"{type(cell).__name__} is not a recurrent layer")
            old = None if memory is None else memory[per_level * level : per_level * (level + 1)]
            remembered, new = cell.step(
                own.view(-1, num_lanes, *own.shape[1:]), old, step_scale=step_scale
            )
            out.append(own + projection(remembered.flatten(0, 1)))
            carried.extend(new)
        return out, tuple(carried)
