"""Bags written by rosbags, message by message."""

import functools
import itertools
import struct
from pathlib import Path

import numpy as np
from rosbags import rosbag1, rosbag2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

__all__ = [
    "ARRAY_TYPE",
    "EVENTS",
    "PACKET_TYPE",
    "array",
    "evt3_payload",
    "mono_payload",
    "only_file",
    "packet",
    "write_ros1",
    "write_ros2",
]

ARRAY_TYPE = "dvs_msgs/msg/EventArray"
PACKET_TYPE = "event_camera_msgs/msg/EventPacket"
EVENTS = [(1000 + 7 * k, k % 64, k % 48, k % 2) for k in range(100)]
"""t in microseconds, x, y, p."""

_SHAPES = {
    "array": "std_msgs/Header header\nuint32 height\nuint32 width\n{package}/Event[] events\n",
    "event": "uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n",
    "packet": (
        "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\n"
        "string encoding\nbool is_bigendian\nuint8[] events\n"
    ),
}


@functools.cache
def _store(is_ros1):
    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    time = "time" if is_ros1 else "builtin_interfaces/Time"
    for package in ("dvs_msgs", "prophesee_event_msgs", "someones_msgs"):
        event = _SHAPES["event"].replace("builtin_interfaces/Time", time)
        store.register(get_types_from_msg(event, f"{package}/msg/Event"))
        shape = _SHAPES["array"].format(package=package)
        store.register(get_types_from_msg(shape, f"{package}/msg/EventArray"))
    for name in (PACKET_TYPE, "event_array_msgs/msg/EventArray"):
        store.register(get_types_from_msg(_SHAPES["packet"], name))
    return store


def _header(store):
    time = store.types["builtin_interfaces/msg/Time"](sec=77, nanosec=5)
    header = store.types["std_msgs/msg/Header"]
    names = header.__dataclass_fields__
    return header(stamp=time, frame_id="camera!", **({"seq": 3} if "seq" in names else {}))


def array(events, *, size=(48, 64), package="dvs_msgs"):
    """What to write as an EventArray: one structure per event."""

    def make(store):
        time, event = (
            store.types["builtin_interfaces/msg/Time"],
            store.types[f"{package}/msg/Event"],
        )
        made = [
            event(x=x, y=y, ts=time(sec=t // 10**6, nanosec=t % 10**6 * 1000 + 999), polarity=p)
            for t, x, y, p in events
        ]
        return store.types[f"{package}/msg/EventArray"](
            header=_header(store), height=size[0], width=size[1], events=made
        )

    return f"{package}/msg/EventArray", make


def packet(
    payload, *, encoding="evt3", seq=0, time_base=0, size=(48, 64), big=False, name=PACKET_TYPE
):
    """What to write as an EventPacket."""

    def make(store):
        return store.types[name](
            header=_header(store),
            height=size[0],
            width=size[1],
            seq=seq,
            time_base=time_base,
            encoding=encoding,
            is_bigendian=big,
            events=np.frombuffer(payload, np.uint8),
        )

    return name, make


def evt3_payload(events):
    """Words of EVT3, each event with its whole time."""
    words = []
    for t, x, y, p in events:
        words += [0x8000 | t >> 12 & 0xFFF, 0x6000 | t & 0xFFF, y, 0x2000 | p << 11 | x]
    return struct.pack(f"<{len(words)}H", *words)


def mono_payload(events, *, time_base=0, order="<"):
    """Words of mono, whose times are nanoseconds after the packet's time base."""
    return b"".join(
        struct.pack(f"{order}Q", p << 63 | y << 48 | x << 32 | (t * 1000 - time_base))
        for t, x, y, p in events
    )


def write_ros1(path, topics, *, compression=None):
    """Write a ROS 1 bag.

    Args:
        path: the file.
        topics: the messages of each topic, from `array` or `packet`, or pairs of a type's name and
            a function that makes a message of the typestore.
        compression: none, or a `Writer.CompressionFormat`.
    """
    store, clock = _store(True), itertools.count(1_700_000_000 * 10**9, 10**6)
    writer = rosbag1.Writer(path)
    if compression is not None:
        writer.set_compression(compression)
    with writer:
        for topic, messages in topics.items():
            connection = writer.add_connection(topic, messages[0][0], typestore=store)
            for name, make in messages:
                writer.write(connection, next(clock), store.serialize_ros1(make(store), name))
    return Path(path)


def write_ros2(folder, topics, *, mcap=False, compression=None, empty=()):
    """Write a ROS 2 bag.

    Args:
        folder: its folder.
        topics: as in `write_ros1`.
        mcap: MCAP files; otherwise SQLite.
        compression: none, or a mode of zstd.
        empty: topics without messages, by name, with their types.
    """
    store, clock = _store(False), itertools.count(1_700_000_000 * 10**9, 10**6)
    plugin = rosbag2.StoragePlugin.MCAP if mcap else rosbag2.StoragePlugin.SQLITE3
    writer = rosbag2.Writer(folder, version=9, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, rosbag2.CompressionFormat.ZSTD)
    with writer:
        for topic, name in dict(empty).items():
            writer.add_connection(topic, name, typestore=store)
        for topic, messages in topics.items():
            connection = writer.add_connection(topic, messages[0][0], typestore=store)
            for name, make in messages:
                data = store.serialize_cdr(make(store), name)
                writer.write(connection, next(clock), data)
    return Path(folder)


def only_file(folder):
    """The database or MCAP file in the folder of a bag."""
    return next(path for path in folder.iterdir() if path.suffix in (".db3", ".mcap"))
