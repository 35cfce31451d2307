"""Pipes and devices are no files to read."""

import os
import socket

import pytest

from evdet.configs import find_config
from evdet.detectors import open_detector
from evdet.events import RecordingError, open_recording
from evdet.input_files import SpecialFileError, check_is_file
from evdet.labels import read_boxes, read_label_map

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "a.dat")
    return tmp_path / "a.dat"


def test_nothing_a_file_and_a_folder_pass(tmp_path):
    (tmp_path / "a").touch()
    for path in (tmp_path / "none", tmp_path / "a", tmp_path):
        check_is_file(path)


def test_pipes_devices_sockets_and_links_to_them_are_refused(tmp_path, pipe):
    (tmp_path / "link").symlink_to(pipe)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "s"))
        for path, kind in (
            (pipe, "named pipe"),
            (tmp_path / "link", "named pipe"),
            ("/dev/zero", "device"),
            (tmp_path / "s", "socket"),
        ):
            with pytest.raises(SpecialFileError, match=kind):
                check_is_file(path)


def test_no_reader_waits_for_a_pipe(tmp_path, pipe):
    with pytest.raises(RecordingError, match="named pipe"):
        open_recording(pipe)
    for read in (
        lambda path: read_boxes(path, {0: "a"}),
        read_label_map,
        lambda path: find_config(str(path)),
        open_detector,
    ):
        with pytest.raises(ValueError, match="named pipe"):
            read(pipe)
