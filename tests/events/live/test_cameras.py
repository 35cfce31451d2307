import inspect
import itertools
import sys
import time
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, strategies as st

from camera_stand_in import (
    UNPLUGGED,
    Lost,
    StandInCamera,
    StandInDrivers,
    connect,
    evt3_words,
    polarity,
)
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.live import cameras as cameras_module
from evdet.events.live.byte_sources import ByteSource
from evdet.events.live.cameras import list_cameras, open_camera
from evdet.events.live.inputs import EventSource, open_input
from evdet.events.live.live_events import LiveEvents
from evdet.events.raw.header import parse_evt_header
from evdet.events.raw.writer import write_evt3
from evdet.events.recording import open_recording

EVK4, EVK3 = "Prophesee EVK4", "Prophesee EVK3 HD"
DAVIS, DVX = "iniVation DAVIS 346", "iniVation DVXplorer"
SIZE = SensorSize(height=720, width=1280)


def some_events(num=2000, size=SIZE, last=60_000):
    rng = np.random.default_rng(0)
    events = np.zeros(num, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, last, num))
    events["x"], events["y"] = rng.integers(0, size.width, num), rng.integers(0, size.height, num)
    events["p"] = rng.integers(0, 2, num)
    return events


@pytest.fixture
def words(tmp_path):
    write_evt3(tmp_path / "a.raw", [some_events()], SIZE)
    return evt3_words(tmp_path / "a.raw")


def drain(source):
    """All events up to the error with which a stand-in ends."""
    received = open_input(source, name="camera")
    found = []

    def read():
        while received.wait():
            found.append(received.take())

    with pytest.raises(RecordingError) as error:
        read()
    source.close()
    return np.concatenate([np.zeros(0, EVENT_DTYPE), *found]), str(error.value)


def test_no_camera_is_one_message(monkeypatch):
    connect(monkeypatch)
    assert list_cameras() == []
    with pytest.raises(RecordingError, match=r"no event camera is connected .*udev"):
        open_camera()


def test_without_the_library_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", None)
    with pytest.raises(RecordingError, match=r"not installed \(pip install 'evdet\[camera\]'\)"):
        open_camera()


def test_a_computer_without_usb_is_one_message(monkeypatch):
    def refuse():
        raise RuntimeError("Other error")

    drivers = StandInDrivers([])
    drivers.list_devices = refuse
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", drivers)
    with pytest.raises(RecordingError, match=r"cannot look for cameras: Other error \(.*USB"):
        open_camera()


def test_one_of_several_cameras_must_be_chosen(monkeypatch):
    connect(monkeypatch, StandInCamera(EVK4, serial="A1"), StandInCamera(DAVIS, serial="B2"))
    with pytest.raises(
        RecordingError, match=r"2 cameras.*EVK4 \(A1\).*camera:evk4 or camera:davis"
    ):
        open_camera()
    for choice in ("evk4", "EVK4", "evk-4", "prophesee", "A1"):
        assert open_camera(choice).camera.name == EVK4
    for choice in ("davis", "davis346", "DAVIS 346", "B2"):
        assert open_camera(choice).camera.name == DAVIS


def test_two_cameras_of_a_kind_are_chosen_by_serial_number(monkeypatch):
    connect(monkeypatch, StandInCamera(EVK4, serial="A1"), StandInCamera(EVK4, serial="A2"))
    for choice in (None, "evk4"):
        with pytest.raises(RecordingError, match=r"choose camera:A1 or camera:A2$"):
            open_camera(choice)
    assert open_camera("A2").camera.serial == "A2"


def test_two_cameras_without_serial_numbers_cannot_be_told_apart(monkeypatch):
    connect(monkeypatch, *(StandInCamera(EVK4, serial=None) for _ in range(2)))
    with pytest.raises(RecordingError, match="unplug all but one"):
        open_camera()


@pytest.mark.parametrize("choice", ["xyz", "-", "evk5", "B"])
def test_a_camera_that_is_not_connected_is_named_with_those_that_are(monkeypatch, choice):
    connect(monkeypatch, StandInCamera(EVK4, serial="A1"))
    with pytest.raises(RecordingError, match=r"no connected camera is named .*\(connected: .*A1"):
        open_camera(choice)


def test_a_camera_without_access_says_so(monkeypatch):
    connect(monkeypatch, StandInCamera(EVK4, serial=None, error="Access denied"))
    with pytest.raises(RecordingError, match=r"cannot open Prophesee EVK4: Access denied \(.*udev"):
        open_camera()


def test_a_camera_that_another_program_uses_says_so(monkeypatch):
    drivers = StandInDrivers([StandInCamera(EVK4)])

    def refuse(**options):
        raise RuntimeError("the device is already used by another program")

    drivers.open = refuse
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", drivers)
    with pytest.raises(
        RecordingError, match=r"cannot open Prophesee EVK4 \(00001\): the device is"
    ):
        open_camera()


@pytest.mark.parametrize("name", [EVK3, EVK4])
def test_words_of_prophesee_are_decoded_by_evdet(monkeypatch, words, name):
    camera = StandInCamera(name, [words[:1000], None, words[1000:], UNPLUGGED])
    connect(monkeypatch, camera)
    source = open_camera()
    assert isinstance(source, ByteSource)
    assert not isinstance(source, EventSource)
    events, problem = drain(source)
    np.testing.assert_array_equal(events, some_events())
    assert problem == (
        f"{name} (00001) does not send any more: No such device (it may have been disconnected) "
        "(was it unplugged?)"
    )
    assert camera.is_closed


@given(st.lists(st.integers(1, 4000), max_size=6))
def test_events_do_not_depend_on_how_usb_splits_them(tmp_path_factory, places):
    path = tmp_path_factory.mktemp("a") / "a.raw"
    write_evt3(path, [some_events(300)], SIZE)
    sent = evt3_words(path)
    cuts = [0, *sorted(places), len(sent)]
    packets = [sent[a:b] for a, b in itertools.pairwise(cuts) if sent[a:b]]
    with pytest.MonkeyPatch.context() as monkeypatch:
        connect(monkeypatch, StandInCamera(EVK4, [*packets, UNPLUGGED]))
        events, _ = drain(open_camera())
    np.testing.assert_array_equal(events, some_events(300))


def test_a_stream_that_is_entered_in_the_middle_gives_the_events_from_there_on(monkeypatch, words):
    connect(monkeypatch, StandInCamera(EVK4, [words[len(words) // 2 & ~1 :], UNPLUGGED]))
    events, _ = drain(open_camera())
    assert 0 < len(events) < 2000
    np.testing.assert_array_equal(events[-500:], some_events()[-500:])


@pytest.mark.parametrize(("name", "size"), [(DAVIS, (260, 346)), (DVX, (480, 640))])
def test_events_of_inivation_come_as_the_library_decodes_them(monkeypatch, name, size):
    sent = some_events(500, SensorSize(*size))
    parts = [polarity(sent[:200]), None, polarity(sent[:0]), polarity(sent[200:]), UNPLUGGED]
    connect(monkeypatch, StandInCamera(name, parts, size=size))
    source = open_camera()
    assert isinstance(source, EventSource)
    assert (source.format, source.size) == (name, SensorSize(*size))
    events, _ = drain(source)
    np.testing.assert_array_equal(events, sent)


@pytest.mark.parametrize("name", [EVK4, DAVIS])
def test_lost_packets_are_counted_and_said(monkeypatch, caplog, words, name):
    sent = polarity(some_events(9, SensorSize(260, 346)))
    packet, size = (words, (720, 1280)) if name == EVK4 else (sent, (260, 346))
    packets = [packet[:4], Lost(packet[4:8]), Lost(packet[8:]), UNPLUGGED]
    connect(monkeypatch, StandInCamera(name, packets, size=size))
    source = open_camera()
    drain(source)
    assert source.num_overflows == 2
    assert len(caplog.records) == 1  # another in ten seconds
    assert "the buffer of the driver was full, and events were lost (gaps so far: 1)" in caplog.text


def test_a_silent_camera_is_said_once(monkeypatch, caplog):
    monkeypatch.setattr(cameras_module, "_SILENCE", 0.0)
    connect(monkeypatch, StandInCamera(EVK4, [None, None, None, UNPLUGGED]))
    drain(open_camera())
    assert [record.message for record in caplog.records] == [
        "Prophesee EVK4 (00001) has sent nothing for 0 s: is its lens covered?"
    ]


def test_time_bins_of_a_camera_are_those_of_its_recording(monkeypatch, words, tmp_path):
    camera = StandInCamera(EVK4, [words[:999], words[999:5000], words[5000:], UNPLUGGED])
    connect(monkeypatch, camera)
    live = LiveEvents(open_camera(), name="c", delta_t=10_000, max_backlog=None, max_delay=None)
    assert (live.size, live.format) == (SIZE, "EVT3")
    bins = []
    with pytest.raises(RecordingError, match="does not send any more"):
        bins.extend(live.slices())
    expected = list(open_recording(tmp_path / "a.raw").slices(delta_t=10_000))
    assert [found.time_bin.start for found in bins] == [one.start for one in expected]
    for found, one in zip(bins, expected, strict=True):
        np.testing.assert_array_equal(found.time_bin.events, one.events)
    assert camera.is_closed


def test_no_time_passes_after_a_camera_was_unplugged(monkeypatch, words):
    connect(monkeypatch, StandInCamera(EVK4, [words, UNPLUGGED]))
    live = LiveEvents(open_camera(), name="c", delta_t=10_000, max_backlog=None)
    bins = []

    def play():
        for one in live.slices():
            bins.append(one)
            time.sleep(0.1)  # as long as ten time bins

    with pytest.raises(RecordingError, match="does not send any more"):
        play()
    assert len(bins) == 6


def test_the_end_of_the_time_bins_closes_the_camera(monkeypatch, words):
    camera = StandInCamera(EVK4, [words])  # and then silence
    connect(monkeypatch, camera)
    live = LiveEvents(open_camera(), name="c", delta_t=10_000)
    bins = live.slices()
    next(bins)
    bins.close()
    assert camera.is_closed


def test_the_stand_in_has_the_interface_of_the_library():
    library = pytest.importorskip("neuromorphic_drivers")
    mine = inspect.signature(StandInDrivers([]).open).parameters
    assert set(mine) == set(inspect.signature(library.open).parameters)
    assert {one.name for one in fields(library.ListedDevice)} == {
        *("name", "connection", "address", "serial", "error")
    }
    names = {name.value for name in library.Name}
    assert {EVK3, EVK4, DAVIS, DVX} <= names
    assert cameras_module._SEND_EVT3 == (EVK3, EVK4)
    assert cameras_module._ETHERNET in {one.value for one in library.Connection}
    for packet in (library.Evt3Packet, library.Davis346Packet, library.DvxplorerPacket):
        assert {"polarity_events", "polarity_events_overflow_indices"} <= set(
            packet.__annotations__
        )
    from neuromorphic_drivers import status

    assert "overflow_indices" in {one.name for one in fields(status.RawRingStatus)}
    assert library.prophesee_evk4.Properties().width == 1280


@pytest.mark.parametrize("name", ["vga_triggers_evt3.raw", "evt3_sample.raw"])
def test_words_of_a_real_camera_pass_through_the_driver(monkeypatch, event_data, name):
    recording = open_recording(event_data / "raw" / name)
    sent = recording.path.read_bytes()[: 1 << 20]
    sent = sent[parse_evt_header(recording.path, sent).num_bytes :]
    packets = [sent[at : at + 4096] for at in range(0, len(sent), 4096)]
    connect(monkeypatch, StandInCamera(EVK4, [*packets, UNPLUGGED], size=recording.size))
    events, _ = drain(open_camera())
    first = np.concatenate([block for block, _ in zip(recording.blocks(), range(2), strict=False)])
    num = min(len(events), len(first))
    assert num > 1000
    np.testing.assert_array_equal(events[:num], first[:num])
