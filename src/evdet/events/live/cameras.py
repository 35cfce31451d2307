"""Event cameras at this computer, through neuromorphic-drivers."""

import logging
import re
import threading
import time
from collections.abc import Sequence, Sized
from datetime import datetime
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.raw import evt3_header

__all__ = ["CameraBytes", "CameraEvents", "ConnectedCamera", "list_cameras", "open_camera"]

_log = logging.getLogger(__name__)

_TIMEOUT = 0.1  # seconds after which a camera without data lets `stop` end it
_SILENCE = 5.0  # seconds from the start without any data, before a warning
_LOG_PERIOD = 10.0  # seconds between two warnings
# What these send is EVT3 throughout; the others' own protocols are left to the library.
_SEND_EVT3 = ("Prophesee EVK3 HD", "Prophesee EVK4")
_ETHERNET = "Ethernet"
_NO_EVENTS = np.empty(0, EVENT_DTYPE)


class ConnectedCamera(NamedTuple):
    """A camera that the library finds."""

    name: str
    """Maker and model."""
    serial: str | None
    """Its serial number; None where it could not be asked for."""
    connection: str
    """Kind of connection, for display."""
    address: str
    """Where it is connected."""
    problem: str | None
    """Why it cannot be used; None without a problem."""

    def __str__(self) -> str:
        """Name and serial number."""
        return self.name if self.serial is None else f"{self.name} ({self.serial})"


def list_cameras() -> list[ConnectedCamera]:
    """List the connected cameras.

    Raises:
        RecordingError: the library is not installed, or cannot look for cameras.
    """
    try:
        devices = _library().list_devices()
    except RuntimeError as error:
        raise RecordingError(
            f"cannot look for cameras: {_reason(error)} (does this computer, or this container, "
            "have access to USB?)"
        ) from None
    return [
        ConnectedCamera(
            name=device.name.value,
            serial=device.serial,
            connection=device.connection.value,
            address=device.address,
            problem=device.error,
        )
        for device in devices
    ]


def open_camera(choice: str | None = None) -> "CameraBytes | CameraEvents":
    """Open a connected camera, with the library's default configuration for it.

    Args:
        choice: its serial number, or part of its name, such as evk4; None takes the only one.

    Returns:
        A source of bytes for cameras that send EVT3, of events for others.

    Raises:
        RecordingError: the library is not installed, no camera or several are found, or the camera
            cannot be opened.
    """
    camera = _choose(list_cameras(), choice)
    if camera.problem is not None:
        raise _not_opened(camera, camera.problem)
    sends_evt3 = camera.name in _SEND_EVT3
    by_address = camera.connection == _ETHERNET
    try:
        device = _library().open(
            raw=sends_evt3,
            iterator_timeout=_TIMEOUT,
            serial=None if by_address else camera.serial,
            address=camera.address if by_address else None,
        )
        stated = device.properties()
        size = SensorSize(height=int(stated.height), width=int(stated.width))
    except RuntimeError as error:
        raise _not_opened(camera, _reason(error)) from None
    packets = _Packets(device, camera)
    return CameraBytes(packets, size) if sends_evt3 else CameraEvents(packets, size)


class _Packets:
    """What a camera sends, packet by packet, and how often the driver lost some."""

    def __init__(self, device: Any, camera: ConnectedCamera) -> None:
        self.camera = camera
        self.num_overflows = 0
        self._device = device
        self._is_stopped = threading.Event()
        self._opened = time.monotonic()
        self._is_silent = True
        self._last_log = float("-inf")

    def next(self) -> Any:
        """Wait for the next packet; None at the end."""
        while not self._is_stopped.is_set():
            try:
                status, packet = next(self._device)
            except (RuntimeError, OSError) as error:
                raise RecordingError(
                    f"{self.camera} does not send any more: {_reason(error)} (was it unplugged?)"
                ) from None
            self._count(getattr(status.ring, "overflow_indices", None))
            self._count(getattr(packet, "polarity_events_overflow_indices", None))
            if packet is not None:
                self._is_silent = False
                return packet
            if self._is_silent and time.monotonic() - self._opened > _SILENCE:
                self._is_silent = False
                _log.warning("%s has sent nothing for %g s: is its lens covered?",
                             self.camera, _SILENCE)  # fmt: skip
        return None

    def stop(self) -> None:
        self._is_stopped.set()

    def close(self) -> None:
        self._device.close()

    def _count(self, overflows: Sized | None) -> None:
        """Count the places before which packets were lost."""
        if overflows is None or not len(overflows):
            return
        self.num_overflows += len(overflows)
        now = time.monotonic()
        if now - self._last_log >= _LOG_PERIOD:
            self._last_log = now
            _log.warning(
                "%s: the buffer of the driver was full, and events were lost (gaps so far: %d). "
                "This computer is too slow for what the camera sends: use biases that give fewer "
                "events, or a quieter scene",
                self.camera, self.num_overflows,
            )  # fmt: skip


class CameraBytes:
    """A camera that sends EVT3: a header of RAW, then its words; a `ByteSource`."""

    def __init__(self, packets: _Packets, size: SensorSize) -> None:
        self.camera = packets.camera
        self._packets = packets
        self._size = size
        self._has_begun = False

    @property
    def num_overflows(self) -> int:
        """How often packets were lost, because the buffer of the driver was full."""
        return self._packets.num_overflows

    def read(self) -> bytes:
        """Wait for the next bytes.

        Raises:
            RecordingError: the camera failed, or was unplugged.
        """
        if not self._has_begun:
            self._has_begun = True
            return evt3_header(self._size, date=datetime.now(), serial=self.camera.serial)
        packet = self._packets.next()
        return b"" if packet is None else bytes(packet)

    def stop(self) -> None:
        """End a `read` that waits."""
        self._packets.stop()

    def close(self) -> None:
        """Close the camera."""
        self._packets.close()


class CameraEvents:
    """A camera whose packets the library decodes; an `EventSource`."""

    def __init__(self, packets: _Packets, size: SensorSize) -> None:
        self.camera = packets.camera
        self.format = packets.camera.name
        self.size = size
        self._packets = packets

    @property
    def num_overflows(self) -> int:
        """How often packets were lost, because the buffer of the driver was full."""
        return self._packets.num_overflows

    def read(self) -> Events:
        """Wait for the next events.

        Raises:
            RecordingError: the camera failed, or was unplugged.
        """
        while True:
            packet = self._packets.next()
            if packet is None:
                return _NO_EVENTS
            # Others have only pictures, triggers or movements of the camera.
            found = packet.polarity_events
            if found is not None and len(found):
                return _to_events(found)

    def stop(self) -> None:
        """End a `read` that waits."""
        self._packets.stop()

    def close(self) -> None:
        """Close the camera."""
        self._packets.close()


def _to_events(found: Any) -> Events:
    events = np.empty(len(found), EVENT_DTYPE)
    for mine, theirs in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on")):
        events[mine] = found[theirs]
    return events


def _library() -> ModuleType:
    try:
        import neuromorphic_drivers
    except ImportError as error:
        raise RecordingError(
            "cannot use cameras: neuromorphic-drivers is not installed (pip install "
            "'evdet[camera]')"
        ) from error
    module: ModuleType = neuromorphic_drivers
    return module


def _choose(cameras: Sequence[ConnectedCamera], choice: str | None) -> ConnectedCamera:
    names = ", ".join(map(str, cameras))
    if not cameras:
        raise RecordingError(
            "no event camera is connected (is it plugged in, and does this user have access to "
            "it? On Linux: neuromorphic-drivers-install-udev-rules)"
        )
    found = list(cameras)
    if choice is not None:
        word = _plain(choice)
        found = [camera for camera in cameras if camera.serial == choice] or [
            camera for camera in cameras if word and word in _plain(camera.name)
        ]
    if not found:
        raise RecordingError(f"no connected camera is named {choice!r} (connected: {names})")
    if len(found) > 1:
        choices = " or ".join(f"camera:{word}" for word in _words_for(found, cameras))
        how = f": choose {choices}" if choices else ": unplug all but one"
        raise RecordingError(
            f"{len(found)} cameras are connected, {', '.join(map(str, found))}{how}"
        )
    return found[0]


def _words_for(found: Sequence[ConnectedCamera], cameras: Sequence[ConnectedCamera]) -> list[str]:
    """How the user can name each: by its model where that is enough, or by its serial number."""
    words = []
    for camera in found:
        model = re.sub(r"[^a-z0-9]", "", camera.name.partition(" ")[2].lower())
        is_unique = sum(model in _plain(other.name) for other in cameras) == 1
        word = model if is_unique else camera.serial
        if word is not None:
            words.append(word)
    return words


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _not_opened(camera: ConnectedCamera, problem: str) -> RecordingError:
    return RecordingError(
        f"cannot open {camera}: {problem.rstrip('.')} (does another program use it, and does this "
        "user have access to it? On Linux: neuromorphic-drivers-install-udev-rules)"
    )


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
