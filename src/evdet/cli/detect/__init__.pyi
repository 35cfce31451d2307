from .command import (
    SCORE_THRESH as SCORE_THRESH,
    DetectOptions as DetectOptions,
    UnfinishedError as UnfinishedError,
    detect as detect,
)
