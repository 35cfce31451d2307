"""`python -m benchmarks.weights`: two steps in the making of the bundled weights.

`widen IN OUT CHANNELS` gives the recurrent levels of an SSD more channels, without a change in what
it finds: what the new channels give is multiplied by 0, until training changes that. `mean OUT
IN...` averages the weights of trainings of which one began where another was.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["main", "mean", "widen"]

Checkpoint = dict[str, Any]

_NUM_GATES = 4
_ONES = ("input_to_hidden.1.weight", "running_var")


def widen(checkpoint: Checkpoint, channels: int, *, seed: int = 5) -> Checkpoint:
    """Give the ConvLSTM levels of an SSD more channels.

    Args:
        checkpoint: its fields `hyper_parameters` and `state_dict` are read.
        channels: channels of the memory and of every feature map.
        seed: draws the weights with which the new channels read.
    """
    torch.manual_seed(seed)
    before = checkpoint["hyper_parameters"]["feature_channels_out"]
    gates = torch.arange(_NUM_GATES)[:, None] * channels + torch.arange(before)
    rows = gates.flatten()
    weights = {}
    for name, old in checkpoint["state_dict"].items():
        if ".pyramid." in name and old.dim() == 4:
            reads_stem = ".pyramid.0.input_to_hidden" in name
            wide = torch.empty(
                _NUM_GATES * channels, old.shape[1] if reads_stem else channels, 3, 3
            )
            nn.init.kaiming_uniform_(wide, a=5**0.5)
            wide[rows] = 0
            wide[rows[:, None], torch.arange(old.shape[1])] = old
        elif ".pyramid." in name and old.dim() == 1:
            wide = torch.full((_NUM_GATES * channels,), float(name.endswith(_ONES)))
            wide[rows] = old
        elif name.endswith("_head.0.0.weight"):
            wide = torch.zeros(len(old), channels, *old.shape[2:])
            wide[:, :before] = old
        else:
            wide = old
        weights[name] = wide
    fields = {**checkpoint["hyper_parameters"], "feature_channels_out": channels}
    return {"hyper_parameters": fields, "state_dict": weights}


def mean(checkpoints: list[Checkpoint]) -> Checkpoint:
    """Average the weights of networks of one shape; the last gives the configuration."""
    last = checkpoints[-1]
    weights: dict[str, Tensor] = {}
    for name, own in last["state_dict"].items():
        weights[name] = own
        if own.is_floating_point():
            each = torch.stack([one["state_dict"][name].double() for one in checkpoints])
            weights[name] = each.mean(dim=0).to(own.dtype)
    return {"hyper_parameters": last["hyper_parameters"], "state_dict": weights}


def _read(path: Path) -> Checkpoint:
    content: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    return content


def main() -> None:
    """Read, change, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    widening = commands.add_parser("widen")
    widening.add_argument("source", type=Path)
    widening.add_argument("output", type=Path)
    widening.add_argument("channels", type=int)
    averaging = commands.add_parser("mean")
    averaging.add_argument("output", type=Path)
    averaging.add_argument("sources", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "widen":
        changed = widen(_read(options.source), options.channels)
    else:
        changed = mean([_read(path) for path in options.sources])
    torch.save(changed, options.output)


if __name__ == "__main__":
    main()
