"""EventCheck: the events of a live source before the first invalid one."""

from collections import deque
from collections.abc import Iterator

from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import OrderCount, check_blocks

__all__ = ["EventCheck"]


class EventCheck:
    """Checks events as they arrive: inside the sensor, and without large steps back in time.

    Args:
        name: the source, for messages.
        size: the sensor's size, where it is known.
    """

    def __init__(self, name: str, size: SensorSize | None) -> None:
        self.problem: RecordingError | None = None
        """What is wrong with the first event that was left out; None without one."""
        self._unchecked: deque[Events] = deque()
        self._checked = check_blocks(self._waiting(), OrderCount(), name=name, size=size)

    def valid(self, events: Events) -> Events:
        """The events before the first invalid one."""
        good = events[:0]
        if not len(events):
            return good
        self._unchecked.append(events)
        try:
            good = next(self._checked)
            if len(good) < len(events):
                next(self._checked)
        except RecordingError as error:
            self.problem = error
        return good

    def _waiting(self) -> Iterator[Events]:
        while True:
            yield self._unchecked.popleft()
