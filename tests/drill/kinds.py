"""All attacks, in the order of the table: one module per kind of harm."""

from drill.altered import ALTERED
from drill.attack import Attack
from drill.signals import SIGNALS
from drill.terminal import TERMINAL

__all__ = ["ATTACKS"]

ATTACKS: tuple[Attack, ...] = (*TERMINAL, *SIGNALS, *ALTERED)
