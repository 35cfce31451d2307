"""ReadOptions: how to read a recording whose file leaves that open."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from evdet.events.dtypes import RecordingError

__all__ = [
    "AS_STATED",
    "FORMAT_NAMES",
    "TIME_UNITS",
    "ReadOptions",
    "StreamChoiceError",
    "choose_stream",
]

TIME_UNITS = {"ns": -3, "us": 0, "ms": 3, "s": 6}
"""Units of time; a unit is 10 ** value microseconds."""
FORMAT_NAMES = (
    "aedat2", "aedat2-davis", "aedat2-dvs128", "aedat3", "aedat4", "dat", "es", "evt2", "evt2.1",
    "evt3", "hdf5", "nmnist", "npy", "npz", "raw", "rosbag", "text",
)  # fmt: skip
"""The values of `format`."""
_COLUMNS = frozenset("txyp")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read a recording whose file leaves that open; None leaves it to the file.

    Raises:
        ValueError: a value is not one of the choices.
    """

    format: str | None = None
    """The format, one of `FORMAT_NAMES`, where the first bytes do not tell it."""
    time_unit: str | None = None
    """The unit of t in text, NumPy and HDF5 files: ns, us, ms or s."""
    columns: str | None = None
    """The order of columns in text, NumPy and HDF5 files, such as txyp; - skips a column."""
    stream: str | None = None
    """One of several streams, cameras or topics in one file."""
    strict: bool = False
    """Refuse a file that ends within an event, instead of leaving that event out with a warning."""

    def __post_init__(self) -> None:
        for name, choices in (("format", FORMAT_NAMES), ("time_unit", tuple(TIME_UNITS))):
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        if self.columns is not None and sorted(self.columns.replace("-", "")) != sorted(_COLUMNS):
            raise ValueError(
                "columns must have t, x, y and p once each, in the order of the file (- skips a "
                f"column), such as txyp or xyt-p, got {self.columns!r}"
            )

    def check_used(self, path: Path, used: Sequence[str], *, format_name: str) -> None:
        """Refuse options that a format does not use.

        Args:
            path: the file.
            used: the options that the format uses.
            format_name: the format, for the message.

        Raises:
            RecordingError: the message names the first of them.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name not in (*used, "format", "strict"):
                raise RecordingError(
                    f"{path} is {format_name}, which has no {field.name.replace('_', ' ')} to "
                    f"choose, got {value!r}. Leave this option out."
                )


AS_STATED = ReadOptions()
"""The options that leave everything to the file."""


class StreamChoiceError(RecordingError):
    """A file has several streams of events, and none of them was chosen.

    Args:
        message: names the file and its streams.
        streams: what `ReadOptions.stream` can be.
    """

    def __init__(self, message: str, streams: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.streams = streams


def choose_stream(path: Path, streams: Sequence[str], wanted: str | None) -> str:
    """Choose one of the streams of events in a file.

    Args:
        path: the file.
        streams: names of its streams, at least one.
        wanted: the chosen one; None takes the only one.

    Raises:
        StreamChoiceError: there are several and none is chosen, or the chosen one is not there.
    """
    names = ", ".join(streams)
    if wanted is None:
        if len(streams) == 1:
            return streams[0]
        raise StreamChoiceError(
            f"{path} has {len(streams)} streams of events: {names}. Choose one: --stream "
            f"{streams[0]}",
            tuple(streams),
        )
    if wanted not in streams:
        raise StreamChoiceError(
            f"{path} has no stream {wanted!r} of events; it has {names}", tuple(streams)
        )
    return wanted
