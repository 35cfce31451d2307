"""Pictures of a recording, counted by a progress bar."""

from collections.abc import Iterator

from evdet.cli.many import OpenBar
from evdet.cli.terminal import tqdm
from evdet.events import RecordingError
from evdet.shapes import Picture

__all__ = ["Progress"]


class Progress:
    """Pictures with a progress bar, up to the damage of the recording.

    Args:
        pictures: to count.
        total: how many there are.
        open_bar: opens the bar.
    """

    def __init__(
        self, pictures: Iterator[Picture], total: int, *, open_bar: OpenBar = tqdm
    ) -> None:
        self._bar = open_bar(pictures, desc="Drawing", unit="frame", total=total, leave=False)
        self._problem: RecordingError | None = None
        self.count = 0
        """Pictures that were drawn."""

    def __iter__(self) -> Iterator[Picture]:
        try:
            for picture in self._bar:
                self.count += 1
                yield picture
        except RecordingError as error:
            if not self.count:
                raise
            self._problem = error

    def close(self) -> None:
        """Remove the bar, so that a message has a line of its own."""
        self._bar.close()

    def raise_problem(self, what: str) -> None:
        """Raise the damage, if there is any.

        Args:
            what: says what was written.

        Raises:
            RecordingError: the recording is damaged.
        """
        if self._problem is not None:
            raise RecordingError(f"{self._problem} {what}") from self._problem
