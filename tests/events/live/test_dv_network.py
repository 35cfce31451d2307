import contextlib
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.live import dv_network
from evdet.events.live.dv_network import DvNetwork
from evdet.events.live.inputs import EventSource
from evdet.events.live.live_events import LiveEvents

SERVER = """
import sys, time
import dv_processing as dv
stream = dv.io.Stream.EventStream(0, "events", "DAVIS346_00001", (64, 48))
if sys.argv[2] == "frames":
    stream = dv.io.Stream.FrameStream(0, "frames", "DAVIS346_00001", (64, 48))
writer = dv.io.NetworkWriter("127.0.0.1", int(sys.argv[1]), stream)
print("listening", flush=True)
if sys.argv[2] == "frames":
    time.sleep(60)
sys.stdin.readline()
for part in range(20):
    events = dv.EventStore()
    start = 1_700_000_000_000_000 + 10_000 * part
    for i in range(100):
        events.push_back(start + 100 * i, i % 64, i % 48, i % 2 == 1)
    writer.writeEvents(events)
while writer.getQueuedPacketCount():
    time.sleep(0.01)
if sys.argv[2] == "stays":
    time.sleep(60)
time.sleep(0.2)
"""


@contextlib.contextmanager
def serving(kind):
    """A network writer of dv-processing in a process of its own: where it runs, and the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, str(port), kind]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"listening\n"
        yield port, server
    finally:
        server.kill()
        server.communicate()


@contextlib.contextmanager
def answering(answer):
    """A server that is none of dv-processing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for connection in kept:
            connection.close()


@pytest.fixture
def _quick(monkeypatch):
    """Refusals come before the library is used."""
    monkeypatch.setattr(dv_network, "_library", lambda name: SimpleNamespace())
    monkeypatch.setattr(dv_network, "_CONNECT_TIMEOUT", 0.2)


def test_without_the_library_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    with pytest.raises(RecordingError, match=r"tcp://a:1: dv-proc.*\(pip install 'evdet\[dv\]'\)"):
        DvNetwork("a", 1)


@pytest.mark.usefixtures("_quick")
def test_a_computer_that_does_not_listen_is_one_message():
    with pytest.raises(RecordingError, match=r"tcp://127.0.0.1:1: connection refused \(is its"):
        DvNetwork("127.0.0.1", 1)


@pytest.mark.usefixtures("_quick")
def test_a_computer_that_does_not_exist_is_one_message():
    with pytest.raises(RecordingError, match=r"cannot connect to tcp://host.invalid:1: "):
        DvNetwork("host.invalid", 1)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "it sends nothing"),
        (b"RTSP", "it begins with b'RTSP'"),
        (b"HTTP/1.1 400 Bad Request\r\n", "it begins with b'HTTP/1.1 400'"),
    ],
)
def test_a_server_of_another_kind_is_refused_and_does_not_hang(answer, said):
    with (
        answering(answer) as port,
        pytest.raises(RecordingError, match="is not a network") as error,
    ):
        DvNetwork("127.0.0.1", port)
    assert said in str(error.value)


@pytest.mark.slow
def test_events_of_a_writer_of_dv_processing_arrive():
    pytest.importorskip("dv_processing")
    with serving("ends") as (port, server):
        source = DvNetwork("127.0.0.1", port)
        assert isinstance(source, EventSource)
        assert source.size == SensorSize(48, 64)
        server.stdin.write(b"\n")
        server.stdin.flush()
        parts = []
        while len(part := source.read()):
            parts.append(part)
        source.close()
    events = np.concatenate(parts)
    index = np.arange(100)
    assert len(events) == 2000
    np.testing.assert_array_equal(events["t"][:100], 1_700_000_000_000_000 + 100 * index)
    np.testing.assert_array_equal(events["x"][:100], index % 64)
    np.testing.assert_array_equal(events["y"][:100], index % 48)
    np.testing.assert_array_equal(events["p"][:100], index % 2)


@pytest.mark.slow
def test_time_bins_close_by_the_clock_while_a_writer_sends_nothing():
    pytest.importorskip("dv_processing")
    with serving("stays") as (port, server):
        source = DvNetwork("localhost", port)
        live = LiveEvents(source, name="d", delta_t=10_000, max_delay=50_000, max_backlog=99)
        server.stdin.write(b"\n")
        server.stdin.flush()
        bins = live.slices()
        found = [next(bins) for _ in range(22)]
        began = time.monotonic()
        bins.close()
    assert time.monotonic() - began < 2
    assert [len(one.time_bin.events) for one in found] == [100] * 20 + [0] * 2
    assert found[0].time_bin.start == 1_700_000_000_000_000


@pytest.mark.slow
def test_a_killed_writer_ends_the_source():
    pytest.importorskip("dv_processing")
    with serving("stays") as (port, server):
        source = DvNetwork("127.0.0.1", port)
        server.kill()
        assert len(source.read()) == 0


@pytest.mark.slow
def test_a_writer_of_pictures_is_refused():
    pytest.importorskip("dv_processing")
    with serving("frames") as (port, _), pytest.raises(RecordingError, match="sends no events"):
        DvNetwork("127.0.0.1", port)
