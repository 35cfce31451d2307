"""Train or validate in as many processes as CONFIG says: `child_process.py MODE CONFIG`."""

import json
import math
import resource
import sys
from pathlib import Path

import torch
import yaml

from evdet.config import config_from_params
from evdet.detectors.checkpoints import CheckpointError
from evdet.training import LightningDetectionModel, TrainingError, fit, train
from evdet.training.callbacks import EpochLog
from evdet.training.fit import make_trainer
from evdet.training.quiet import quiet_lightning


def find_ink(clip, memory=None, **_):
    """A detector that needs no training: one box around what is not black, always of class 1."""
    out = []
    for lanes in clip:
        out.append([])
        for frame in lanes:
            y, x = (frame.sum(dim=0) > 0.2).nonzero(as_tuple=True)
            box = [[x.min(), y.min(), x.max() + 1, y.max() + 1]] if len(x) else []
            out[-1].append(
                {
                    "boxes": torch.tensor(box, dtype=torch.float32).reshape(-1, 4),
                    "labels": torch.ones(len(box), dtype=torch.int64),
                    "scores": frame.mean().expand(len(box)),
                }
            )
    return out, ()


def validate(config):
    model = LightningDetectionModel(config)
    model.detector.step = find_ink
    trainer = make_trainer(config, callbacks=[])
    with quiet_lightning():
        trainer.validate(model, verbose=False)
    if trainer.is_global_zero:
        scores = {
            "map": model.scores.map,
            "all": model.scores.as_dict(),
            "num_frames": model.scores.num_frames,
            "logged": float(trainer.callback_metrics["val_map"]),
        }
        Path(config.root_dir, "scores.json").write_text(json.dumps(scores))


def train_with_few_labels(config):
    """Nobody labelled lanes 2 and 3 in the first batch, nor anything in the second."""
    make = LightningDetectionModel.train_dataloader

    class Loader:
        def __init__(self, loader):
            self.loader = loader
            lanes = loader.rank * loader.batch_size + torch.arange(loader.batch_size)
            self.unlabelled = [lanes >= 2, lanes >= 0]

        def __len__(self):
            return len(self.loader)

        def __iter__(self):
            for lanes, batch in zip(self.unlabelled, self.loader, strict=True):
                batch["frame_is_labeled"][:, lanes] = False
                yield batch

    LightningDetectionModel.train_dataloader = lambda self: Loader(make(self))
    train(config)


def train_with_bad_input(config):
    """The second process reads a frame that is not finite, in batch 1."""
    move = LightningDetectionModel.transfer_batch_to_device

    def spoil(self, batch, *rest):
        moved = move(self, batch, *rest)  # before, frames may be bytes
        if self.trainer.training and self.position == (0, 1) and self.global_rank == 1:
            moved["inputs"][0, 0, 0, 3, 4] = math.nan
        return moved

    LightningDetectionModel.transfer_batch_to_device = spoil
    try:
        train(config)
    except TrainingError as error:
        sys.exit(f"error: {error}")


def train_on_a_full_disk(config):
    """After the first epoch no file can grow any more."""

    class FullDisk(EpochLog):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    fit.EpochLog = FullDisk
    try:
        train(config)
    except (CheckpointError, TrainingError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    mode, path = sys.argv[1:]
    config = config_from_params(yaml.safe_load(Path(path).read_text()))
    Path(config.root_dir).mkdir(parents=True, exist_ok=True)
    modes = {
        "train": train,
        "few_labels": train_with_few_labels,
        "bad_input": train_with_bad_input,
        "full_disk": train_on_a_full_disk,
        "validate": validate,
    }
    modes[mode](config)
