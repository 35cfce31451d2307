"""The formats: which reader opens a file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from evdet.events.aedat import open_aedat2, open_aedat3, open_aedat4, open_es
from evdet.events.arrays import doubt_nmnist, open_nmnist, open_npy, open_npz
from evdet.events.bags import is_bag_folder, open_rosbag
from evdet.events.dat import open_dat
from evdet.events.dtypes import RecordingError
from evdet.events.files import EventFile, ReadOptions
from evdet.events.hdf5 import open_hdf5
from evdet.events.raw import guess_payload, open_payload, open_raw
from evdet.events.text import is_event_table, is_text, open_text
from evdet.input_files import SpecialFileError, check_is_file

__all__ = ["READERS", "RECORDING_SUFFIXES", "Reader", "open_event_file", "recognize"]


class Reader(NamedTuple):
    """How files of a format are opened."""

    name: str
    """The format, for display."""
    open: Callable[[Path, ReadOptions], EventFile]
    uses: tuple[str, ...] = ()
    """The fields of `ReadOptions` that it uses besides `format`."""


READERS = {
    "hdf5": Reader("HDF5", open_hdf5, ("columns", "stream", "time_unit")),
    "aedat2": Reader("AEDAT 2", open_aedat2),
    "aedat2-davis": Reader("AEDAT 2 of a DAVIS", open_aedat2),
    "aedat2-dvs128": Reader("AEDAT 2 of a DVS128", open_aedat2),
    "aedat3": Reader("AEDAT 3.1", open_aedat3, ("stream",)),
    "aedat4": Reader("AEDAT4", open_aedat4, ("stream",)),
    "es": Reader("ES", open_es),
    "npy": Reader("npy", open_npy, ("columns", "time_unit")),
    "npz": Reader("npz", open_npz, ("columns", "stream", "time_unit")),
    "raw": Reader("RAW", open_raw),
    "evt2": Reader("EVT2 without a header", open_payload),
    "evt2.1": Reader("EVT2.1 without a header", open_payload),
    "evt3": Reader("EVT3 without a header", open_payload),
    "dat": Reader("DAT", open_dat),
    "rosbag": Reader("ROS bag", open_rosbag, ("stream",)),
    "nmnist": Reader("N-MNIST", open_nmnist),
    "text": Reader("text", open_text, ("columns", "time_unit")),
}
"""The reader of each format, by the values of `ReadOptions.format`."""

RECORDING_SUFFIXES = (
    ".dat", ".raw", ".h5", ".hdf5", ".aedat", ".aedat4", ".es", ".npy", ".npz", ".csv", ".txt",
    ".bin", ".bag", ".db3", ".mcap",
)  # fmt: skip
"""Endings of recordings' names; the content decides the format."""

_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"#!AER-DAT2": "aedat2",
    b"#!AER-DAT3.1": "aedat3",
    b"#!AER-DAT4": "aedat4",
    b"Event Stream": "es",
    b"\x93NUMPY": "npy",
    b"#ROSBAG": "rosbag",
    b"SQLite format 3\0": "rosbag",
    b"\x89MCAP": "rosbag",
}
_REFUSED = {
    b"#!AER-DAT1": "an AEDAT 1 file. Convert it to AEDAT4 with DV or jAER.",
    b"#!AER-DAT3.0": "an AEDAT 3.0 file (cAER before 1.1). Convert it to AEDAT4 with DV.",
    b"MATLAB": "a MATLAB file. In MATLAB, save the events as text: "
    "writematrix([t x y p], 'recording.csv'); or in Python load it with scipy.io.loadmat (version "
    "7.3: h5py) and save t, x, y and p with np.savez.",
    b"PK\x03\x04": "a zip archive. Unpack it first; save a spreadsheet as CSV, and a PyTorch "
    "tensor with np.save.",
    b"\x1f\x8b": "a gzip archive. Unpack it first: gunzip.",
    b"BZh": "a bzip2 archive. Unpack it first: bunzip2.",
    b"\xfd7zXZ\x00": "an xz archive. Unpack it first: unxz.",
    b"\x28\xb5\x2f\xfd": "compressed with zstd. Unpack it with unzstd; of a ROS 2 bag, give the "
    "folder.",
    b"7z\xbc\xaf": "a 7-Zip archive. Unpack it first.",
    b"Rar!": "a RAR archive. Unpack it first.",
    b"PAR1": "a Parquet file. Save its table as CSV first: pandas.read_parquet(...).to_csv(...).",
}

_RAW_LINE = re.compile(rb"^% *(evt|format)[ \t]", re.MULTILINE)
_DAT_LINE = re.compile(rb"^% *(data file|version|width|height)\b", re.MULTILINE | re.IGNORECASE)

_HEAD = 4096  # bytes that are read to recognise a format
_LONG_HEAD = 5 << 14  # and where that takes more; whole records of N-MNIST


def open_event_file(path: Path, options: ReadOptions) -> EventFile:
    """Open a file of any format.

    Args:
        path: the file; its first bytes determine the format, and its suffix where they do not.
        options: a format to use instead, and what else the file leaves open.

    Raises:
        RecordingError: the file is not an event recording, or its format has no use for an
            option.
    """
    try:
        check_is_file(path)
    except SpecialFileError as error:
        raise RecordingError(str(error)) from None
    name = options.format
    if name is None:
        name = recognize(path)
    else:
        _refuse_other_header(path, name)
    reader = READERS[name]
    options.check_used(path, reader.uses, format_name=reader.name)
    return reader.open(path, options)


def recognize(path: Path) -> str:
    """Give the key of `READERS` for a file.

    Raises:
        RecordingError: it is not a supported recording.
    """
    if is_bag_folder(path):
        return "rosbag"
    head = _read_head(path)
    if _is_npz(path, head):
        return "npz"
    for magic, what in _REFUSED.items():
        if head.startswith(magic):
            raise RecordingError(f"cannot read {path}: it is {what}")
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    suffix = path.suffix.lower()
    is_raw = head.startswith(b"%") and _RAW_LINE.search(head)
    if not is_raw and is_event_table(head):
        return "text"
    if head.startswith(b"%"):
        return "raw" if is_raw or (suffix == ".raw" and not _DAT_LINE.search(head)) else "dat"
    if is_text(head):
        return "text"
    start = _read_head(path, _LONG_HEAD)
    doubt = doubt_nmnist(start) if suffix == ".bin" else ""
    if suffix == ".bin" and not doubt:
        return "nmnist"
    payload = guess_payload(start)
    if payload is not None:
        raise RecordingError(
            f"{path} is not a supported event recording as it is: it looks like "
            f"{payload.upper()} words without the header of a RAW file. Read it with --format "
            f"{payload} --sensor-size WxH."
        )
    if suffix == ".bin":
        raise RecordingError(
            f"{path} is not a recording of N-MNIST or N-Caltech101, which end in .bin: {doubt}. "
            "If it is one, read it with --format nmnist; words of a RAW file without its header "
            "need --format evt2, evt2.1 or evt3."
        )
    raise RecordingError(
        f"{path} is not a supported event recording: it starts with {head[:8]!r} (supported: "
        f"{', '.join(reader.name for reader in READERS.values())}). Is it complete, and the right "
        "file? Words without the header of a RAW file need --format evt2, evt2.1 or evt3."
    )


def _refuse_other_header(path: Path, name: str) -> None:
    """Refuse a file whose first bytes state another format than the chosen one."""
    if is_bag_folder(path):
        return
    head = _read_head(path)
    if name == "npz" and _is_npz(path, head):
        return
    for magic, what in _REFUSED.items():
        if head.startswith(magic):
            raise RecordingError(f"cannot read {path}: it is {what}")
    family = name.partition("-")[0]
    for magic, stated in _MAGIC.items():
        if head.startswith(magic) and stated != family:
            raise RecordingError(
                f"{path} is {READERS[stated].name}, not {READERS[name].name}. Leave --format "
                f"{name} out."
            )
    if name == "npz" or (family in _MAGIC.values() and not _has_magic(path, head, family)):
        raise RecordingError(
            f"{path} has no header of {READERS[name].name}: it starts with {head[:8]!r}. Leave "
            f"--format {name} out."
        )
    if name in ("raw", "dat") and head.startswith(b"%"):
        is_raw = _RAW_LINE.search(head) is not None
        if is_raw != (name == "raw") and (is_raw or _DAT_LINE.search(head)):
            raise RecordingError(
                f"{path} has the header of a {'RAW' if is_raw else 'DAT'} file. Leave --format "
                f"{name} out."
            )
    # The others look at such a line themselves; pixels can look like its first byte.
    if name == "nmnist" and re.match(rb"%[ -~\t]*\r?\n", head):
        raise RecordingError(
            f"{path} has the header of a RAW or DAT file, so it is not {READERS[name].name}. Leave "
            f"--format {name} out."
        )


def _has_magic(path: Path, head: bytes, family: str) -> bool:
    if family == "hdf5":
        # Programs may keep a block of their own in front, of a power of two from 512 bytes on.
        start = _read_head(path, _LONG_HEAD)
        places = (0, *(512 << k for k in range(8)))
        return any(start.startswith(b"\x89HDF\r\n\x1a\n", place) for place in places)
    return any(head.startswith(magic) for magic, name in _MAGIC.items() if name == family)


def _is_npz(path: Path, head: bytes) -> bool:
    """Whether a zip archive is one of arrays: by its ending, or by its first file."""
    if not head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return False
    num_bytes = int.from_bytes(head[26:28], "little")
    return path.suffix.lower() == ".npz" or head[30 : 30 + num_bytes].endswith(b".npy")


def _read_head(path: Path, num_bytes: int = _HEAD) -> bytes:
    if path.is_dir():
        raise RecordingError(
            f"{path} is not a recording: it is a folder, and no ROS 2 bag with metadata.yaml (name "
            "a file in it, or give a data set to `evdet check`; ros2 bag reindex writes a bag's "
            "metadata.yaml)"
        )
    try:
        with path.open("rb") as file:
            head = file.read(num_bytes)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror} (is the name right?)") from None
    if not head:
        raise RecordingError(f"{path} is empty. Was it copied completely?")
    return head
