"""Recurrent layers with memory, the hidden state. It is an argument and a result, never kept."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from evdet.models.layers import ConvLayer
from evdet.models.state_space import S5Block, StepScale
from evdet.shapes import Frames, Memory

__all__ = ["ConvGRU", "ConvLSTM", "ConvS5", "PeepholeLSTM"]

Output = Float[Tensor, "T B D h w"]

_REMEMBER = 3.0
"""Bias of the forget gate of a new peephole LSTM: it keeps 95 % of a cell from frame to frame."""
_FASTEST = 2.0
"""The highest pace of a state's time; at half of it a frame lasts as long as in training."""


class ConvLSTM(nn.Module):
    """Long short-term memory whose matrix products are 3x3 convolutions.

    The products with the input need no memory, so one call computes them for the whole clip; only
    the products with the hidden state run frame by frame.

    Args:
        in_channels: channels C of each input frame.
        hidden_channels: channels D of the memory and of each output frame.
        stride: how many times smaller the memory is than the input, per side.

    Source:
        Shi et al., "Convolutional LSTM network: a machine learning approach for precipitation
        nowcasting", NeurIPS 2015, https://arxiv.org/abs/1506.04214 (without its peepholes).
    """

    memory_names = ("hidden", "cell")
    knows_time = False

    def __init__(self, in_channels: int, hidden_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        self.input_to_hidden = ConvLayer(
            in_channels, 4 * hidden_channels, stride=stride, bias=True, relu=False
        )
        self.hidden_to_hidden = nn.Conv2d(hidden_channels, 4 * hidden_channels, 3, padding=1)

    def step(
        self, clip: Frames, memory: Memory | None = None, *, step_scale: StepScale | None = None
    ) -> tuple[Output, Memory]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: hidden state and cell that the previous call returned; None starts every
                lane with zeros.
            step_scale: not used: an LSTM does not know how long a frame lasts.

        Returns:
            The hidden state after each frame, and the last hidden state and cell.
        """
        projected = _whole_clip(self.input_to_hidden, clip)
        hidden, cell = memory or _empty(projected, self.hidden_channels)
        outputs = []
        for frame in projected:
            gates = frame + self.hidden_to_hidden(hidden)
            # One sigmoid over three gates is one kernel instead of three.
            sigmoids = gates[:, : 3 * self.hidden_channels].sigmoid()
            input_gate, forget_gate, output_gate = sigmoids.chunk(3, dim=1)
            candidate = gates[:, 3 * self.hidden_channels :].tanh()
            cell = forget_gate * cell + input_gate * candidate
            hidden = output_gate * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs), (hidden, cell)

    def forward(self, clip: Frames) -> Output:
        """Read one clip on its own: `step` from empty memory."""
        return self.step(clip)[0]


class ConvGRU(nn.Module):
    """Gated recurrent unit whose matrix products are 3x3 convolutions.

    It keeps one map where the LSTM keeps two, at three quarters of its arithmetic.

    Args:
        in_channels: channels C of each input frame.
        hidden_channels: channels D of the memory and of each output frame.
        stride: how many times smaller the memory is than the input, per side.

    Source:
        Ballas et al., "Delving deeper into convolutional networks for learning video
        representations", ICLR 2016, https://arxiv.org/abs/1511.06432.
    """

    memory_names = ("hidden",)
    knows_time = False

    def __init__(self, in_channels: int, hidden_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        self.input_to_hidden = ConvLayer(
            in_channels, 3 * hidden_channels, stride=stride, bias=True, relu=False
        )
        self.hidden_to_gates = nn.Conv2d(hidden_channels, 2 * hidden_channels, 3, padding=1)
        self.hidden_to_candidate = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1)

    def step(
        self, clip: Frames, memory: Memory | None = None, *, step_scale: StepScale | None = None
    ) -> tuple[Output, Memory]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: what the previous call returned; None starts every lane with zeros.
            step_scale: not used: a GRU does not know how long a frame lasts.

        Returns:
            The hidden state after each frame, and the last of them.
        """
        projected = _whole_clip(self.input_to_hidden, clip)
        if memory is None:
            shape = (projected.shape[1], self.hidden_channels, *projected.shape[3:])
            memory = (projected.new_zeros(shape),)
        (hidden,) = memory
        outputs = []
        for frame in projected:
            gates_in, candidate_in = frame.split(
                (2 * self.hidden_channels, self.hidden_channels), dim=1
            )
            reset, update = (gates_in + self.hidden_to_gates(hidden)).sigmoid().chunk(2, dim=1)
            candidate = (candidate_in + self.hidden_to_candidate(reset * hidden)).tanh()
            hidden = torch.lerp(hidden, candidate, update)
            outputs.append(hidden)
        return torch.stack(outputs), (hidden,)

    def forward(self, clip: Frames) -> Output:
        """Read one clip on its own: `step` from empty memory."""
        return self.step(clip)[0]


class ConvS5(nn.Module):
    """A convolution without memory, then a state space model of every cell by itself.

    How fast time passes in a cell depends on what the frame shows there, for each state: where
    nothing happens a state can stand still, and keeps an object that does. A system whose
    time always passes cannot: what it saw last and what it saw before fade alike.

    Args:
        in_channels: channels C of each input frame.
        hidden_channels: channels D of the memory and of each output frame.
        stride: how many times smaller the memory is than the input, per side.

    Source:
        `evdet.models.state_space.S5`; the convolution takes the place of those to and from the
        hidden state of `ConvLSTM`. The pace is the selection of Gu and Dao, "Mamba: linear-time
        sequence modeling with selective state spaces", https://arxiv.org/abs/2312.00752, section
        3.2, with the step alone.
    """

    memory_names = S5Block.memory_names
    knows_time = True

    def __init__(self, in_channels: int, hidden_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.input_to_hidden = ConvLayer(
            in_channels, hidden_channels, stride=stride, bias=True, relu=False
        )
        self.block = S5Block(hidden_channels)
        # At first time passes everywhere alike.
        self.pace = nn.Linear(hidden_channels, hidden_channels)
        nn.init.zeros_(self.pace.weight)
        nn.init.zeros_(self.pace.bias)

    def step(
        self, clip: Frames, memory: Memory | None = None, *, step_scale: StepScale | None = None
    ) -> tuple[Output, Memory]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: the states that the previous call returned; None starts every lane with zeros.
            step_scale: how long each frame lasts, as a multiple of the training's frames; None: 1.

        Returns:
            The output for each frame, and the last states.
        """
        cells = _whole_clip(self.input_to_hidden, clip).permute(0, 1, 3, 4, 2)
        before = None if memory is None else (memory[0], memory[1])
        pace = _FASTEST * self.pace(cells).sigmoid()
        outputs, after = self.block.step(cells, before, step_scale=step_scale, pace=pace)
        return outputs.permute(0, 1, 4, 2, 3), after

    def forward(self, clip: Frames) -> Output:
        """Read one clip on its own: `step` from empty memory."""
        return self.step(clip)[0]


class PeepholeLSTM(nn.Module):
    """Long short-term memory of 3x3 convolutions whose gates also see the cell, channel by channel.

    Args:
        in_channels: channels C of each input frame.
        hidden_channels: channels D of the memory and of each output frame.

    Source:
        Shi et al., NeurIPS 2015, https://arxiv.org/abs/1506.04214, where a gate's weight of the
        cell also depends on the place; here it does not, so that frames may have any size.
    """

    memory_names = ("hidden", "cell")
    knows_time = False

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        self.input_to_gates = nn.Conv2d(in_channels, 4 * hidden_channels, 3, padding=1)
        self.hidden_to_gates = nn.Conv2d(
            hidden_channels, 4 * hidden_channels, 3, padding=1, bias=False
        )
        with torch.no_grad():
            # A new memory keeps most of what it holds: at 0 half would be gone with every frame.
            self.input_to_gates.get_parameter("bias")[hidden_channels : 2 * hidden_channels] = (
                _REMEMBER
            )
        # One row each for the input, the forget and the output gate.
        self.cell_to_gates = nn.Parameter(torch.zeros(3, hidden_channels, 1, 1))

    def step(
        self, clip: Frames, memory: Memory | None = None, *, step_scale: StepScale | None = None
    ) -> tuple[Output, Memory]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: hidden state and cell that the previous call returned; None starts every
                lane with zeros.
            step_scale: not used: an LSTM does not know how long a frame lasts.

        Returns:
            The hidden state after each frame, and the last hidden state and cell.
        """
        projected = _whole_clip(self.input_to_gates, clip)
        hidden, cell = memory or _empty(projected, self.hidden_channels)
        sees_cell = self.cell_to_gates
        outputs = []
        for frame in projected:
            into, forget, out, candidate = (frame + self.hidden_to_gates(hidden)).chunk(4, dim=1)
            kept = (forget + sees_cell[1] * cell).sigmoid() * cell
            cell = kept + (into + sees_cell[0] * cell).sigmoid() * candidate.tanh()
            # The output gate sees the new cell.
            hidden = (out + sees_cell[2] * cell).sigmoid() * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs), (hidden, cell)

    def forward(self, clip: Frames) -> Output:
        """Read one clip on its own: `step` from empty memory."""
        return self.step(clip)[0]


def _empty(projected: Output, channels: int) -> Memory:
    """Hidden state and cell of lanes that have seen nothing."""
    empty = projected.new_zeros(projected.shape[1], channels, *projected.shape[3:])
    return empty, empty


def _whole_clip(layer: nn.Module, clip: Frames) -> Float[Tensor, "T B D h w"]:
    """Apply a layer without memory to all frames at once."""
    out: Tensor = layer(clip.flatten(0, 1))
    return out.view(*clip.shape[:2], *out.shape[1:])
