import sys

import pytest

from evdet.sources.picture_cameras import check_picture_camera, is_picture_camera


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-",
        "000",
        "01",
        "100",
        "a.mp4",
        "0.png",
        "./0",
        "1234",
        "camera",
        "tcp://a:1",
        "file:///a.mp4",
        "٣",
        "-1",
    ],
)
def test_other_names_are_not_those_of_cameras(name):
    assert not is_picture_camera(name)


@pytest.mark.parametrize(
    "name", ["0", "12", "/dev/video0", "rtsp://a/x", "RTSP://a", "http://a", "udp://a:1", "srt://"]
)
def test_webcams_and_network_cameras_are_named(name):
    assert is_picture_camera(name)


@pytest.mark.parametrize(
    ("platform", "address", "kind"),
    [
        ("linux", "/dev/video2", "v4l2"),
        ("darwin", "2", "avfoundation"),
        ("win32", "2", "dshow"),
    ],
)
def test_a_number_is_a_webcam_of_the_system(monkeypatch, platform, address, kind):
    monkeypatch.setattr(sys, "platform", platform)
    assert check_picture_camera("2") == ("webcam 2", address, kind)


def test_a_file_of_the_same_name_is_not_read_in_silence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").mkdir()
    with pytest.raises(ValueError, match=r"0 is the number of a webcam, and there .*: use \./0"):
        check_picture_camera("0")
    assert check_picture_camera("1").name == "webcam 1"


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("rtsp://", "rtsp://192.168.1.20:554/stream"),
        ("http://", "http://192.168.1.20:8080/video"),
        ("udp://a", "udp://192.168.1.20:5000"),
        ("http://[::1", "http://192.168.1.20:8080/video"),
        ("rtsp://a:b/x", "rtsp://192.168.1.20:554/stream"),
    ],
)
def test_an_incomplete_address_is_refused(name, example):
    with pytest.raises(ValueError, match="is not a complete address: it must be like") as error:
        check_picture_camera(name)
    assert example in str(error.value)


@pytest.mark.parametrize(
    "name", ["rtsp://me:secret@a:1/x", "rtsp://me:se@cret@a:1/x", "udp://me:secret@a:5"]
)
def test_a_password_is_not_shown(name):
    camera = check_picture_camera(name)
    assert "cret" not in camera.name
    assert camera.address == name
