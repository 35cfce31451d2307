"""A separate program: reads an AEDAT4 or ES file with faery and writes its events to stdout.

Damaged bytes can make faery panic, abort or allocate all memory, and an abort ends its process.
`reader.py` starts this one and reads its messages: a letter, a length (8 bytes, little-endian)
and as many bytes. H is the header in JSON (the streams of events), B a block of events of the
asked stream, E an error, Z the end.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

__all__ = ["main"]

# EVENT_DTYPE: importing it would double the start-up time of this program.
_EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
_BLOCK = 1 << 14  # events of a message, at least
_MAX_MEMORY = 512 << 20  # bytes, beyond those of the imports
_CPU_SECONDS, _CPU_SECONDS_PER_MB = 60, 5


def main(arguments: list[str], output: BinaryIO) -> None:
    """Send one file.

    Args:
        arguments: `aedat4` or `es`, the file, and the id of a stream; without an id only the
            header is sent.
        output: where the messages go.
    """
    kind, name, *wanted = arguments
    try:
        from faery import aedat, es

        path = Path(name)
        _limit(path)
        if kind == "aedat4":
            decoder = aedat.Decoder(path)
            streams = _streams(decoder)
            packets = _of_stream(decoder, wanted)
        else:
            decoder = es.Decoder(path, t0=0)
            packets = _open_es(decoder)
            width, height = decoder.dimensions
            streams = [{"id": "0", "names": [], "width": width, "height": height}]
        _send(output, b"H", json.dumps(streams).encode())
        for block in _gathered(packets, output) if wanted else ():
            _send(output, b"B", block)
        _send(output, b"Z", b"")
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except BaseException as error:  # a panic in Rust is not an Exception
        _send(output, b"E", str(error).encode("utf-8", "replace")[:1000])


def _of_stream(decoder: Any, wanted: list[str]) -> Iterator[Any]:
    return (packet for track, packet in decoder if [str(track.id)] == wanted)


def _streams(decoder: Any) -> list[dict[str, Any]]:
    """The streams of events: id, size, and what they are called, the camera first."""
    tracks = decoder.tracks()
    events = [track for track in tracks if track.data_type == "events"]
    if not events:
        others = ", ".join(track.data_type for track in tracks) or "nothing"
        raise ValueError(f"the file has no event stream; it has: {others}")
    nodes = {node.name: node for root in decoder.description() for node in root.nodes}
    return [
        {
            "id": str(track.id),
            "names": _names(nodes.get(str(track.id))),
            "width": track.dimensions[0],
            "height": track.dimensions[1],
        }
        for track in events
    ]


def _names(node: Any) -> list[str]:
    if node is None:
        return ["", "", ""]
    info: Any = next((inner.attributes for inner in node.nodes if inner.name == "info"), {})
    places = (
        (info, "source"),
        (node.attributes, "originalOutputName"),
        (node.attributes, "originalModuleName"),
    )
    return [str(where[key].value) if key in where else "" for where, key in places]


def _open_es(decoder: Any) -> Iterator[Any]:
    if decoder.event_type == "dvs":
        return iter(decoder)
    if decoder.event_type == "atis":
        # The other atis events measure grey levels.
        return (packet[np.logical_not(packet["exposure"])] for packet in decoder)
    raise ValueError(
        f"its events have the type {decoder.event_type}, not dvs or atis (changes of pixels)"
    )


def _gathered(packets: Iterator[Any], output: BinaryIO) -> Iterator[bytes]:
    """The events as bytes, some packets together; complete ones come before an error."""
    waiting: list[bytes] = []
    num_waiting = 0
    try:
        for packet in packets:
            events = np.empty(len(packet), _EVENT)
            for field in "txy":
                events[field] = packet[field]
            events["p"] = packet["on" if "on" in packet.dtype.fields else "polarity"]
            waiting.append(events.tobytes())
            num_waiting += len(events)
            if num_waiting >= _BLOCK:
                yield b"".join(waiting)
                waiting, num_waiting = [], 0
    except BaseException:
        if waiting:
            _send(output, b"B", b"".join(waiting))
        raise
    if waiting:
        yield b"".join(waiting)


def _limit(path: Path) -> None:
    """Bound memory and time, where the system can."""
    if sys.platform == "win32":
        return
    import resource

    seconds = _CPU_SECONDS + _CPU_SECONDS_PER_MB * (path.stat().st_size >> 20)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MAX_MEMORY, used + _MAX_MEMORY))


def _send(output: BinaryIO, letter: bytes, content: bytes) -> None:
    output.write(letter + len(content).to_bytes(8, "little"))
    output.write(content)
    output.flush()


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout.buffer)
