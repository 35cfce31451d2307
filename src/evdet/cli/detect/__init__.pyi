from .command import (
    DetectOptions as DetectOptions,
    UnfinishedError as UnfinishedError,
    detect as detect,
)
from .record import RecordOptions as RecordOptions, record as record
