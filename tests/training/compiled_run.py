"""Train twice, as CONFIG says and compiled by BACKEND, and print what comes of it.

In a process of its own: what checks shapes in the tests cannot be compiled. "inductor" is what
users get; "aot_eager" takes the same way except that it runs PyTorch's operators in the end.
"""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import torch

from evdet.config import read_config
from evdet.detectors.checkpoints import load_checkpoint, load_network
from evdet.training import LightningDetectionModel, TrainingError, train


def losses_of(config, root):
    """The loss of every batch, and the names of the last checkpoint's weights."""
    losses = []
    step = LightningDetectionModel.training_step

    def keep(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        losses.append(loss.item())
        return loss

    LightningDetectionModel.training_step = keep
    try:
        result = train(dataclasses.replace(config, root_dir=str(root)))
    finally:
        LightningDetectionModel.training_step = step
    load_network(result.last_checkpoint)
    return losses, sorted(load_checkpoint(result.last_checkpoint)["state_dict"])


def main(path, backend):
    torch.set_num_threads(1)
    torch.compile = functools.partial(torch.compile, backend=backend)
    config = read_config(path)
    found = {}
    for name in ("plain", "compiled"):
        run = dataclasses.replace(config, compile=name == "compiled")
        losses, weights = losses_of(run, path.parent / name)
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        found[name] = {"losses": losses, "weights": weights, "graphs": graphs}
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except TrainingError as error:
        sys.exit(f"error: {error}")
