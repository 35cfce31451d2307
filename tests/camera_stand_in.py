"""A stand-in for neuromorphic_drivers: cameras that replay packets through its interface."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np

UNPLUGGED = RuntimeError("No such device (it may have been disconnected)")
POLARITY_DTYPE = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])


class Lost:
    """A packet before which others were lost, because the driver's buffer was full."""

    def __init__(self, packet):
        self.packet = packet


class StandInCamera:
    """What `list_devices` finds and `open` opens.

    Its packets are bytes or arrays, None where no data came in time, or an exception that the
    driver raises. After them it sends nothing.
    """

    def __init__(self, name, packets=(), *, serial="00001", size=(720, 1280), error=None):
        self.name, self.serial, self.size, self.error = name, serial, size, error
        self.packets = list(packets)
        self.is_closed = False


class _Device:
    def __init__(self, camera, raw, iterator_timeout):
        self._camera, self._raw, self._timeout = camera, raw, iterator_timeout
        self._packets = iter(camera.packets)

    def __iter__(self):
        return self

    def __next__(self):
        if self._camera.is_closed:
            raise RuntimeError("__next__ called after __exit__")
        found = next(self._packets, None)
        if isinstance(found, Exception):
            raise found
        is_lost = isinstance(found, Lost)
        packet = found.packet if is_lost else found
        ring = None if found is None else SimpleNamespace(backlog=0, dropped_packets=0)
        if self._raw:
            if ring is not None:
                ring.overflow_indices = [0] if is_lost else None
            assert packet is None or isinstance(packet, bytes)
        else:
            packet = SimpleNamespace(
                polarity_events=packet,
                polarity_events_overflow_indices=np.array([0]) if is_lost else None,
            )
        return SimpleNamespace(system_time=0.0, ring=ring), packet

    def properties(self):
        height, width = self._camera.size
        return SimpleNamespace(width=width, height=height)

    def close(self):
        self._camera.is_closed = True


class StandInDrivers(ModuleType):
    """The module; its functions have the parameters of the library's."""

    def __init__(self, cameras):
        super().__init__("neuromorphic_drivers")
        self.cameras = cameras

    def list_devices(self):
        return [
            SimpleNamespace(
                name=SimpleNamespace(value=camera.name),
                connection=SimpleNamespace(value="USB 3.0 SuperSpeed (5.0 Gb/s)"),
                address="1:2",
                serial=camera.serial,
                error=camera.error,
            )
            for camera in self.cameras
        ]

    def open(
        self,
        configuration=None,
        iterator_timeout=None,
        raw=False,
        serial=None,
        address=None,
        ring_configuration=None,
        iterator_maximum_raw_packets=64,
    ):
        found = [camera for camera in self.cameras if serial in (None, camera.serial)]
        if not found:
            raise RuntimeError(f"device with serial not found: {serial}")
        return _Device(found[0], raw, iterator_timeout)


def connect(monkeypatch, *cameras):
    """Let `import neuromorphic_drivers` find these cameras."""
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", StandInDrivers(cameras))


def evt3_words(path):
    """The words of an EVT3 file without its header, as a camera sends them."""
    content = path.read_bytes()
    return content[content.index(b"% end\n") + 6 :]


def polarity(events):
    """Events as the library decodes them."""
    found = np.zeros(len(events), POLARITY_DTYPE)
    for theirs, mine in (("t", "t"), ("x", "x"), ("y", "y"), ("on", "p")):
        found[theirs] = events[mine]
    return found
