"""Search learning rate and width with optuna: short trainings, of which bad ones end early.

After `pip install optuna` the argument is the number of trials, each a run in runs/search.
"""

import sys
from pathlib import Path

import optuna
import pytorch_lightning as pl

import evdet

FOLDER = Path("runs/search")


class EndBadTrials(pl.Callback):
    """Ends a trial whose validation is worse than that of most others at the same epoch."""

    def __init__(self, trial):
        self.trial = trial

    def on_train_epoch_end(self, trainer, pl_module):  # noqa: D102
        self.trial.report(float(trainer.callback_metrics["val_map"]), trainer.current_epoch)
        trainer.should_stop |= self.trial.should_prune()


def train(trial):
    config = evdet.DetectionConfig(
        lr=trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        feature_base=trial.suggest_categorical("feature_base", [2, 4, 8]),
        height=64,
        width=64,
        num_levels=3,
        feature_channels_out=32,
        head_channels=32,
        max_frames_per_epoch=240,
        val_frames=60,
        max_epochs=2,
        num_workers=0,
        logger=("csv",),
        root_dir=str(FOLDER / f"trial_{trial.number}"),
    )
    result = evdet.train(config, callbacks=[EndBadTrials(trial)])
    return result.best_map or 0.0


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="evdet",
        storage=f"sqlite:///{FOLDER / 'study.db'}",
        load_if_exists=True,
        direction="maximize",
    )
    study.optimize(train, n_trials=int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    print(f"best mAP {study.best_value:.3f} with {study.best_params}")
