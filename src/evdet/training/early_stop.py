"""Early stopping: a training ends after N validations without a better score."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from evdet.training.errors import TrainingError
from evdet.training.lightning_model import LightningDetectionModel

__all__ = ["EarlyStop", "check_not_stopped"]

_LOG = logging.getLogger(__name__)


class EarlyStop(pl.Callback):
    """Ends a training after N validations without a higher mAP than before.

    A validation without objects has no mAP, and counts as one without a higher mAP. The count is in
    every checkpoint, so that a resumed run ends where an uninterrupted one does. Lightning's own
    callback restores N from the checkpoint, too, so that no resumed run could change it.

    Args:
        patience: N.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_map = -math.inf
        """Highest validation mAP so far."""
        self.num_worse = 0
        """Validations since then."""

    def state_dict(self) -> dict[str, Any]:
        """The state of a resumed run."""
        return {"best_map": self.best_map, "num_worse": self.num_worse}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.best_map, self.num_worse = state_dict["best_map"], state_dict["num_worse"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the epoch's validation; all processes have the same scores."""
        scores = pl_module.scores if isinstance(pl_module, LightningDetectionModel) else None
        if scores is None:
            return
        if scores.map > self.best_map:
            self.best_map, self.num_worse = scores.map, 0
            return
        self.num_worse += 1
        if self.num_worse < self.patience:
            return
        trainer.should_stop = True
        if trainer.is_global_zero:
            best = "none" if math.isinf(self.best_map) else f"{self.best_map:.3f}"
            _LOG.info(
                "the training ends early: %d validations without a higher mAP (best: %s)",
                self.num_worse,
                best,
            )


def check_not_stopped(checkpoint: Mapping[str, Any], patience: int, path: Path) -> None:
    """Refuse to resume a run that has ended early.

    Args:
        checkpoint: as it was loaded.
        patience: N of the resumed run; 0 resumes any run.
        path: of the checkpoint, for messages.

    Raises:
        TrainingError: it has had N validations without a higher mAP.
    """
    states = checkpoint.get("callbacks")
    state = states.get(EarlyStop.__qualname__) if isinstance(states, dict) else None
    num_worse = state.get("num_worse") if isinstance(state, dict) else None
    if patience and type(num_worse) is int and num_worse >= patience:
        raise TrainingError(
            f"{path} is complete: {num_worse} validations had no higher mAP, and early_stop is "
            f"{patience}. To continue, increase --early-stop, or set it to 0"
        )
