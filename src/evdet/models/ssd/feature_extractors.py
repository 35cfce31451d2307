"""Frames -> features: a backbone, then recurrent levels that each halve the size.

Every feature extractor here has a `stem` without memory, at stride 4, and one recurrent layer a
level, at strides 8, 16, 32, ...
"""

from collections.abc import Callable, Iterator
from typing import Protocol, cast, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from evdet.models.layers import ConvLayer, SqueezeExciteBlock
from evdet.models.recurrent import ConvGRU, ConvLSTM, ConvS5
from evdet.models.state_space import StepScale
from evdet.shapes import Frames, Memory

__all__ = ["FeatureExtractor", "RecurrentPyramid", "Vanilla", "VanillaGRU", "VanillaS5", "VggLike"]

Maps = list[Float[Tensor, "F D _ _"]]

STEM_STRIDE = 4


@runtime_checkable
class FeatureExtractor(Protocol):
    """The interface of an `nn.Module` that turns frames into features."""

    cout: int
    """Channels of every feature map."""
    levels: int
    """Feature maps."""
    strides: tuple[int, ...]
    """Stride of each level, in pixels."""
    memory_names: tuple[str, ...]
    """Name of each tensor of the memory, in order."""

    def step(self, clip: Frames, memory: Memory | None = None) -> tuple[Maps, Memory]:
        """Continue a stream: read one clip, starting from `memory`."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """As every `nn.Module` has it."""
        ...

    def eval(self) -> object:
        """As every `nn.Module` has it."""
        ...


class RecurrentPyramid(nn.Module):
    """A stem at stride 4, then recurrent levels in sequence.

    Args:
        stem: maps frames (F, C, H, W) to (F, `stem_channels`, H/4, W/4).
        stem_channels: channels that the stem gives.
        cout: channels of every feature map.
        levels: feature maps.
        recurrent: the recurrent layer of a level, called with its input channels, its hidden
            channels and its stride.

    Source:
        Perot, de Tournemire, Nitti, Masci, Sironi, "Learning to detect objects with a
        1 megapixel event camera", NeurIPS 2020, https://arxiv.org/abs/2009.13436.
    """

    def __init__(
        self,
        stem: nn.Module,
        stem_channels: int,
        *,
        cout: int,
        levels: int,
        recurrent: Callable[[int, int, int], ConvLSTM | ConvGRU | ConvS5],
    ) -> None:
        super().__init__()
        self.cout = cout
        self.levels = levels
        self.strides = tuple(2 * STEM_STRIDE * 2**level for level in range(levels))
        self.stem = stem
        layers = [recurrent(cout if level else stem_channels, cout, 2) for level in range(levels)]
        self.pyramid = nn.ModuleList(layers)
        self.knows_time = layers[0].knows_time
        """Whether its memory takes into account how long a frame lasts."""
        self.memory_names = tuple(
            f"level{level}.{name}" for level in range(levels) for name in layers[0].memory_names
        )

    def step(
        self, clip: Frames, memory: Memory | None = None, *, step_scale: StepScale | None = None
    ) -> tuple[Maps, Memory]:
        """Continue a stream: read one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: what the previous call returned, in the order of `memory_names`; None
                starts every lane with zeros.
            step_scale: how long each frame lasts, as a multiple of the training's frames; None: 1.
                Levels that do not know time ignore it.

        Returns:
            One map (T*B, cout, h, w) a level, time-major, the finest first; and the memory.

        Raises:
            ValueError: the frames are too small for the levels.
        """
        _check_size(clip, self.strides[-1])
        features: Tensor = self.stem(clip.flatten(0, 1))
        features = features.view(*clip.shape[:2], *features.shape[1:])
        maps: Maps = []
        carried: list[Tensor] = []
        per_level = len(self.memory_names) // self.levels
        for level, layer in enumerate(self.pyramid):
            old = None if memory is None else memory[per_level * level : per_level * (level + 1)]
            features, new = cast(ConvLSTM | ConvGRU | ConvS5, layer).step(
                features, old, step_scale=step_scale
            )
            maps.append(features.flatten(0, 1))
            carried.extend(new)
        return maps, tuple(carried)

    def forward(self, clip: Frames) -> Maps:
        """Read one clip on its own: `step` from empty memory."""
        return self.step(clip)[0]


def Vanilla(cin: int, base: int = 16, cout: int = 256, levels: int = 5) -> RecurrentPyramid:
    """Make the feature extractor of the RED family: squeeze-excite stem, ConvLSTM levels.

    Args:
        cin: channels of a frame.
        base: width: the stem gives 2, 4, 4 and 8 times as many channels.
        cout: channels of every feature map.
        levels: feature maps.

    Source:
        Perot et al., NeurIPS 2020, https://arxiv.org/abs/2009.13436, section 4.
    """
    return RecurrentPyramid(
        _squeeze_excite_stem(cin, base), 8 * base, cout=cout, levels=levels, recurrent=ConvLSTM
    )


def VanillaGRU(cin: int, base: int = 16, cout: int = 256, levels: int = 5) -> RecurrentPyramid:
    """Make `Vanilla` with gated recurrent units: half the memory, less arithmetic.

    Args:
        cin: channels of a frame.
        base: width: the stem gives 2, 4, 4 and 8 times as many channels.
        cout: channels of every feature map.
        levels: feature maps.
    """
    return RecurrentPyramid(
        _squeeze_excite_stem(cin, base), 8 * base, cout=cout, levels=levels, recurrent=ConvGRU
    )


def VanillaS5(cin: int, base: int = 16, cout: int = 256, levels: int = 5) -> RecurrentPyramid:
    """Make `Vanilla` with state space models, whose memory decays and turns in every cell.

    Args:
        cin: channels of a frame.
        base: width: the stem gives 2, 4, 4 and 8 times as many channels.
        cout: channels of every feature map.
        levels: feature maps.
    """
    return RecurrentPyramid(
        _squeeze_excite_stem(cin, base), 8 * base, cout=cout, levels=levels, recurrent=ConvS5
    )


def VggLike(cin: int, base: int = 16, cout: int = 256, levels: int = 5) -> RecurrentPyramid:
    """Make a feature extractor with a plain stem: 3x3 convolutions and max pooling.

    Args:
        cin: channels of a frame.
        base: width: the stem gives base, 2, 4 and 8 times as many channels.
        cout: channels of every feature map.
        levels: feature maps.

    Source:
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
        recognition", ICLR 2015, https://arxiv.org/abs/1409.1556 (the pattern, with BatchNorm).
    """
    stem = nn.Sequential(
        ConvLayer(cin, base),
        ConvLayer(base, 2 * base),
        nn.MaxPool2d(2, ceil_mode=True),
        ConvLayer(2 * base, 4 * base),
        ConvLayer(4 * base, 8 * base),
        nn.MaxPool2d(2, ceil_mode=True),
    )
    return RecurrentPyramid(stem, 8 * base, cout=cout, levels=levels, recurrent=ConvLSTM)


def _squeeze_excite_stem(cin: int, base: int) -> nn.Sequential:
    return nn.Sequential(
        ConvLayer(cin, 2 * base, kernel_size=7, stride=2, bias=True),
        SqueezeExciteBlock(2 * base, 4 * base, stride=2),
        SqueezeExciteBlock(4 * base, 4 * base),
        SqueezeExciteBlock(4 * base, 8 * base),
    )


def _check_size(clip: Frames, coarsest: int) -> None:
    height, width = clip.shape[-2:]
    # Of a smaller frame the only cell of this level would be mostly padding.
    if 2 * height < coarsest or 2 * width < coarsest:
        raise ValueError(
            f"frames of {height}x{width} (height x width) are too small for a level of stride "
            f"{coarsest}: use fewer levels, or frames of at least {coarsest // 2} pixels a side"
        )
