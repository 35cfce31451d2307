"""Messages of one topic -> events, in the sensor's time."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from evdet.events.bags.definitions import ARRAY, MessageType
from evdet.events.bags.wire import WireError, read_message
from evdet.events.dtypes import EVENT_DTYPE, Events, SensorSize
from evdet.events.raw import (
    BAD_TIME,
    BAD_X,
    BAD_Y,
    COORDINATE_BITS,
    DROPPED,
    LATEST,
    OK,
    OUTSIDE,
    STATUS,
    WORD,
    EvtFormat,
    decode_words,
    decoded_size,
    new_state,
)

__all__ = ["ENCODINGS", "TRIGGERS", "MessageDecoder"]

ENCODINGS = ("evt3", "mono", "libcaer")
"""The encodings of packets that are decoded."""
TRIGGERS = "trigger"
"""The encoding of packets that hold external triggers and no events."""

_EVT3 = EvtFormat("EVT3", 2)
_BLOCK_EVENTS = 1 << 15
_BYTES_PER_EVENT = 8  # of mono and libcaer
_MAX_TIME = 1 << 62
_MAX_SIDE = 1 << 16
# Bits of the low half of a libcaer time, which a packet's time base continues.
_LIBCAER_TIME_BITS = 31


class MessageDecoder:
    """Decodes the messages of one topic, one after the other.

    Args:
        message_type: the type of the topic's messages.
        is_ros1: how they are serialized.
        asked_size: the sensor's size, whatever the messages state.
    """

    def __init__(
        self,
        message_type: MessageType,
        *,
        is_ros1: bool,
        asked_size: SensorSize | None = None,
    ) -> None:
        self._type = message_type
        self._is_ros1 = is_ros1
        self._asked_size = asked_size
        self._state = new_state()
        self._next_word = 0
        self._last_seq: int | None = None
        self.encoding: str | None = None
        """The encoding of the packets so far; None of arrays, and before the first packet."""
        self.size: SensorSize | None = None
        """The sensor's size in the messages so far, where they state it."""
        self.num_lost = 0
        """Packets that are missing so far, by their sequence numbers."""

    @property
    def num_dropped(self) -> int:
        """Events of EVT3 before the first TIME_HIGH or in rows beyond the sensor."""
        return int(self._state[DROPPED])

    def read(self, data: bytes) -> dict[str, Any]:
        """Read a message's fields, and what all messages of the topic must have in common.

        Raises:
            WireError: the message is damaged, or differs from those before.
        """
        fields = read_message(data, self._type, is_ros1=self._is_ros1)
        self._set_size(_whole(fields, "height"), _whole(fields, "width"))
        if self._type.kind == ARRAY:
            return fields
        encoding = str(fields.get("encoding", ""))
        if self.encoding not in (None, encoding):
            raise WireError(f"its encoding is {encoding!r} after {self.encoding!r}")
        self.encoding = encoding
        seq = _whole(fields, "seq")
        if self._last_seq is not None and seq > self._last_seq + 1:
            self.num_lost += seq - self._last_seq - 1
        self._last_seq = seq
        return fields

    def decode(self, data: bytes) -> Iterator[Events]:
        """Decode a message.

        Raises:
            WireError: the message is damaged; its events before the damage are delivered first.
        """
        fields = self.read(data)
        if self._type.kind == ARRAY:
            yield _from_columns(fields["events"])
            return
        payload = fields["events"]
        if self.encoding not in ENCODINGS:
            raise WireError(
                f"its events are encoded as {str(self.encoding)[:40]!r} (supported: "
                f"{', '.join(ENCODINGS)})"
            )
        if self.encoding == "evt3":
            if fields.get("is_bigendian"):
                raise WireError("its EVT3 words are marked as big-endian, which no camera sends")
            yield from self._decode_evt3(payload)
            return
        num, num_spare = divmod(len(payload), _BYTES_PER_EVENT)
        order = ">" if fields.get("is_bigendian") and self.encoding == "mono" else "<"
        words = np.frombuffer(payload, f"{order}u8", num)
        time_base = _whole(fields, "time_base")
        yield (_from_mono if self.encoding == "mono" else _from_libcaer)(words, time_base)
        if num_spare:
            raise WireError(f"its events end within a word, at byte {len(payload)} of them")

    def _set_size(self, height: int, width: int) -> None:
        if not height or not width:
            return
        size = SensorSize(height, width)
        if max(size) > _MAX_SIDE or min(size) < 0:
            raise WireError(f"it states the sensor size {size}")
        if self.size not in (None, size):
            raise WireError(f"it states the sensor size {size} after {self.size}")
        self.size = size

    def _decode_evt3(self, payload: Any) -> Iterator[Events]:
        # The packets are one stream of words, cut anywhere.
        num, num_spare = divmod(len(payload), _EVT3.bytes_per_word)
        words = np.frombuffer(payload, _EVT3.dtype, num)
        state, first = self._state, self._next_word
        largest = 1 << COORDINATE_BITS
        size = decoded_size(self.size, self._asked_size) or (largest, largest)
        height, width = (min(side, largest) for side in size)
        out = np.empty(_BLOCK_EVENTS, EVENT_DTYPE)
        while state[WORD] < first + num:
            kept = decode_words(
                words, state, out, encoding=_EVT3, first=first, width=width, height=height
            )
            if kept:
                yield out[:kept].copy()
            if state[STATUS] != OK:
                x, y, t = (int(state[slot]) for slot in (BAD_X, BAD_Y, BAD_TIME))
                if state[STATUS] == OUTSIDE:
                    raise WireError(
                        f"an event at x={x}, y={y}, t={t} us lies outside the sensor "
                        f"{SensorSize(height, width)} (--sensor-size WxH says what it is)"
                    )
                raise WireError(f"time steps back from {int(state[LATEST])} to {t} us")
        self._next_word = first + num
        if num_spare:
            raise WireError(f"its events end within a word, at byte {len(payload)} of them")


def _whole(fields: dict[str, Any], name: str) -> int:
    """A whole number among the fields of a message; 0 where there is none."""
    value = fields.get(name, 0)
    if not isinstance(value, int):
        raise WireError(f"its field {name} is {str(value)[:40]!r}, not a whole number")
    return value


def _from_columns(columns: dict[str, Any]) -> Events:
    missing = {"x", "y", "ts.sec", "ts.nanosec", "polarity"} - set(columns)
    if missing:
        raise WireError(f"its events have no number {', '.join(sorted(missing))}")
    fractions = [name for name, values in columns.items() if values.dtype.kind not in "iu"]
    if set(fractions) & {"x", "y", "polarity"}:
        raise WireError(f"{fractions[0]} of its events is not a whole number")
    nanoseconds = columns["ts.nanosec"]
    if nanoseconds.max(initial=0) >= 10**9:
        raise WireError(f"an event has the time of {nanoseconds.max()} ns after a full second")
    if columns["ts.sec"].min(initial=0) < 0:
        raise WireError(f"an event has the time of {columns['ts.sec'].min()} s")
    times = columns["ts.sec"].astype(np.int64) * 1_000_000 + nanoseconds // 1000
    return _join(times, columns["x"], columns["y"], columns["polarity"])


def _from_mono(words: Any, time_base: int) -> Events:
    nanoseconds = (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
    x, y = words >> np.uint64(32) & np.uint64(0xFFFF), words >> np.uint64(48) & np.uint64(0x7FFF)
    return _join(_in_microseconds(nanoseconds, time_base), x, y, words >> np.uint64(63))


def _from_libcaer(words: Any, time_base: int) -> Events:
    # The address is the lower half: valid, polarity, 15 bits of y, 15 bits of x. The upper half is
    # the time in microseconds, which starts again from 0 when its 31 bits are used up.
    low = (words >> np.uint64(32)).astype(np.int64)
    if low.max(initial=0) >> _LIBCAER_TIME_BITS:
        raise WireError(f"an event has the time of {int(low.max())} us, of over 31 bits")
    is_wrap = np.diff(low, prepend=low[:1]) < -(1 << (_LIBCAER_TIME_BITS - 1))
    wraps = np.cumsum(is_wrap)
    times = (low + (wraps << _LIBCAER_TIME_BITS)) * 1000
    x, y = words >> np.uint64(17) & np.uint64(0x7FFF), words >> np.uint64(2) & np.uint64(0x7FFF)
    return _join(_in_microseconds(times, time_base), x, y, words >> np.uint64(1) & np.uint64(1))


def _in_microseconds(nanoseconds: Any, time_base: int) -> Any:
    if time_base >= _MAX_TIME:
        raise WireError(f"its time base is {time_base} ns")
    return (nanoseconds + time_base) // 1000


def _join(times: Any, x: Any, y: Any, polarity: Any) -> Events:
    for name, values, end in (("x", x, _MAX_SIDE), ("y", y, _MAX_SIDE), ("polarity", polarity, 2)):
        if values.max(initial=0) >= end or values.min(initial=0) < 0:
            raise WireError(f"an event has {name} {values.max()}")
    events = np.empty(len(times), EVENT_DTYPE)
    events["t"], events["x"], events["y"], events["p"] = times, x, y, polarity
    return events
