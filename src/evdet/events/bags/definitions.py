"""Definitions of ROS messages with events: which fields a message has, in which order."""

from typing import Any, NamedTuple

from evdet.events.dtypes import RecordingError

__all__ = ["ARRAY", "PACKET", "SUPPORTED", "TIME", "MessageType", "find_type", "short_name"]

PACKET = "packet"
"""Messages whose events are encoded bytes."""
ARRAY = "array"
"""Messages whose events are a list of x, y, time and polarity."""
SUPPORTED = (
    "event_camera_msgs/EventPacket",
    "event_array_msgs/EventArray",
    "dvs_msgs/EventArray",
    "prophesee_event_msgs/EventArray",
)
"""The types that are known by name; others with the same fields are read, too."""
TIME = "builtin_interfaces/msg/Time"
"""The type of a time: seconds and nanoseconds."""

# What bags of ROS 2 before Iron leave out. ROS 1 bags and MCAP files define their own types.
_END = "=" * 80 + "\n"
_HEADER = f"{_END}MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"
_OF_PACKETS = (
    "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\n"
    f"string encoding\nbool is_bigendian\nuint8[] events\n{_HEADER}"
)
_OF_ARRAYS = (
    "std_msgs/Header header\nuint32 height\nuint32 width\n{package}/Event[] events\n"
    f"{_HEADER}{_END}"
    "MSG: {package}/Event\nuint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n"
)
_KNOWN = {
    "event_camera_msgs/msg/EventPacket": _OF_PACKETS,
    "event_array_msgs/msg/EventArray": _OF_PACKETS,
    "dvs_msgs/msg/EventArray": _OF_ARRAYS.format(package="dvs_msgs"),
    "prophesee_event_msgs/msg/EventArray": _OF_ARRAYS.format(package="prophesee_event_msgs"),
}


class MessageType(NamedTuple):
    """A type of messages with events."""

    name: str
    """As in the bag, such as dvs_msgs/msg/EventArray."""
    kind: str
    """`PACKET` or `ARRAY`."""
    types: dict[str, Any]
    """Fields of this type and of those inside it, as rosbags parses them."""


def find_type(name: str, definition: Any) -> MessageType | None:
    """Find what a type of messages is, from its definition in the bag or from its name.

    Args:
        name: as rosbags gives it.
        definition: rosbags' `MessageDefinition`.

    Returns:
        The type; None where its messages hold no events.

    Raises:
        RecordingError: it is a type of event messages, and its definition cannot be parsed.
    """
    from rosbags.interfaces import MessageDefinitionFormat

    text, is_idl = definition.data, definition.format is MessageDefinitionFormat.IDL
    if not text:
        text, is_idl = _KNOWN.get(name, ""), False
    if not text or ("events" not in text and name not in _KNOWN):
        return None  # most topics of a bag, without parsing them
    try:
        types = _parse_idl(text) if is_idl else _parse_msg(text, name)
    except Exception as error:  # the parser's own, RecursionError and ValueError among others
        if name not in _KNOWN:
            return None
        raise RecordingError(
            f"the definition of {short_name(name)} cannot be parsed ({type(error).__name__})"
        ) from error
    kind = _kind_of(name, types)
    return None if kind is None else MessageType(name, kind, types)


def short_name(name: str) -> str:
    """Give a type's name as people write it: dvs_msgs/EventArray."""
    return name.replace("/msg/", "/")


def _parse_msg(text: str, name: str) -> dict[str, Any]:
    from rosbags.typesys import get_types_from_msg

    return dict(get_types_from_msg(text, name))


def _parse_idl(text: str) -> dict[str, Any]:
    from rosbags.typesys import get_types_from_idl

    types: dict[str, Any] = {}
    # Several files in one definition have a line of = signs and a title before each.
    parts = text.split(_END)
    for part in parts[1:] if text.startswith(_END) else parts:
        types.update(get_types_from_idl(part.partition("\n")[2] if part != text else part))
    return types


def _kind_of(name: str, types: dict[str, Any]) -> str | None:
    """Whether a message holds encoded events or an array of events, by its fields."""
    from rosbags.interfaces import Nodetype

    fields = dict(types.get(name, ([], []))[1])
    kind, inner = fields.get("events", (None, None))
    if kind is not Nodetype.SEQUENCE or inner is None:
        return None
    element, name_of_element = inner[0][0], inner[0][1]
    if element is Nodetype.BASE:
        is_packet = name_of_element[0] in ("uint8", "byte") and "encoding" in fields
        return PACKET if is_packet and "time_base" in fields else None
    names = {field for field, _ in types.get(name_of_element, ([], []))[1]}
    return ARRAY if {"x", "y", "ts", "polarity"} <= names else None
