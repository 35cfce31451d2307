"""All attacks, in the order of the table: one module per kind of harm."""

from drill.attack import Attack
from drill.recordings import RECORDINGS
from drill.streams import STREAMS
from drill.terminal import TERMINAL

__all__ = ["ATTACKS"]

ATTACKS: tuple[Attack, ...] = (*TERMINAL, *RECORDINGS, *STREAMS)
