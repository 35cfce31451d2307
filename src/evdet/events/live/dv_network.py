"""Events over the network, from the writers of dv-processing and the DV software."""

import contextlib
import socket
import threading
from types import ModuleType
from typing import Any

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize

__all__ = ["DvNetwork"]

_CONNECT_TIMEOUT = 5.0  # seconds
_POLL = 0.001  # seconds between two looks for events
# A stream begins with its description, a flatbuffer: its length, an offset, an identifier.
_NUM_START, _IDENTIFIER = 12, b"IOHE"
_NO_EVENTS = np.empty(0, EVENT_DTYPE)


class DvNetwork:
    """Events of one stream over TCP; an `EventSource`.

    Args:
        host: name or address of the computer that sends.
        port: its port.

    Raises:
        RecordingError: dv-processing is not installed, there is no connection, or what is sent is
            not a stream of events of dv-processing.
    """

    def __init__(self, host: str, port: int) -> None:
        self.format = "dv-processing"
        self.name = f"tcp://{host}:{port}"
        library = _library(self.name)
        address = _check_server(self.name, host, port)
        try:
            self._reader: Any = library.io.NetworkReader(address, port)
        except RuntimeError as error:
            raise RecordingError(f"cannot connect to {self.name}: {_first_line(error)}") from None
        stated = self._reader.getEventResolution()
        if stated is None or not self._reader.isEventStreamAvailable():
            raise RecordingError(
                f"{self.name} sends no events, but another kind of data: choose the port of its "
                "events"
            )
        width, height = stated
        self.size = SensorSize(height=int(height), width=int(width))
        self._is_stopped = threading.Event()

    def read(self) -> Events:
        """Wait for the next events.

        Raises:
            RecordingError: the connection failed.
        """
        while not self._is_stopped.is_set():
            try:
                # In this order: what came before the end is still read.
                is_running = self._reader.isRunning()
                batch = self._reader.getNextEventBatch()
            except RuntimeError as error:
                raise RecordingError(
                    f"cannot read {self.name} any further: {_first_line(error)}"
                ) from None
            if batch is not None and len(batch):
                return _to_events(batch.numpy())
            if not is_running:
                break
            if batch is None:
                self._is_stopped.wait(_POLL)
        return _NO_EVENTS

    def stop(self) -> None:
        """End a `read` that waits."""
        self._is_stopped.set()

    def close(self) -> None:
        """Close the connection."""
        self._reader = None


def _to_events(found: Any) -> Events:
    events = np.empty(len(found), EVENT_DTYPE)
    for mine, theirs in (("t", "timestamp"), ("x", "x"), ("y", "y"), ("p", "polarity")):
        events[mine] = found[theirs]
    return events


def _library(name: str) -> ModuleType:
    try:
        import dv_processing
    except ImportError as error:
        raise RecordingError(
            f"cannot read {name}: dv-processing is not installed (pip install 'evdet[dv]')"
        ) from error
    module: ModuleType = dv_processing
    return module


def _first_line(error: Exception) -> str:
    """The reason without the place in the library's code."""
    return str(error).splitlines()[0].partition(" [")[0] if str(error) else type(error).__name__


def _check_server(name: str, host: str, port: int) -> str:
    """Find the address of a server that speaks as dv-processing does.

    Its reader would wait forever for one that does not, and for names of hosts it has no use.
    """
    try:
        connection = socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT)
    except TimeoutError:
        raise RecordingError(
            f"cannot connect to {name}: no answer within {_CONNECT_TIMEOUT:g} s (is the computer "
            "on, and the port open in its firewall?)"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RecordingError(
            f"cannot connect to {name}: {reason} (is its sender running, and are host and port "
            "right?)"
        ) from None
    start = b""
    with connection, contextlib.suppress(OSError):
        address: str = connection.getpeername()[0]
        while len(start) < _NUM_START and (data := connection.recv(_NUM_START - len(start))):
            start += data
    if not start.endswith(_IDENTIFIER):
        said = f"it begins with {start!r}" if start else "it sends nothing"
        raise RecordingError(
            f"{name} is not a network writer of dv-processing: {said}. A camera of pictures has "
            "another protocol, such as rtsp:// or http://"
        )
    return address
