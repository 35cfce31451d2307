"""open_live_source: the name of a camera, network stream, pipe or growing file -> a source."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from evdet.events.dtypes import RecordingError
from evdet.events.live.byte_sources import BinaryStream, ByteSource, FollowedFile, Pipe
from evdet.events.live.cameras import open_camera
from evdet.events.live.dv_network import DvNetwork
from evdet.events.live.inputs import EventSource

__all__ = ["STANDARD_INPUT", "check_camera_name", "is_camera_name", "open_live_source"]

STANDARD_INPUT = "-"
"""The name of standard input."""
_CAMERA = "camera"
_NETWORK = "tcp://"


def is_camera_name(source: object) -> bool:
    """Whether a source is named as a camera or a network stream, and not as a file.

    These are `camera`, `camera:NAME` and `tcp://HOST:PORT`. A named pipe may be called `camera`.
    """
    if not isinstance(source, str):
        return False
    is_named = source == _CAMERA or source.lower().startswith((f"{_CAMERA}:", _NETWORK))
    return is_named and not Path(source).is_fifo()


def check_camera_name(source: str) -> None:
    """Check the name of a camera or network stream, before anything is opened.

    Raises:
        ValueError: it is incomplete, or could be a file.
    """
    if source.lower().startswith(_NETWORK):
        _host_and_port(source)
        return
    _, colon, choice = source.partition(":")
    if colon and not re.search(r"[A-Za-z0-9]", choice):
        raise ValueError(
            f"{source} names no camera: use camera for the only one, or camera:evk4 or "
            "camera:SERIAL for one of several"
        )
    if Path(source).exists():
        raise ValueError(
            f"{source} is a connected camera, and there is a file or folder of that name: use "
            f"./{source} for the file, or rename it"
        )


def open_live_source(
    source: Path | str | BinaryStream,
    *,
    follow: bool = False,
    idle_timeout: int | None = None,
) -> tuple[ByteSource | EventSource, str]:
    """Open a source of events that are still arriving.

    Args:
        source: `camera`, `camera:NAME`, `tcp://HOST:PORT`, "-" for standard input, a file, a named
            pipe, or a binary stream. A `Path` is always a file.
        follow: wait for more at the end of the file, for a file that is being written.
        idle_timeout: microseconds without new bytes after which `follow` ends; None waits
            forever.

    Returns:
        The source, and its name for messages.

    Raises:
        ValueError: the name is incomplete, or a value is out of range.
        RecordingError: the source cannot be opened.
    """
    if idle_timeout is not None and idle_timeout < 0:
        raise ValueError(f"idle_timeout must be 0 or more, got {idle_timeout} us")
    if isinstance(source, str) and is_camera_name(source):
        if follow:
            raise ValueError(f"cannot follow {source}: it is not a file (leave follow out)")
        return _open_camera(source)
    if isinstance(source, str | Path) and str(source) != STANDARD_INPUT:
        return _open_file(Path(source), follow=follow, idle_timeout=idle_timeout), str(source)
    name = "standard input" if isinstance(source, str | Path) else "stream"
    if follow:
        raise ValueError(f"cannot follow {name}: it is not a file (leave follow out)")
    return Pipe(None if isinstance(source, str | Path) else source, name), name


def _open_camera(source: str) -> tuple[ByteSource | EventSource, str]:
    check_camera_name(source)
    if source.lower().startswith(_NETWORK):
        network = DvNetwork(*_host_and_port(source))
        return network, network.name
    camera = open_camera(source.partition(":")[2] or None)
    return camera, str(camera.camera)


def _open_file(path: Path, *, follow: bool, idle_timeout: int | None) -> ByteSource:
    if follow:
        return FollowedFile(path, idle_timeout=None if idle_timeout is None else idle_timeout / 1e6)
    try:
        return Pipe(path.open("rb", buffering=0), str(path), closes=True)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror} (is the name right?)") from None


def _host_and_port(source: str) -> tuple[str, int]:
    """Host and port of a network stream.

    Raises:
        ValueError: they are incomplete.
    """
    refusal = ValueError(
        f"{source} must be tcp://, a host and a port from 1 to 65535, such as tcp://127.0.0.1:7777"
    )
    try:
        parts = urlsplit(source)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refusal from None
    if not host or not port or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise refusal
    return host, port
