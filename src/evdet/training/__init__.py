"""Config -> trained detector. The only folder that knows Lightning."""

from evdet.training.errors import TrainingError
from evdet.training.fit import TrainResult, train
from evdet.training.lightning_model import LightningDetectionModel

__all__ = ["LightningDetectionModel", "TrainResult", "TrainingError", "train"]
