"""Bytes of messages: every order and length is read or refused, and no other error comes out."""

import struct

import numpy as np
import pytest
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from bag_maker import EVENTS, PACKET_TYPE
from evdet.events.bags.definitions import ARRAY, PACKET, find_type
from evdet.events.bags.packets import MessageDecoder
from evdet.events.bags.wire import WireError, read_message

NONE = MessageDefinition(MessageDefinitionFormat.NONE, "")
DVS = "dvs_msgs/msg/EventArray"


def defined(text):
    return MessageDefinition(MessageDefinitionFormat.MSG, text)


def cdr(order, *, events):
    """An EventArray of two sides, as CDR in that order of bytes."""
    head = bytes([0, order == "<", 0, 0])
    body = struct.pack(f"{order}iI", 5, 6) + struct.pack(f"{order}I", 2) + b"a\0"
    body += bytes(-len(body) % 4) + struct.pack(f"{order}III", 48, 64, len(events))
    for t, x, y, p in events:
        body += bytes(-len(body) % 2) + struct.pack(f"{order}HH", x, y)
        body += bytes(-len(body) % 4) + struct.pack(f"{order}iI", t // 10**6, t % 10**6 * 1000)
        body += bytes([p])
    return head + body


def decoded(data, message_type, *, is_ros1=False):
    decoder = MessageDecoder(message_type, is_ros1=is_ros1)
    return [tuple(map(int, e)) for block in decoder.decode(data) for e in block]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("num", [0, 1, 2, 3, 15, 16, 17, 100])
def test_both_orders_of_bytes_are_read(order, num):
    events = EVENTS[:num]
    assert decoded(cdr(order, events=events), find_type(DVS, NONE)) == events


@pytest.mark.parametrize("num", [0, 3, 40])
def test_a_message_that_is_cut_anywhere_is_refused(num):
    whole, message_type = cdr("<", events=EVENTS[:num]), find_type(DVS, NONE)
    for length in range(len(whole)):
        with pytest.raises(WireError):
            decoded(whole[:length], message_type)


def test_a_length_that_no_message_has_takes_no_memory():
    data = bytearray(cdr("<", events=[]))
    data[-4:] = b"\xff\xff\xff\xff"
    with pytest.raises(WireError, match=r"it ends at byte .* and needs"):
        decoded(bytes(data), find_type(DVS, NONE))


def test_other_versions_of_cdr_are_refused():
    data = b"\0\7\0\0" + cdr("<", events=EVENTS)[4:]
    with pytest.raises(WireError, match="not with a header of CDR"):
        decoded(data, find_type(DVS, NONE))


def test_types_are_known_by_their_definition_or_their_name():
    assert find_type(DVS, NONE).kind == ARRAY
    assert find_type(PACKET_TYPE, NONE).kind == PACKET
    assert find_type("std_msgs/msg/String", defined("string data # no events")) is None
    shape = "uint32 height\nuint32 width\nE[] events\n" + "=" * 80 + "\nMSG: a_msgs/E\n"
    fields = "uint16 x\nuint16 y\ntime ts\nbool polarity\n"
    assert find_type("a_msgs/msg/Events", defined(shape + fields)).kind == ARRAY
    without = find_type("a_msgs/msg/Events", defined(shape + "uint16 x\nuint16 y\n"))
    assert without is None


def test_a_definition_in_idl_is_read():
    # As ROS 2 records types that have no .msg file.
    line = "=" * 80 + "\n"
    idl = {
        "std_msgs/msg/Header": "string frame_id;",
        "a_msgs/msg/Event": "uint16 x; uint16 y; builtin_interfaces::msg::Time ts; boolean "
        "polarity;",
        "a_msgs/msg/EventArray": "uint32 height; uint32 width; sequence<a_msgs::msg::Event> "
        "events;",
    }
    text = "".join(
        f"{line}IDL: {name}\nmodule {name.split('/')[0]} {{ module msg {{ struct "
        f"{name.split('/')[2]} {{ {fields} }}; }}; }};\n"
        for name, fields in idl.items()
    )
    definition = MessageDefinition(MessageDefinitionFormat.IDL, text)
    message_type = find_type("a_msgs/msg/EventArray", definition)
    data = cdr("<", events=EVENTS)
    body = data[4 + 8 + 8 :]  # without the header of the message
    assert decoded(data[:4] + body, message_type) == EVENTS


def test_a_definition_that_cannot_be_parsed_is_no_stream():
    assert find_type("a_msgs/msg/Events", defined("events ][ encoding")) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("uint16 x\nuint16 y\nuint64 ts\nbool polarity\n", "no number ts.nanosec, ts.sec"),
        ("float32 x\nuint16 y\ntime ts\nbool polarity\n", "x of its events is not a whole"),
        ("uint16 x\nuint16 y\ntime ts\nstring polarity\n", "polarity of its events is not a"),
        ("Other x\nuint16 y\ntime ts\nbool polarity\n", "type a_msgs/msg/Other is not defined"),
    ],
)
def test_fields_of_another_type_are_refused(fields, reason):
    shape = "uint32 height\nuint32 width\nE[] events\n" + "=" * 80 + "\nMSG: a_msgs/E\n"
    message_type = find_type("a_msgs/msg/Events", defined(shape + fields))
    data = struct.pack("<III", 48, 64, 1) + bytes(64)
    with pytest.raises(WireError, match=reason):
        decoded(data, message_type, is_ros1=True)


def test_fields_before_the_events_may_be_anything_with_a_length():
    text = (
        "uint8[] first\nfloat64[3] second\nstring third\nuint32 height\nuint32 width\nE[] events\n"
        + "=" * 80
        + "\nMSG: a_msgs/E\nuint16 x\nuint16 y\ntime ts\nbool polarity\n"
    )
    message_type = find_type("a_msgs/msg/Events", defined(text))
    data = (
        struct.pack("<I3B", 3, 7, 8, 9)
        + struct.pack("<3d", 1, 2, 3)
        + struct.pack("<I2s", 2, b"ab")
    )
    data += struct.pack("<III", 48, 64, 1) + struct.pack("<HHIIB", 5, 6, 1, 2000, 1)
    fields = read_message(data, message_type, is_ros1=True)
    assert (fields["first"].tolist(), fields["third"]) == ([7, 8, 9], "ab")
    np.testing.assert_array_equal(fields["second"], [1, 2, 3])
    assert decoded(data, message_type, is_ros1=True) == [(1_000_002, 5, 6, 1)]
