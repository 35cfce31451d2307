"""Train in a process of its own, and be killed there: `killed_run.py CONFIG [EPOCH BATCH] ...`.

CONFIG is a file as a run keeps it. With EPOCH and BATCH the process kills itself with SIGKILL after
that batch; BATCH -1 is in the middle of the epoch's validation. RANK, where it is given, is the one
process of several that is killed. Resumes where there is something to resume.
"""

import os
import signal
import sys
from pathlib import Path

import torch
import yaml

from evdet.config import config_from_params
from evdet.training import TrainingError, train
from evdet.training.callbacks import CheckpointWriter, ValidationPictures


def die_after(epoch, batch, rank):
    owner, name = CheckpointWriter, "on_train_batch_end"
    if batch < 0:
        owner, name = ValidationPictures, "on_validation_batch_end"
    hook = getattr(owner, name)

    def then_die(self, trainer, *rest):
        hook(self, trainer, *rest)
        here = trainer.current_epoch == epoch and batch in (-1, trainer.fit_loop.batch_idx)
        if here and trainer.global_rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, then_die)


def main(path, epoch=None, batch=None, rank=0):
    torch.set_num_threads(1)
    config = config_from_params(yaml.safe_load(Path(path).read_text()))
    if epoch is not None:
        die_after(int(epoch), int(batch), int(rank))
    resume = "auto" if any(Path(config.root_dir).rglob("*.ckpt")) else None
    try:
        train(config, resume=resume)
    except TrainingError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
