import itertools
import logging
import os
import signal
import socket
import threading
import time

import numpy as np
import pytest

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.frame_spec import FrameSpec
from evdet.sources import live_pictures
from evdet.sources.live_pictures import _CameraClock
from evdet.sources.opening import FrameStream, open_live_pictures
from picture_servers import (
    free_port,
    number_of,
    over_http,
    over_rtsp,
    picture,
    sending_udp,
    serving,
)

SPEC = FrameSpec(preprocess="none", delta_t=40_000, height=24, width=32, in_channels=3)


@pytest.fixture
def _quick(monkeypatch):
    monkeypatch.setattr(live_pictures, "_TIMEOUT", 0.5)


def open_http(port, **options):
    return open_live_pictures(f"http://127.0.0.1:{port}/video", SPEC, **options)


@pytest.mark.parametrize("numbers", [(), (3,)])
def test_a_server_without_a_stream_of_pictures_is_one_message(numbers):
    with (
        serving(over_http(numbers)) as port,
        pytest.raises(RecordingError, match=r"cannot open http://127.0.0.1:\d+/video: "),
    ):
        open_http(port)


def test_pictures_of_a_network_camera_become_frames(caplog):
    with serving(over_http(range(1, 15), period=0.1)) as port:
        stream = open_http(port)
        assert isinstance(stream, FrameStream)
        assert (stream.size, stream.frame_size) == (SensorSize(48, 64), SensorSize(24, 32))
        assert stream.num_frames is None
        frames = list(stream)
    numbers = [number_of(frame.picture) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert 2 <= len(numbers) <= 14
    assert frames[0].t >= 0
    assert all(frame.t - before.t == frame.delta_t for before, frame in itertools.pairwise(frames))
    assert all(frame.events is None and frame.frame.shape == (3, 24, 32) for frame in frames)
    assert all(time.monotonic() - frame.arrived < 60 for frame in frames)
    np.testing.assert_allclose(frames[0].picture, picture(numbers[0]), atol=3)
    assert f"http://127.0.0.1:{port}/video ended the connection" in caplog.text


def test_pictures_of_rtsp_become_frames():
    with serving(over_rtsp(itertools.count())) as port:
        stream = open_live_pictures(f"rtsp://127.0.0.1:{port}/stream", SPEC)
        frames = list(itertools.islice(stream, 4))
    assert len({frame.t for frame in frames}) == 4
    assert stream.size == SensorSize(48, 64)


def test_a_slow_detector_gets_the_newest_picture():
    with serving(over_http(range(60), period=0.03)) as port:
        stream = open_http(port)
        frames = iter(stream)
        first = next(frames)
        before, until = stream.num_skipped, time.monotonic() + 20
        while stream.num_skipped < before + 4 and time.monotonic() < until:
            time.sleep(0.02)
        late = next(frames)
        # Such a stream states no times: PyAV counts 25 pictures a second.
        assert late.t - first.t == late.delta_t >= 5 * stream.delta_t
        num_found = 2 + len(list(frames))
    assert num_found + stream.num_skipped <= 60


def test_pictures_of_udp_become_frames(caplog):
    port = free_port(socket.SOCK_DGRAM)
    with sending_udp(port):
        stream = open_live_pictures(f"udp://127.0.0.1:{port}", SPEC)
        frames = list(itertools.islice(stream, 4))
    assert len(frames) == 4
    assert stream.size == SensorSize(48, 64)


def test_a_camera_that_falls_silent_does_not_hang(monkeypatch):
    monkeypatch.setattr(live_pictures, "_TIMEOUT", 2.0)
    at_end = threading.Event()
    with serving(over_http(range(12), at_end=at_end)) as port:
        stream = open_http(port)
        began = time.monotonic()
        with pytest.raises(RecordingError, match=r"sends nothing for 2 s \(is it still on\?\)"):
            list(stream)
        assert time.monotonic() - began < 25  # at_end would be 30
        at_end.set()


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_does_not_answer_does_not_hang(scheme):
    with (
        serving(lambda connection: time.sleep(20)) as port,
        pytest.raises(RecordingError, match=r"cannot open .*: no answer within 0.5 s"),
    ):
        open_live_pictures(f"{scheme}://127.0.0.1:{port}/", SPEC)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_camera_that_is_off_is_one_message_without_the_password(scheme):
    with pytest.raises(RecordingError) as error:
        open_live_pictures(f"{scheme}://me:secret@127.0.0.1:1/x", SPEC)
    assert str(error.value) == (
        f"cannot open {scheme}://127.0.0.1:1/x: connection refused (is the camera on, and is the "
        "address right?)"
    )


def test_a_webcam_that_is_not_there_is_one_message():
    with pytest.raises(RecordingError, match=r"cannot open webcam 97: .*webcams here: ") as error:
        open_live_pictures("97", SPEC)
    assert "\n" not in str(error.value)


def test_a_detector_of_events_is_refused_before_the_camera_is_opened():
    spec = FrameSpec(preprocess="histogram", delta_t=1000, height=24, width=32, in_channels=2)
    with pytest.raises(ValueError, match="webcam 0 is a camera of pictures, and the detector was"):
        open_live_pictures("0", spec)


def test_ctrl_c_while_a_camera_is_silent_ends_it():
    at_end = threading.Event()
    with serving(over_http(range(12), at_end=at_end)) as port:
        stream = open_http(port)
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        assert len(list(stream)) > 0
        timer.join()
        at_end.set()


def test_stop_ends_the_iteration():
    with serving(over_http(range(200))) as port:
        stream = open_http(port)
        for number, _ in enumerate(stream):
            if number == 2:
                stream.stop()
        assert number == 2


def test_a_bound_that_cannot_be_held_is_said(caplog):
    caplog.set_level(logging.WARNING)
    with serving(over_http(range(20), period=0.05)) as port:
        for _ in open_http(port, max_age=50_000):
            time.sleep(0.1)
    assert "max_age 50 ms" in caplog.text


def test_times_go_on_where_a_camera_sets_its_clock():
    clock = _CameraClock(None, 40_000)
    assert clock.time_of(5_000_000, 10.0) == 0
    assert clock.time_of(5_040_000, 10.01) == 40_000
    assert clock.time_of(100, 10.05) == 80_000  # back
    assert clock.time_of(9_000_000_000, 10.09) == 120_000  # two hours ahead
    assert clock.time_of(None, 10.13) == 160_000
    assert clock.time_of(7, 10.13) == 160_001  # times increase strictly
