from .command import (
    DetectOptions as DetectOptions,
    UnfinishedError as UnfinishedError,
    detect as detect,
)
