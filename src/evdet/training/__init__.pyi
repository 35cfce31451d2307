from .errors import TrainingError as TrainingError
from .fit import TrainResult as TrainResult, train as train
from .lightning_model import LightningDetectionModel as LightningDetectionModel
