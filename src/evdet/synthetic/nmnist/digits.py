"""N-MNIST: event recordings of handwritten digits, from a folder, a zip file or the package."""

import re
import zipfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from evdet.events import EVENT_DTYPE, Events, RecordingError
from evdet.synthetic.mnist import SPLITS

__all__ = ["PATCH", "NmnistDigits", "find_digits", "sway_at"]

PATCH = 34
"""Rows and columns of a recording."""

_RECORD = 5  # bytes of an event: x, y, and 24 bits of which the first is the polarity
_VAL, _TEST = 0.15, 0.15  # shares of the recordings of each digit
# The sensor is turned three times, in the same way in every recording, which shifts the digit over
# the pixels. Median over the first 1,000 recordings of the distance between the centre of 10 ms of
# events and the centre of the MNIST digit's ink, in pixels: column, row.
_SWAY_TIME = (0, 20, 45, 65, 80, 115, 135, 160, 185, 205, 225, 240, 265, 285, 305)  # ms
_SWAY_COLUMN = (0.5, 0.5, 0.5, 1.4, 2.2, 2.8, 3.6, 4.5, 5.8, 6.4, 6.2, 5.0, 2.5, 1.5, 1.2)
_SWAY_ROW = (1.5, 1.5, 3.5, 5.5, 6.5, 6.5, 5.5, 3.0, 1.9, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5)


@dataclass(frozen=True)
class NmnistDigits:
    """Recordings of digits, read on request."""

    path: Path
    """The folder or zip file."""
    names: tuple[str, ...]
    """The recordings in it."""
    labels: UInt8[np.ndarray, " N"]
    """The digit of each."""

    def indices_of(self, split: str, digit: int) -> Int64[np.ndarray, " M"]:
        """Indices of the recordings of a digit in a split.

        Of each digit, 15 % are for validation and 15 % for testing, in the order of the names.
        If a digit has fewer than three recordings, every split has all of them.
        """
        indices = np.flatnonzero(self.labels == digit)
        if len(indices) < len(SPLITS):
            return indices
        num_val, num_test = (max(1, int(len(indices) * share)) for share in (_VAL, _TEST))
        num_train = len(indices) - num_val - num_test
        parts = np.split(indices, [num_train, num_train + num_val])
        part: Int64[np.ndarray, " M"] = parts[SPLITS.index(split)]
        return part

    @property
    def is_shared(self) -> bool:
        """Whether a digit has so few recordings that every split has all of them."""
        return bool((np.bincount(self.labels, minlength=10) < len(SPLITS)).any())

    def read(self, index: int) -> Events:
        """Read the events of a recording, in order of time, by the index of its name.

        Raises:
            RecordingError: the recording cannot be read.

        Source:
            The layout of a record: https://www.garrickorchard.com/datasets/n-mnist
        """
        name = self.names[index]
        where = f"{self.path}/{name}"
        try:
            if self.path.is_dir():
                content = (self.path / name).read_bytes()
            else:
                with zipfile.ZipFile(self.path) as archive:
                    content = archive.read(name)
        except (OSError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise RecordingError(
                f"{where}: it cannot be read ({error}). Copy the file again."
            ) from error
        if len(content) % _RECORD or not content:
            raise RecordingError(
                f"{where}: {len(content)} bytes are not a multiple of an event's {_RECORD} bytes. "
                "Copy the file again."
            )
        columns = np.frombuffer(content, np.uint8).reshape(-1, _RECORD).astype(np.int64)
        events = np.empty(len(columns), EVENT_DTYPE)
        events["x"], events["y"] = columns[:, 0], columns[:, 1]
        events["p"] = columns[:, 2] >> 7
        events["t"] = (columns[:, 2] & 127) << 16 | columns[:, 3] << 8 | columns[:, 4]
        outside = np.flatnonzero((columns[:, :2] >= PATCH).any(axis=1))
        if len(outside):
            first = events[outside[0]]
            raise RecordingError(
                f"{where}: the event at byte {outside[0] * _RECORD} lies at x={first['x']}, "
                f"y={first['y']}, outside of {PATCH}x{PATCH}. Is it an N-MNIST recording?"
            )
        return events[np.argsort(events["t"], kind="stable")]


def find_digits(path: Path | None = None) -> NmnistDigits:
    """Find recordings of digits, in natural order of their names, without reading them.

    The digit of a recording comes from a file `labels.txt` (lines with the number of the recording
    and the digit), from its folder, as in N-MNIST, or from a name like `digit7_....bin`.

    Args:
        path: a folder or a zip file; None takes the ten in the package, one of each digit.

    Raises:
        RecordingError: there are no recordings, or their digits are unknown.
    """
    if path is None:
        with resources.as_file(resources.files("evdet.synthetic.nmnist")) as folder:
            return find_digits(folder)
    if not path.exists():
        raise RecordingError(f"{path}: it does not exist. Give a folder or a zip file of N-MNIST.")
    try:
        if path.is_dir():
            names = [str(file.relative_to(path)) for file in path.rglob("*.bin")]
            table = path / "labels.txt"
            text = table.read_text(encoding="utf-8") if table.exists() else ""
        else:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith(".bin")]
                text = (
                    archive.read("labels.txt").decode()
                    if "labels.txt" in archive.namelist()
                    else ""
                )
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise RecordingError(
            f"{path} is not a folder or zip file of N-MNIST recordings ({error})."
        ) from error
    table_of = dict(re.findall(r"^(\d+)\s+([0-9])\s*$", text, re.MULTILINE))
    names = sorted(names, key=_by_number)
    digits = [
        table_of.get(str(int(Path(n).stem))) if Path(n).stem.isdecimal() else None for n in names
    ]
    found = [(n, d or _digit_in(n)) for n, d in zip(names, digits, strict=True)]
    known = [(name, int(digit)) for name, digit in found if digit is not None]
    if not known:
        what = f"no known digit among its *.bin ({len(names)})" if names else "no *.bin"
        raise RecordingError(
            f"{path} has {what}. Give a folder with one folder per digit (0/00002.bin), with "
            "labels.txt, or with names like digit7_00016.bin."
        )
    return NmnistDigits(
        path, tuple(name for name, _ in known), np.array([digit for _, digit in known], np.uint8)
    )


def sway_at(t_us: Float64[np.ndarray, " E"]) -> tuple[Float64[np.ndarray, " E"], ...]:
    """Shift of a digit in its recording, because the sensor was turned.

    Returns:
        Columns and rows, in pixels.

    Source:
        Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using
        saccades", Frontiers in Neuroscience 9:437, 2015: the three turns.
    """
    t_ms = t_us / 1000
    return np.interp(t_ms, _SWAY_TIME, _SWAY_COLUMN), np.interp(t_ms, _SWAY_TIME, _SWAY_ROW)


def _by_number(name: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def _digit_in(name: str) -> str | None:
    """The digit in a path: its folder, or `digit7` in the file's name."""
    folder = Path(name).parent.name
    if re.fullmatch("[0-9]", folder):
        return folder
    in_name = re.match(r"digit([0-9])(?!\d)", Path(name).name)
    return in_name[1] if in_name else None
