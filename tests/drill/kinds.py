"""All attacks, in the order of the table: one module per kind of harm."""

from drill.altered import ALTERED
from drill.attack import Attack
from drill.bombs import BOMBS
from drill.files import FILES
from drill.recordings import RECORDINGS
from drill.runs import RUNS
from drill.scoring import SCORING
from drill.signals import SIGNALS
from drill.streams import STREAMS
from drill.terminal import TERMINAL
from drill.time_limits import TIME

__all__ = ["ATTACKS"]

ATTACKS: tuple[Attack, ...] = (
    *TERMINAL,
    *FILES,
    *RECORDINGS,
    *BOMBS,
    *STREAMS,
    *SIGNALS,
    *ALTERED,
    *RUNS,
    *TIME,
    *SCORING,
)
