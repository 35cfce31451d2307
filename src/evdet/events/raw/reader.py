"""RAW files of Prophesee cameras (EVT2, EVT2.1, EVT3): seekable without conversion."""

import contextlib
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize, Triggers
from evdet.events.files import AS_STATED, MAX_STEP_BACK, FileBytes, ReadOptions, join_events
from evdet.events.raw.damage import damage_error
from evdet.events.raw.decoder import decode_words
from evdet.events.raw.header import EvtHeader, decoded_size, read_header, read_start
from evdet.events.raw.index import (
    EvtIndex,
    Stamp,
    agrees,
    make_index,
    read_sidecar,
    stamp_of,
    write_sidecar,
)
from evdet.events.raw.payload import payload_header
from evdet.events.raw.state import (
    COORDINATE_BITS,
    DROPPED,
    LARGEST_STEP,
    LATEST,
    NUM_EVENTS,
    OK,
    ORIGIN,
    STATUS,
    WORD,
    State,
    Words,
    new_state,
)
from evdet.events.raw.triggers import find_triggers

__all__ = ["RawFile", "open_payload", "open_raw"]

_log = logging.getLogger(__name__)

# The input and output of one step fit into the cache of a core.
_CHUNK_BYTES = 1 << 18
_BLOCK_EVENTS = 1 << 15


def open_raw(path: Path, options: ReadOptions = AS_STATED) -> "RawFile":
    """Open a RAW file of EVT2, EVT2.1 or EVT3 words; reads only its header.

    Raises:
        RecordingError: the header is missing, damaged or names an unsupported format.
    """
    return RawFile(path, read_header(path))


def open_payload(path: Path, options: ReadOptions) -> "RawFile":
    """Open a file of EVT2, EVT2.1 or EVT3 words without a header; reads only its first words.

    Args:
        path: the file. A header of the same format is used where there is one.
        options: `format` is how the words are written.

    Raises:
        RecordingError: the file has another header, or words of another format.
    """
    name = options.format or "evt3"
    header = payload_header(path, read_start(path), name)
    return RawFile(path, header, is_assumed=not header.num_bytes)


class RawFile:
    """A RAW file; a `SeekableEventFile`. Made by `open_raw` and `open_payload`.

    Args:
        path: the file.
        header: its header.
        is_assumed: whether the file has none, or not this one, and `header` stands for it.
    """

    def __init__(self, path: Path, header: EvtHeader, *, is_assumed: bool = False) -> None:
        self._path = path
        self._header = header
        self._content = FileBytes(path)
        self._is_assumed = is_assumed
        self._index: EvtIndex | None = None
        self._start: tuple[int, int] | None = None

    def with_size(self, size: SensorSize) -> "RawFile":
        """The same file as of a sensor of this size, whatever its header states."""
        header = self._header._replace(size=decoded_size(self._header.size, size))
        is_assumed = self._is_assumed or header != self._header
        return RawFile(self._path, header, is_assumed=is_assumed)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def format(self) -> str:
        """EVT2, EVT2.1 or EVT3."""
        return self._header.encoding.name

    @property
    def stated_size(self) -> SensorSize | None:
        """The sensor's size, stated or known from the id of the camera system."""
        return self._header.size

    @property
    def num_events(self) -> int:
        """Events that can be read: all, or those before the damage."""
        return int(self._indexed().last[NUM_EVENTS])

    @property
    def start(self) -> int | None:
        """Time of the earliest event, in microseconds; None without events."""
        start = self._found_start()[0]
        return None if start < 0 else start

    @property
    def end(self) -> int | None:
        """Time of the latest event, in microseconds; None without events."""
        last = self._indexed().last
        return int(last[LATEST]) if last[NUM_EVENTS] else None

    @property
    def is_surveyed(self) -> bool:
        """Whether the index is loaded."""
        return self._index is not None

    @property
    def time_origin(self) -> int | None:
        """What other converters subtract from all times, in microseconds; None without events.

        The time of the first TIME_HIGH; in EVT3 the one before it, as in Prophesee's converters.
        """
        start, origin = self._found_start()
        if start < 0:
            return None
        return max(origin - (1 << 12), 0) if self.format == "EVT3" else origin

    @property
    def num_dropped(self) -> int:
        """Events before the first TIME_HIGH and, in EVT3, in rows beyond the sensor."""
        return int(self._indexed().last[DROPPED])

    @property
    def incomplete_end(self) -> str:
        """Says that the file ends within a word; empty if it does not."""
        header = self._header
        num_bytes = max(len(self._content) - header.num_bytes, 0)
        num_words, num_spare = divmod(num_bytes, header.encoding.bytes_per_word)
        if not num_spare:
            return ""
        return (
            f"{self._path} ends within a word, at byte {self._byte_of(num_words)}, after "
            f"{num_spare} of its {header.encoding.bytes_per_word} bytes."
        )

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in file order, in blocks of bounded size.

        Args:
            since: start at a place before which no event has t >= since; None starts at the
                first event.

        Returns:
            The blocks; each belongs to the caller.

        Raises:
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """
        state = new_state() if since is None else self._indexed().before(since)
        yield from self._decode(state, keeps_blocks=True)

    def between(self, first: int, end: int) -> Events:
        """The events with first <= t < end, in file order, late events included.

        Raises:
            RecordingError: the interval is damaged; `blocks` reads up to the damage.
        """
        parts: list[Events] = []
        if end > first:
            index = self._indexed()
            state, largest_step = index.before(first), int(index.last[LARGEST_STEP])
            for block in self._decode(state, keeps_blocks=True):
                parts.append(_cut(block, first, end))
                # No later event of the file steps back that far.
                if state[LATEST] >= end + largest_step:
                    break
        return join_events(parts)

    def triggers(self) -> Triggers:
        """The external triggers of the words before any damage."""
        encoding = self._header.encoding
        num_words = max(int(self._indexed().last[WORD]), 0)  # before the damage

        def chunks() -> Iterator[Words]:
            with contextlib.suppress(RecordingError):
                for first, words in self._chunks(0):
                    num_sound = max(num_words - first, 0)
                    yield words[: num_sound * encoding.bytes_per_word // encoding.dtype.itemsize]

        return find_triggers(chunks(), encoding)

    def _indexed(self) -> EvtIndex:
        """The index: the loaded one, the one beside the file, or a new one."""
        if self._index is None:
            encoding = self._header.encoding
            try:
                stamp = self._stamp()
            except OSError as error:
                raise self._unreadable(error) from error
            self._index = self._read_sidecar(stamp)
            if self._index is None:
                self._index = make_index(self._progress(), encoding)
                write_sidecar(self._path, self._index, stamp)
        return self._index

    def _read_sidecar(self, stamp: Stamp) -> EvtIndex | None:
        """The index beside the file, if decoding agrees with it."""
        index = read_sidecar(self._path, self._header.encoding, stamp)
        if index is None:
            return None
        try:
            is_true = agrees(index, self._replay, self._search_start())
        except RecordingError:
            return None  # decoding raises it again
        if not is_true:
            _log.warning("%s: the index beside it is of other events; it is made anew", self._path)
        return index if is_true else None

    def _replay(self, state: State, stop: int | None) -> State:
        """The decoder's state at word `stop`, or at the end or the damage, from an earlier one."""
        state = state.copy()
        try:
            for _ in self._decode(state, keeps_blocks=False, stop=stop):
                pass
        except RecordingError:
            if state[STATUS] == OK:
                raise  # not damaged words: the file cannot be read
        return state

    def _stamp(self) -> Stamp:
        """The file's stamp, and what is assumed of it."""
        stamp = stamp_of(self._path)
        if not self._is_assumed:
            return stamp
        assumed = repr((self._header.encoding, self._header.size)).encode()
        return stamp._replace(checksum=zlib.crc32(assumed, stamp.checksum))

    def _found_start(self) -> tuple[int, int]:
        """Time of the earliest event, -1 without events, and of the first TIME_HIGH."""
        if self._start is None:
            if self._index is None:
                with contextlib.suppress(OSError):
                    self._index = self._read_sidecar(self._stamp())
            if self._index is not None:
                self._start = self._index.start, int(self._index.last[ORIGIN])
            else:
                self._start = self._search_start()
        return self._start

    def _search_start(self) -> tuple[int, int]:
        start, state = -1, new_state()
        for state, start in self._progress():
            # No later event can step back to before `start`.
            if state[LATEST] - MAX_STEP_BACK >= start >= 0:
                break
        return start, int(state[ORIGIN])

    def _progress(self) -> Iterator[tuple[State, int]]:
        """Decode the file up to its end or its damage.

        Returns:
            After each block, and at the end: the decoder's state, and the time of the earliest
            event until then (-1 without events).
        """
        state, start = new_state(), -1
        with contextlib.suppress(RecordingError):
            for block in self._decode(state, keeps_blocks=False):
                if start < 0 or state[LATEST] - MAX_STEP_BACK < start:
                    start = min(int(block["t"].min()), start if start >= 0 else 1 << 62)
                yield state, start
        yield state, start

    def _decode(
        self, state: State, *, keeps_blocks: bool, stop: int | None = None
    ) -> Iterator[Events]:
        """Decode from `state` on, which is updated with each block.

        Args:
            state: the state to start from.
            keeps_blocks: whether blocks stay valid; otherwise each is overwritten by the next.
            stop: end before this word; None reads all.
        """
        header = self._header
        width, height = self._limits()
        out = np.empty(_BLOCK_EVENTS, EVENT_DTYPE)
        num = 0
        for first, words in self._chunks(int(state[WORD]), stop):
            end = first + words.nbytes // header.encoding.bytes_per_word
            while state[WORD] < end:
                before = state.copy()
                num = decode_words(
                    words,
                    state,
                    out,
                    encoding=header.encoding,
                    first=first,
                    width=width,
                    height=height,
                    num=num,
                )
                if state[STATUS] != OK:
                    if num:
                        yield out[:num]
                    raise self._damage(words, first, before, state)
                if state[WORD] < end:
                    yield out[:num]
                    out = np.empty(_BLOCK_EVENTS, EVENT_DTYPE) if keeps_blocks else out
                    num = 0
        if num:
            yield out[:num]

    def _chunks(self, first: int, stop: int | None = None) -> Iterator[tuple[int, Words]]:
        """The complete words from word `first` on, in pieces, each with the index of its first."""
        encoding, num_header_bytes = self._header.encoding, self._header.num_bytes
        content = self._content
        num_words = max(len(content) - num_header_bytes, 0) // encoding.bytes_per_word
        num_words = num_words if stop is None else min(num_words, stop)
        per_chunk = _CHUNK_BYTES // encoding.bytes_per_word
        with content.opened() as opened:
            for begin in range(first, num_words, per_chunk):
                wanted = min(num_words - begin, per_chunk) * encoding.bytes_per_word
                data = opened.read_left(self._byte_of(begin), wanted)
                num_whole = len(data) // encoding.bytes_per_word * encoding.bytes_per_word
                if num_whole:
                    yield begin, np.frombuffer(data[:num_whole], encoding.dtype)
                if len(data) < wanted:
                    raise opened.truncated()

    def _limits(self) -> tuple[int, int]:
        """Columns and rows of the sensor, or the format's largest."""
        largest = 1 << COORDINATE_BITS
        size = self._header.size
        return (size.width, size.height) if size else (largest, largest)

    def _byte_of(self, word: int) -> int:
        """Offset of a word in the file."""
        return self._header.num_bytes + word * self._header.encoding.bytes_per_word

    def _unreadable(self, error: OSError) -> RecordingError:
        reason = error.strerror or error
        return RecordingError(
            f"cannot read {self._path}: {reason}. Check its name, its permissions and its disk."
        )

    def _damage(self, words: Words, first: int, before: State, state: State) -> RecordingError:
        """The error of a chunk whose decoding from `before` ended in the damaged `state`."""
        byte = self._byte_of(self._damaged_word(words, first, before))
        return damage_error(self._path, byte, state, self._header.size, is_assumed=self._is_assumed)

    def _damaged_word(self, words: Words, first: int, before: State) -> int:
        """Index of the word at which decoding of the chunk fails, found by bisection."""
        encoding = self._header.encoding
        width, height = self._limits()
        per_word = encoding.bytes_per_word // encoding.dtype.itemsize
        out = np.empty(_BLOCK_EVENTS, EVENT_DTYPE)
        good, bad = int(before[WORD]) - first, len(words) // per_word
        while bad - good > 1:
            middle = (good + bad) // 2
            state = before.copy()
            decode_words(
                words[: middle * per_word],
                state,
                out,
                encoding=encoding,
                first=first,
                width=width,
                height=height,
            )
            good, bad = (middle, bad) if state[STATUS] == OK else (good, middle)
        return first + good


def _cut(events: Events, first: int, end: int) -> Events:
    """The events with first <= t < end."""
    inside = (events["t"] >= first) & (events["t"] < end)
    if inside.all():
        return events
    if not inside.any():
        return events[:0]
    begin, stop = int(inside.argmax()), len(inside) - int(inside[::-1].argmax())
    kept: Events = events[begin:stop]
    return kept if inside[begin:stop].all() else kept[inside[begin:stop]]
