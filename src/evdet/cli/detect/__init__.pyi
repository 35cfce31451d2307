from .command import detect as detect
from .one_source import SCORE_THRESH as SCORE_THRESH, UnfinishedError as UnfinishedError
from .options import DetectOptions as DetectOptions
from .record import RecordOptions as RecordOptions, record as record
