"""Bags as rosbags opens them: their topics, and the messages of one of them."""

import io
import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from evdet.events.bags.definitions import MessageType, find_type, short_name
from evdet.events.bags.folder import METADATA, is_bag_folder
from evdet.events.dtypes import RecordingError
from evdet.structured_text import parse_yaml

__all__ = ["Bag", "Topic", "open_bag"]

_ROS1, _MCAP, _SQLITE = b"#ROSBAG V", b"\x89MCAP", b"SQLite format 3\0"
_FORMATS = {_ROS1: "ROS 1 bag", _MCAP: "MCAP", _SQLITE: "ROS 2 bag"}
_MAX_REASON = 300  # characters
_MAX_METADATA = 1 << 22  # characters
# What rosbags says, and what to do.
_REMEDIES = {
    "not indexed": "Make its index: rosbag reindex FILE.",
    "Bag version": "Convert it: rosbag migrate FILE FILE.",
    "end magic|MCAP footer": "Its recording did not end, or it is truncated: mcap recover FILE.",
    "not ros2": "Of MCAP files, evdet reads those of ROS 2: give the bag that it was made from.",
    "missing tables": "It is a database, and no ROS 2 bag.",
    "files are missing": "Copy the whole folder.",
    "encryption": "Decrypt it first.",
    "would become|states": "Decompress it, if you trust it.",
    "ompression": "Decompress it: ros2 bag convert, or rosbag decompress FILE.",
}


class Topic(NamedTuple):
    """A topic of a bag whose messages hold events."""

    name: str
    message_type: MessageType
    connections: list[Any]
    """rosbags' connections with this topic."""


class Bag:
    """An open bag. Made by `open_bag`.

    Args:
        path: the bag, for messages.
        format: for display.
        reader: rosbags' reader.
    """

    def __init__(self, path: Path, format: str, reader: Any) -> None:
        self.path = path
        self.format = format
        self._reader = reader
        self._inflate = _take_over_messages(reader)

    @property
    def is_ros1(self) -> bool:
        """How messages are serialized."""
        return self.format == _FORMATS[_ROS1]

    def all_topics(self) -> list[str]:
        """List all topics with their types, for a message."""
        return [f"{each.topic} ({short_name(each.msgtype)})" for each in self._reader.connections]

    def event_topics(self) -> list[Topic]:
        """Find the topics whose messages hold events, by name.

        Raises:
            RecordingError: a topic has messages of several types, or of a damaged type.
        """
        topics: dict[str, Topic] = {}
        for each in self._reader.connections:
            try:
                message_type = find_type(each.msgtype, each.msgdef)
            except RecordingError as error:
                raise RecordingError(f"cannot read {self.path}: {error}") from None
            if message_type is None:
                continue
            known = topics.setdefault(each.topic, Topic(each.topic, message_type, []))
            if known.message_type.name != message_type.name:
                raise RecordingError(
                    f"cannot read {self.path}: its topic {each.topic} has messages of two types, "
                    f"{short_name(known.message_type.name)} and {short_name(message_type.name)}"
                )
            known.connections.append(each)
        return sorted(topics.values(), key=lambda topic: topic.name)

    def messages(self, topic: Topic) -> Generator[bytes]:
        """Read the messages of a topic, in the order in which they were received.

        Raises:
            RecordingError: the bag is damaged; the messages before the damage are delivered first.
        """
        messages = iter(self._reader.messages(topic.connections))
        while True:
            with _as_recording_error(self.path):
                message = next(messages, None)
            if message is None:
                return
            with _as_recording_error(self.path):
                data: bytes = self._inflate(message[2]) if self._inflate else message[2]
            yield data


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a bag: a file, or the folder of a ROS 2 bag.

    Raises:
        RecordingError: it is not a bag, or damaged, or rosbags is not installed.
    """
    kind = _kind_of(path)
    with ExitStack() as stack:
        with _as_recording_error(path):
            reader = _make_reader(path, kind)
            reader.open()
            stack.callback(_close, reader)
        yield Bag(path, "ROS 2 bag" if kind is None else _FORMATS[kind], reader)


def _take_over_messages(reader: Any) -> Callable[[bytes], bytes] | None:
    """Tell rosbags that messages are not compressed; gives what inflates them if they are."""
    storage = getattr(reader, "storage", None)
    if storage is None or storage.metadata.compression_mode != "message":
        return None
    storage.metadata = storage.metadata._replace(compression_mode=None)
    from evdet.events.bags.inflation import inflate_message

    return inflate_message


def _close(reader: Any) -> None:
    with suppress(Exception):  # it was read, or its damage was reported
        reader.close()


def _kind_of(path: Path) -> bytes | None:
    """The first bytes of a file; None of a folder."""
    if path.is_dir():
        if not is_bag_folder(path):
            raise RecordingError(
                f"{path} is not a ROS 2 bag: it has no {METADATA}. Write it with ros2 bag "
                "reindex, or name one of the files."
            )
        return None
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror} (is the name right?)") from None
    for magic in _FORMATS:
        if head.startswith(magic):
            return magic
    raise RecordingError(f"{path} is not a ROS bag or MCAP file: it starts with {head[:8]!r}")


def _make_reader(path: Path, kind: bytes | None) -> Any:
    from rosbags import rosbag1, rosbag2

    from evdet.events.bags.inflation import bound_chunks

    bound_chunks()
    if kind is None or kind == _SQLITE:
        _check_database(path)
    if kind is None:
        _check_metadata(path)
        return rosbag2.Reader(path)
    # By content, because rosbags goes by the ending of the name.
    make: Callable[[Any], Any] = rosbag1.Reader
    if kind == _ROS1:
        return make(_ClampedPath(path))
    make = rosbag2.Reader.STORAGE_PLUGINS[".db3" if kind == _SQLITE else ".mcap"]
    # It puts the name of a database into a URI.
    name: Any = Path(quote(str(path))) if kind == _SQLITE else _ClampedPath(path)
    return make(name)


def _check_metadata(path: Path) -> None:
    """Refuse the folder of a bag that names files outside of it, or would inflate without end.

    Raises:
        RecordingError: it does.
    """
    try:
        text = (path / METADATA).read_text(encoding="utf-8")
        found = parse_yaml(text, max_length=_MAX_METADATA)
    except (OSError, ValueError) as error:
        raise RecordingError(f"cannot read {path}: its {METADATA}: {error}") from None
    try:
        bag = found["rosbag2_bagfile_information"]
        names = [name for name in bag["relative_file_paths"] if isinstance(name, str)]
        is_compressed = str(bag.get("compression_mode", "")).lower() == "file"
    except (AttributeError, KeyError, TypeError):
        return  # rosbags says what is wrong
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise RecordingError(
                f"cannot read {path}: its {METADATA} names {name}, outside of the bag's folder"
            )
        file = path / Path(name).name
        if is_compressed and file.is_file():
            from evdet.events.bags.inflation import check_inflated_file

            check_inflated_file(file)


def _check_database(path: Path) -> None:
    """Refuse what SQLite would open in part, or under another name.

    Raises:
        RecordingError: a database of the bag was not closed, or its name cannot be opened.
    """
    databases = path.glob("*.db3") if path.is_dir() else [path]
    for journal in (
        database.with_name(database.name + ending)
        for database in databases
        for ending in ("-wal", "-journal")
    ):
        if journal.exists() and journal.stat().st_size:
            raise RecordingError(
                f"{path} was not closed by its recorder: {journal.name} holds messages that are "
                "not in the database yet. Let SQLite finish it: sqlite3 FILE 'PRAGMA "
                "wal_checkpoint(TRUNCATE)'"
            )
    if path.is_dir() and re.search("[?#%]", str(path)):
        raise RecordingError(
            f"cannot read {path}: SQLite cannot open names with ?, # or %. Rename the folder."
        )


@contextmanager
def _as_recording_error(path: Path) -> Iterator[None]:
    """Turn whatever rosbags raises into a `RecordingError`.

    Besides its own errors it lets those of struct, lz4, zstd, SQLite and YAML through, and
    AssertionError, KeyError and others where a bag is damaged.
    """
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:_MAX_REASON].rstrip(".") or type(error).__name__
        remedy = next(
            (what for pattern, what in _REMEDIES.items() if re.search(pattern, reason)),
            "Was it copied completely?",
        )
        raise RecordingError(
            f"cannot read {path}: rosbags, which reads ROS bags, says: {reason}. {remedy}"
        ) from error


class _ClampedPath:
    """A path whose file gives at most the bytes that it has.

    Python sets aside as much memory as a reader asks for, which is up to 4 GB where the length of a
    record is damaged.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.suffix = path.suffix

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self._path.exists()

    def open(self, mode: str) -> "_ClampedFile":
        """Open it for reading."""
        return _ClampedFile(self._path)


class _ClampedFile:
    """The file of a `_ClampedPath`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._num_bytes = os.fstat(self._file.fileno()).st_size

    def read(self, size: int = -1) -> bytes:
        """Read at most so many bytes; all where `size` is negative."""
        left = max(self._num_bytes - self._file.tell(), 0)
        return self._file.read(left if size < 0 else min(size, left))

    def readline(self) -> bytes:
        """Read up to the end of a line."""
        return self._file.readline(1 << 16)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """Give the place."""
        return self._file.tell()

    def close(self) -> None:
        """Close it."""
        self._file.close()
