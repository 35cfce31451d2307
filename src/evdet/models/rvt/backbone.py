"""Frames -> features: four stages, each a smaller map, two attention blocks and a memory.

The memory of a stage is an LSTM's (RVT) or that of a state space model (S5-ViT).
"""

import itertools
from collections.abc import Sequence
from typing import Literal, TypeAlias, cast

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn import functional

from evdet.models.rvt.attention import MLP_RATIO, AttentionBlock
from evdet.models.state_space import S5Block, StepScale
from evdet.shapes import Frames, Maps, Memory, Size

__all__ = ["RECURRENT", "STRIDES", "PointwiseLSTM", "RecurrentTransformer", "Stage"]

FlatFrames = Num[Tensor, "F C H W"]
Output = Float[Tensor, "T B h w D"]
Pair = tuple[Float[Tensor, "B D h w"], Float[Tensor, "B D h w"]]

STRIDES = (4, 8, 16, 32)
"""Stride of each stage, in pixels."""
_LARGEST_ON_CPU = 16_000_000
"""Bytes of the largest tensor of a part of a clip: glibc keeps freed blocks of up to 32 MiB."""
_BYTES = 4


class PointwiseLSTM(nn.Module):
    """Long short-term memory of every cell by itself: its matrix products are 1x1 convolutions.

    Half of the product, that with the input, needs no memory, so one call computes it for the whole
    clip; only the half with the hidden state runs frame by frame.

    Args:
        channels: channels D of the input and of the memory.

    Source:
        Gehrig and Scaramuzza, "Recurrent vision transformers for object detection with event
        cameras", CVPR 2023, https://arxiv.org/abs/2212.05598.
    """

    memory_names = ("hidden", "cell")
    knows_time = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        # One layer over input and hidden state together: forget, input, output, candidate.
        self.gates = nn.Conv2d(2 * channels, 4 * channels, 1)

    def step(
        self, clip: Output, memory: Pair | None = None, *, step_scale: StepScale | None = None
    ) -> tuple[Output, Pair]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            clip: the next T maps of each of the B lanes, channels last.
            memory: hidden state and cell that the previous call returned; None starts every
                lane with zeros.
            step_scale: not used: an LSTM does not know how long a frame lasts.

        Returns:
            The hidden state after each frame, channels last, and the last hidden state and cell.
        """
        channels = clip.shape[-1]
        of_input, of_hidden = self.gates.weight.flatten(1).chunk(2, dim=1)
        projected = functional.linear(clip, of_input, self.gates.bias)
        if memory is None:
            hidden = cell = torch.zeros_like(clip[0], dtype=of_hidden.dtype)
        else:
            hidden, cell = (state.permute(0, 2, 3, 1) for state in memory)
        # Mixed precision would cast it again for every frame.
        of_hidden = of_hidden.to(projected.dtype)
        outputs = []
        for frame in projected:
            gates = frame + functional.linear(hidden, of_hidden)
            # One sigmoid over three gates is one kernel instead of three.
            sigmoids = gates[..., : 3 * channels].sigmoid()
            forget_gate, input_gate, output_gate = sigmoids.chunk(3, dim=-1)
            cell = forget_gate * cell + input_gate * gates[..., 3 * channels :].tanh()
            hidden = output_gate * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs), (hidden.permute(0, 3, 1, 2), cell.permute(0, 3, 1, 2))


RECURRENT: dict[str, type[PointwiseLSTM] | type[S5Block]] = {"lstm": PointwiseLSTM, "s5": S5Block}
"""The memory of a stage, by the name of its weights."""
RecurrentName: TypeAlias = Literal["lstm", "s5"]


class Stage(nn.Module):
    """A convolution to a smaller map, attention within windows and along grids, and a memory.

    Args:
        in_channels: channels of the input.
        channels: channels D of the output and of the memory.
        head_channels: channels of an attention head.
        stride: how many times smaller the output is than the input, per side: 2 or 4.
        recurrent: kind of memory.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        head_channels: int,
        stride: int,
        recurrent: RecurrentName = "lstm",
    ) -> None:
        super().__init__()
        # The kernels overlap: 7 at stride 4, 3 at stride 2.
        kernel_size = 2 * stride - 1
        self.downsample = nn.Conv2d(
            in_channels, channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        )
        self.norm = nn.LayerNorm(channels)
        # The input is normalised already.
        self.window = AttentionBlock(channels, head_channels, dilated=False, norm_first=False)
        self.grid = AttentionBlock(channels, head_channels, dilated=True)
        self._recurrent = recurrent
        self.add_module(recurrent, RECURRENT[recurrent](channels))

    def step(
        self,
        frames: FlatFrames,
        num_lanes: int,
        window: Size,
        memory: Pair | None = None,
        *,
        step_scale: StepScale | None = None,
    ) -> tuple[Float[Tensor, "F D h w"], Pair]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            frames: the F = T·B maps of the previous stage, or frames, time-major.
            num_lanes: lanes B.
            window: height and width of a window, in cells of this stage.
            memory: what the previous call returned; None starts every lane with zeros.
            step_scale: how long each frame lasts; None: 1.

        Returns:
            The output for every frame, and the memory.
        """
        cells = self.norm(self.downsample(frames).permute(0, 2, 3, 1))
        cells = self.grid(self.window(cells, window), window)
        recurrent = cast(PointwiseLSTM | S5Block, self.get_submodule(self._recurrent))
        clip = cells.unflatten(0, (-1, num_lanes))
        outputs, memory = recurrent.step(clip, memory, step_scale=step_scale)
        return outputs.flatten(0, 1).permute(0, 3, 1, 2), memory


class RecurrentTransformer(nn.Module):
    """Four stages in sequence, at strides 4, 8, 16 and 32.

    A stage reads a whole clip at once; only its memory runs frame by frame. On a CPU long clips are
    read in parts, which is faster and gives the same results.

    Args:
        in_channels: channels C of a frame.
        channels: channels of each stage.
        head_channels: channels of an attention head.
        recurrent: kind of memory.

    Source:
        Gehrig and Scaramuzza, "Recurrent vision transformers for object detection with event
        cameras", CVPR 2023, https://arxiv.org/abs/2212.05598.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        *,
        head_channels: int,
        recurrent: RecurrentName = "lstm",
    ) -> None:
        super().__init__()
        steps = [STRIDES[0], *(b // a for a, b in itertools.pairwise(STRIDES))]
        self.channels = tuple(channels)
        self.knows_time = RECURRENT[recurrent].knows_time
        """Whether its memory takes into account how long a frame lasts."""
        self.stages = nn.ModuleList(
            Stage(before, after, head_channels=head_channels, stride=stride, recurrent=recurrent)
            for before, after, stride in zip(
                [in_channels, *channels], channels, steps, strict=False
            )
        )
        self.memory_names = tuple(
            f"stage{stage}.{name}"
            for stage in range(1, len(self.stages) + 1)
            for name in RECURRENT[recurrent].memory_names
        )

    def step(
        self,
        clip: Frames,
        window: Size,
        memory: Memory | None = None,
        *,
        step_scale: StepScale | None = None,
    ) -> tuple[Maps, Memory]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes; windows divide its maps.
            window: height and width of a window, in cells.
            memory: what the previous call returned; None starts every lane with zeros.
            step_scale: how long each frame lasts; None: 1. An LSTM ignores it.

        Returns:
            A map of each stage, finest first, of F = T·B frames, time-major; and the memory.
        """
        found: list[Maps] = []
        carried = memory
        at_once = self._bins_at_once(clip)
        for begin, part in enumerate(torch.split(clip, at_once)):
            scale = None if step_scale is None else step_scale[begin * at_once :][: len(part)]
            maps, carried = self._step_together(part, window, carried, scale)
            found.append(maps)
        joined = found[0] if len(found) == 1 else [torch.cat(m) for m in zip(*found, strict=True)]
        return joined, carried or ()

    def _bins_at_once(self, clip: Frames) -> int:
        """All time bins on an accelerator, which prefers large operators; on a CPU a part of them.

        On a CPU a tensor beyond `_LARGEST_ON_CPU` is returned to the system and allocated again
        each time. Compiled and exported networks read the whole clip.
        """
        if clip.device.type != "cpu" or torch.compiler.is_compiling():
            return len(clip)
        num_cells = clip.shape[-2] * clip.shape[-1] // STRIDES[0] ** 2
        largest = clip.shape[1] * num_cells * self.channels[0] * MLP_RATIO * _BYTES
        return max(1, _LARGEST_ON_CPU // largest)

    def _step_together(
        self, clip: Frames, window: Size, memory: Memory | None, step_scale: StepScale | None
    ) -> tuple[Maps, Memory]:
        maps = clip.flatten(0, 1)
        features: Maps = []
        carried: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            before = None if memory is None else (memory[2 * index], memory[2 * index + 1])
            maps, after = cast(Stage, stage).step(
                maps, clip.shape[1], window, before, step_scale=step_scale
            )
            features.append(maps)
            carried += after
        return features, tuple(carried)
