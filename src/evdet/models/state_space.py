"""S5: a memory that knows the time, as a linear system of differential equations in every cell."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["S5", "Pace", "S5Block", "StepScale", "hippo_eigenvalues"]

Cells = Float[Tensor, "T B h w D"]
Pair = tuple[Float[Tensor, "B P h w"], Float[Tensor, "B P h w"]]
StepScale = Float[Tensor, "T B"]
"""Duration of each frame of each lane, as a multiple of that of the training's frames."""
Pace = Float[Tensor, "T B h w P"]
"""How fast time passes in each cell, for each state: 1 as outside, 0 not at all."""
PerState = Float[Tensor, "*_ P"]

# Of the step that a state takes at scale 1: the largest that its frequency may turn, in turns.
_BAND_LIMIT = 0.25
# Of a normal distribution cut at two standard deviations; the published code multiplies by it.
_CUT_DEVIATION = 0.87962566
_SHORTEST, _LONGEST = 0.001, 0.1


class S5(nn.Module):
    """A diagonal state space model of every cell by itself, with dense input and output matrices.

    Each state decays and turns at a rate of its own, x'(t) = lambda x(t) + B u(t), so that a frame
    may last any time: the bilinear rule takes its duration. Complex numbers are pairs of real ones.
    The products with the input and the output are made for the whole clip at once; the recurrence
    multiplies and adds, frame by frame.

    Args:
        channels: channels D of input and output, and number of states P.

    Source:
        Smith et al., "Simplified state space layers for sequence modeling", ICLR 2023,
        https://arxiv.org/abs/2208.04933. Zubic et al., "State space models for event cameras",
        CVPR 2024, https://arxiv.org/abs/2402.15584, whose released code ignores the memory that it
        is given; this class carries it.
    """

    memory_names = ("real", "imaginary")
    knows_time = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The last dimension is the real and the imaginary part.
        self.eigenvalues = nn.Parameter(torch.empty(channels, 2))
        self.input_weight = nn.Parameter(torch.empty(channels, channels, 2))
        self.output_weight = nn.Parameter(torch.empty(channels, channels, 2))
        self.skip = nn.Parameter(torch.empty(channels))
        self.log_step = nn.Parameter(torch.empty(channels))
        if not self.skip.is_meta:
            self._initialize(channels)

    def step(
        self,
        clip: Cells,
        memory: Pair | None = None,
        *,
        step_scale: StepScale | None = None,
        pace: Pace | None = None,
    ) -> tuple[Cells, Pair]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            clip: the next T maps of each of the B lanes, channels last.
            memory: the states that the previous call returned; None starts every lane with zeros.
            step_scale: how long each frame lasts; None: 1.
            pace: how fast time passes in each cell for each state; None: 1.

        Returns:
            The output of each frame, channels last, and the last states.
        """
        decay, gain = self._discretize(step_scale, pace)
        of_input = torch.cat([self.input_weight[..., 0], self.input_weight[..., 1]])
        projected = _times(gain, functional.linear(clip, of_input).chunk(2, dim=-1))
        if memory is None:
            real = imaginary = torch.zeros_like(projected[0][0])
        else:
            real, imaginary = (part.permute(0, 2, 3, 1) for part in memory)
        decays = tuple(part.expand(len(clip), *part.shape[1:]) for part in decay)
        reals, imaginaries = [], []
        for (a, b), (c, d) in zip(
            zip(*decays, strict=True), zip(*projected, strict=True), strict=True
        ):
            real, imaginary = a * real - b * imaginary + c, a * imaginary + b * real + d
            reals.append(real)
            imaginaries.append(imaginary)
        states = torch.cat([torch.stack(reals), torch.stack(imaginaries)], dim=-1)
        of_states = torch.cat([self.output_weight[..., 0], -self.output_weight[..., 1]], dim=1)
        outputs = functional.linear(states, of_states) + self.skip * clip
        return outputs, (real.permute(0, 3, 1, 2), imaginary.permute(0, 3, 1, 2))

    def _discretize(
        self, step_scale: StepScale | None, pace: Pace | None
    ) -> tuple[tuple[PerState, PerState], tuple[PerState, PerState]]:
        """What a state keeps of itself over a frame, and takes of its input, by the bilinear rule.

        Returns:
            Factors of shape (1 or T, 1 or B, 1 or h, 1 or w, P), each as real and imaginary part.
        """
        step = self.log_step.exp()[None, None, None, None]
        if step_scale is not None:
            step = step_scale.to(step.dtype)[:, :, None, None, None] * step
        if pace is not None:
            step = pace * step
        turned, kept = step / 2 * self.eigenvalues[:, 1], step / 2 * self.eigenvalues[:, 0]
        norm = (1 - kept).square() + turned.square()
        decay = (1 - kept.square() - turned.square()) / norm, 2 * turned / norm
        gain = step * (1 - kept) / norm, step * turned / norm
        return decay, gain

    @torch.no_grad()
    def _initialize(self, channels: int) -> None:
        """HiPPO-LegS: states that together remember the past as polynomials."""
        values, vectors = hippo_eigenvalues(channels)
        basis = torch.from_numpy(vectors)
        cut = _CUT_DEVIATION / math.sqrt(channels)
        of_input = cut * nn.init.trunc_normal_(torch.empty(channels, channels, dtype=torch.float64))
        of_output = nn.init.trunc_normal_(torch.empty(channels, channels, 2, dtype=torch.float64))
        of_output *= cut / math.sqrt(channels)
        nn.init.uniform_(self.skip)
        nn.init.uniform_(self.log_step, math.log(_SHORTEST), math.log(_LONGEST))
        self.eigenvalues.copy_(torch.view_as_real(torch.from_numpy(values)))
        self.input_weight.copy_(torch.view_as_real(basis.mH @ of_input.to(basis.dtype)))
        outputs = torch.view_as_complex(of_output) @ basis
        turns = self.log_step.exp() * self.eigenvalues[:, 1].abs() / (2 * math.pi)
        outputs[:, turns >= _BAND_LIMIT] = 0
        self.output_weight.copy_(torch.view_as_real(outputs))


class S5Block(nn.Module):
    """S5 and a gated layer, each after a normalisation and with a bypass; `step` as in `S5`.

    Args:
        channels: channels D of input, output and memory.

    Source:
        Zubic et al., "State space models for event cameras", CVPR 2024.
    """

    memory_names = S5.memory_names
    knows_time = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.s5 = S5(channels)
        self.gate_norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 2 * channels, bias=False)
        self.mix = nn.Linear(channels, channels, bias=False)

    def step(
        self,
        clip: Cells,
        memory: Pair | None = None,
        *,
        step_scale: StepScale | None = None,
        pace: Pace | None = None,
    ) -> tuple[Cells, Pair]:
        """Continue a stream; see `S5.step`."""
        normed = self.norm(clip)
        outputs, memory = self.s5.step(normed, memory, step_scale=step_scale, pace=pace)
        # Both bypasses carry the normalised values, as published.
        gated = self.gate_norm(functional.gelu(outputs) + normed)
        value, gate = self.expand(gated).chunk(2, dim=-1)
        return self.mix(value * functional.gelu(gate)) + gated, memory


def hippo_eigenvalues(
    num_states: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of the normal part of HiPPO-LegS.

    Args:
        num_states: rows N of the matrix.

    Returns:
        Eigenvalues (N,), by their imaginary part, and eigenvectors (N, N), a column each; complex.

    Source:
        Gu et al., "HiPPO: recurrent memory with optimal polynomial projections", NeurIPS 2020;
        Gu et al., "On the parameterization and initialization of diagonal state space models",
        NeurIPS 2022, https://arxiv.org/abs/2206.11893.
    """
    order = np.arange(num_states)
    root = np.sqrt(1 + 2 * order)
    matrix = -(np.tril(np.outer(root, root)) - np.diag(order))
    low_rank = np.sqrt(order + 0.5)
    normal = matrix + np.outer(low_rank, low_rank)
    imaginary, vectors = np.linalg.eigh(-1j * normal)
    return np.full(num_states, np.diag(normal).mean()) + 1j * imaginary, vectors


def _times(factor: tuple[Tensor, Tensor], number: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The product of two complex numbers."""
    (a, b), (c, d) = factor, number
    return a * c - b * d, a * d + b * c
