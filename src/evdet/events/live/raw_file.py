"""RawFile: what a live source gives -> a RAW file that can be read at any moment."""

from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from evdet.atomic_file import write_error
from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import sort_by_time
from evdet.events.raw import Evt3Encoder, evt3_header

__all__ = ["RawFile", "check_raw_file"]

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND  # EVT3 would need as many words to begin later


def check_raw_file(path: Path, *, overwrite: bool) -> None:
    """Check the name of a file to record to, before a source is opened.

    Raises:
        ValueError: its ending is not .raw, it exists and `overwrite` is False, or its folder does
            not exist.
    """
    if path.suffix.lower() != ".raw":
        raise ValueError(
            f"cannot record to {path}: unsupported format {path.suffix!r} (supported: .raw). "
            "evdet convert makes other formats of it"
        )
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    if path.exists() and not overwrite:
        raise ValueError(
            f"cannot write {path}: it exists (name another file, or overwrite it with --force)"
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist")


class RawFile:
    """A RAW file that grows: every write ends with whole words, and the file needs no end.

    The file is made by the first write, so that a source that gives nothing replaces nothing.

    Args:
        path: the file, checked by `check_raw_file`; an existing one is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_bytes = 0
        """Bytes written."""
        self.num_events = 0
        """Events written."""
        self.shift = 0
        """Microseconds that were taken from each time, because EVT3 cannot begin so late."""
        self._file: BinaryIO | None = None
        self._encoder: Evt3Encoder | None = None

    def add_bytes(self, data: bytes, num_events: int) -> None:
        """Write the next bytes of a source that is a RAW file already, its header first.

        Args:
            data: the bytes.
            num_events: events that they hold.

        Raises:
            RecordingError: the disk is full, or the file cannot be written.
        """
        self._write(data)
        self.num_events += num_events

    def add_events(self, events: Events, size: SensorSize) -> None:
        """Write the next events as EVT3.

        Args:
            events: of any number.
            size: the sensor's size.

        Raises:
            RecordingError: the disk is full, or EVT3 cannot hold the sensor or the times.
        """
        if not len(events):
            return
        try:
            if self._encoder is None:
                self._encoder = Evt3Encoder(size)
                first = int(events["t"].min())
                # Whole seconds, so that time bins begin where they did.
                self.shift = 0 if 0 <= first < _DAY else first // _SECOND * _SECOND
                self._write(evt3_header(size, date=datetime.now()))
            events = sort_by_time(events)
            if self.shift:
                events = events.copy()
                events["t"] -= self.shift
            for words in self._encoder.encode(events):
                self._write(words)
        except ValueError as error:
            raise RecordingError(
                f"{str(error).rstrip('.')}. {self.path} has the {self.num_events:,} events before"
            ) from None
        self.num_events += len(events)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = self.path.open("wb", buffering=0)
            rest = memoryview(data)
            while rest:
                num_written = self._file.write(rest) or 0
                self.num_bytes += num_written
                rest = rest[num_written:]
        except OSError as error:
            raise RecordingError(
                f"{write_error(self.path, error)}. It has the {self.num_events:,} events before"
            ) from None
