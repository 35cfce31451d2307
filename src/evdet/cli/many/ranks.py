"""The processes that torchrun started for one command: one plans, all work, one sums up."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from evdet.cli.many.working import Place

__all__ = ["Ranks", "joined_ranks", "ranks_of"]

# One waits for the others, which may work for days.
_LONGEST_WAIT = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those of torchrun."""

    index: int = 0
    count: int = 1
    place: Place = field(default_factory=Place)
    """Among those on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process plans, and sums up."""
        return self.index == 0

    def share(self, value: Any) -> Any:
        """Give the first process's value to all."""
        if self.count == 1:
            return value
        from torch import distributed

        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def gather(self, value: Any) -> list[Any]:
        """Give the values of all processes, by rank; each process waits for the others."""
        if self.count == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values


def ranks_of(environment: Mapping[str, str]) -> Ranks:
    """Read what torchrun says to each process.

    Args:
        environment: of this process.

    Raises:
        ValueError: a number is none.
    """
    if int(environment.get("WORLD_SIZE", "1")) < 2 or "MASTER_ADDR" not in environment:
        return Ranks()
    return Ranks(
        index=int(environment["RANK"]),
        count=int(environment["WORLD_SIZE"]),
        place=Place(
            index=int(environment.get("LOCAL_RANK", "0")),
            count=int(environment.get("LOCAL_WORLD_SIZE", "1")),
        ),
    )


@contextlib.contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Connect with the other processes for the time of the block, where there are any."""
    ranks = ranks_of(os.environ)
    if ranks.count == 1:
        yield ranks
        return
    from torch import distributed

    distributed.init_process_group("gloo", timeout=_LONGEST_WAIT)
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()
