import io
import os

import pytest

from camera_stand_in import StandInCamera, connect
from evdet.events.dtypes import RecordingError
from evdet.events.live.byte_sources import FollowedFile, Pipe
from evdet.events.live.cameras import CameraBytes
from evdet.events.live.opening import check_camera_name, is_camera_name, open_live_source


@pytest.mark.parametrize(
    "name", ["", "-", "a.raw", "camera.raw", "./camera", "cameras", "0", "tcp"]
)
def test_other_names_are_not_those_of_cameras(name):
    assert not is_camera_name(name)


@pytest.mark.parametrize("name", ["camera", "camera:", "camera:evk4", "tcp://a:1", "TCP://a:1"])
def test_cameras_and_network_streams_are_named(name):
    assert is_camera_name(name)


def test_a_path_is_always_a_file(tmp_path):
    assert not is_camera_name(tmp_path / "camera")
    with pytest.raises(RecordingError, match=r"cannot read .*camera: No such file"):
        open_live_source(tmp_path / "camera")


@pytest.mark.parametrize("name", ["camera:", "camera: ", "camera:-"])
def test_an_empty_name_of_a_camera_is_refused(name):
    with pytest.raises(ValueError, match="names no camera: use camera for the only one"):
        check_camera_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("tcp://", "tcp://a", "tcp://:5", "tcp://a:", "tcp://a:0", "tcp://a:99999", "tcp://a:b"),
        *("tcp://a:1/stream", "tcp://a:1?x=2", "tcp://[::1", "tcp://a:-1"),
    ],
)
def test_an_incomplete_address_is_refused(name):
    with pytest.raises(ValueError, match=r"must be tcp://, a host and a port from 1 to 65535"):
        check_camera_name(name)


def test_a_file_of_the_same_name_is_not_read_in_silence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_camera_name("camera")
    (tmp_path / "camera").write_bytes(b"")
    with pytest.raises(ValueError, match=r"there is a file or folder of that name: use ./camera"):
        check_camera_name("camera")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_may_be_called_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("camera")
    assert not is_camera_name("camera")


def test_sources_are_opened_by_their_names(tmp_path, monkeypatch):
    connect(monkeypatch, StandInCamera("Prophesee EVK4", serial="A1"))
    source, name = open_live_source("camera:evk4")
    assert isinstance(source, CameraBytes)
    assert name == "Prophesee EVK4 (A1)"
    assert open_live_source("-")[1] == "standard input"
    source, name = open_live_source(io.BytesIO(b""))
    assert (type(source), name) == (Pipe, "stream")
    (tmp_path / "a.raw").write_bytes(b"")
    source, name = open_live_source(tmp_path / "a.raw", follow=True)
    assert (type(source), name) == (FollowedFile, str(tmp_path / "a.raw"))
    source.close()


@pytest.mark.parametrize("name", ["camera", "tcp://a:1", "-"])
def test_only_files_are_followed(name):
    with pytest.raises(ValueError, match="it is not a file"):
        open_live_source(name, follow=True)
