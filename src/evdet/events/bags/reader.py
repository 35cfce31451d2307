"""The events of one topic of a ROS bag or MCAP file."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from evdet.events.bags.definitions import PACKET, SUPPORTED, short_name
from evdet.events.bags.packets import ENCODINGS, TRIGGERS, MessageDecoder
from evdet.events.bags.storage import Bag, Topic, open_bag
from evdet.events.bags.wire import WireError
from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import (
    AS_STATED,
    BlockSummary,
    OrderCount,
    ReadOptions,
    check_blocks,
    choose_stream,
    join_events,
    summarize_blocks,
)

__all__ = ["RosbagFile", "open_rosbag"]

_log = logging.getLogger(__name__)

_BLOCK_EVENTS = 1 << 15
_MAX_BLOCK = 1 << 20
_MAX_NAMED_TOPICS = 6


def open_rosbag(path: Path, options: ReadOptions = AS_STATED) -> "RosbagFile":
    """Open a ROS 1 bag, a ROS 2 bag or an MCAP file; reads its index and one message per topic.

    Args:
        path: the file, or the folder of a ROS 2 bag.
        options: `stream` names the topic.

    Raises:
        StreamChoiceError: several topics hold events, and none is chosen.
        RecordingError: it is not a bag, is damaged, or no topic holds events; or rosbags is not
            installed.
    """
    if importlib.util.find_spec("rosbags") is None:
        raise RecordingError(
            f"cannot read {path}: ROS bags and MCAP files need rosbags (pip install 'evdet[ros]')"
        )
    with open_bag(path) as bag:
        topics = bag.event_topics()
        if not topics:
            raise RecordingError(_no_events(bag))
        firsts = {topic.name: _first_message(bag, topic) for topic in topics}
        with_events = [each for each in topics if firsts[each.name].encoding != TRIGGERS]
        if not with_events:
            raise RecordingError(
                f"{path} has no stream of events: {topics[0].name} holds external triggers"
            )
        name = choose_stream(path, [each.name for each in with_events], options.stream)
        kind = next(each.message_type for each in topics if each.name == name)
        encoding = firsts[name].encoding
        if kind.kind == PACKET and encoding not in (None, *ENCODINGS):
            raise RecordingError(
                f"cannot read {path}: the events of {name} are encoded as {encoding[:40]!r} "
                f"(supported: {', '.join(ENCODINGS)}). Record them in another encoding, or convert "
                "them with event_camera_py."
            )
        what = short_name(kind.name)
        if encoding:
            what += f" ({encoding})"
        return RosbagFile(path, f"{bag.format}, {name}, {what}", name, firsts[name].size)


@dataclass
class RosbagFile:
    """The events of one topic; an `EventFile`.

    Args:
        path: the bag.
        format: for display.
        topic: the topic's name.
        stated_size: the sensor's size in the first message.
        asked_size: the sensor's size, whatever the messages state.
    """

    path: Path
    format: str
    topic: str
    stated_size: SensorSize | None
    asked_size: SensorSize | None = None
    _has_warned: bool = field(default=False, init=False, repr=False)

    @property
    def num_events(self) -> int:
        """Events that can be read; the first access reads the topic once."""
        return self._summary[0].num_events

    @property
    def start(self) -> int | None:
        """Time of the earliest event, in microseconds; the first access reads the topic once."""
        return self._summary[0].start

    @property
    def end(self) -> int | None:
        """Time of the latest event, in microseconds; the first access reads the topic once."""
        return self._summary[0].end

    @property
    def is_surveyed(self) -> bool:
        """Whether the topic was read once for these three."""
        return "_summary" in vars(self)

    @property
    def time_origin(self) -> int | None:
        """The same as `start`."""
        return self.start

    @property
    def num_dropped(self) -> int:
        """Events of EVT3 before the first TIME_HIGH or in rows beyond the sensor."""
        return self._summary[1]

    @property
    def incomplete_end(self) -> str:
        """Empty: a message that ends within an event is damaged."""
        return ""

    def with_size(self, size: SensorSize) -> "RosbagFile":
        """The same topic as of a sensor of this size, whatever its messages state."""
        return RosbagFile(self.path, self.format, self.topic, size, size)

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Read the events in the order of the messages, in blocks of bounded size.

        Args:
            since: has no effect.

        Raises:
            RecordingError: the bag is damaged; the events before the damage are delivered first.
        """
        with open_bag(self.path) as bag:
            topic, decoder = self._find(bag)
            blocks = _gather(self._decode(bag, topic, decoder))
            yield from check_blocks(
                blocks, OrderCount(), name=str(self.path), size=self.stated_size
            )
            if decoder.num_lost and not self._has_warned:
                self._has_warned = True
                _log.warning(
                    "%s: %d packets of %s are missing, by their sequence numbers: events were lost "
                    "while the bag was recorded",
                    self.path,
                    decoder.num_lost,
                    self.topic,
                )

    @cached_property
    def _summary(self) -> tuple[BlockSummary, int]:
        """Counts and times, and how many events were dropped."""
        with open_bag(self.path) as bag:
            topic, decoder = self._find(bag)
            blocks = _gather(self._decode(bag, topic, decoder))
            checked = check_blocks(blocks, OrderCount(), name=str(self.path), size=self.stated_size)
            return summarize_blocks(checked), decoder.num_dropped

    def _find(self, bag: Bag) -> tuple[Topic, MessageDecoder]:
        for topic in bag.event_topics():
            if topic.name == self.topic:
                return topic, self._decoder(topic, bag)
        raise RecordingError(f"{self.path} has changed: it has no topic {self.topic} now")

    def _decoder(self, topic: Topic, bag: Bag) -> MessageDecoder:
        return MessageDecoder(topic.message_type, is_ros1=bag.is_ros1, asked_size=self.asked_size)

    def _decode(self, bag: Bag, topic: Topic, decoder: MessageDecoder) -> Iterator[Events]:
        for number, data in enumerate(bag.messages(topic), 1):
            try:
                yield from decoder.decode(data)
            except WireError as error:
                raise RecordingError(
                    f"{self.path}: message {number} of {self.topic} cannot be decoded: {error}. "
                    "The events before can be read."
                ) from None


def _first_message(bag: Bag, topic: Topic) -> MessageDecoder:
    """A decoder that has read the first message, for its encoding and sensor size."""
    decoder = MessageDecoder(topic.message_type, is_ros1=bag.is_ros1)
    # Damage is reported when the events are read.
    with suppress(RecordingError, WireError), closing(bag.messages(topic)) as messages:
        for data in messages:
            decoder.read(data)
            break
    return decoder


def _no_events(bag: Bag) -> str:
    topics = bag.all_topics()
    names = ", ".join(topic[:60] for topic in topics[:_MAX_NAMED_TOPICS]) or "none"
    more = f" and {len(topics) - _MAX_NAMED_TOPICS} others" * (len(topics) > _MAX_NAMED_TOPICS)
    return (
        f"{bag.path} has no stream of events. Its topics: {names}{more} (supported: "
        f"{', '.join(SUPPORTED)})"
    )


def _gather(parts: Iterator[Events]) -> Iterator[Events]:
    """Blocks of bounded size, neither as small nor as large as messages may be.

    Raises:
        RecordingError: what `parts` raises, after all events before it.
    """
    pending: list[Events] = []
    num = 0
    problem = None
    while True:
        try:
            part = next(parts, None)
        except RecordingError as error:
            problem, part = error, None
        if part is not None:
            pending.append(part)
            num += len(part)
        if num and (part is None or num >= _BLOCK_EVENTS):
            events = join_events(pending)
            for begin in range(0, num, _MAX_BLOCK):
                yield events[begin : begin + _MAX_BLOCK]
            pending, num = [], 0
        if part is None:
            break
    if problem is not None:
        raise problem
