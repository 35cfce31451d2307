"""Bytes of files that change while they are read."""

import os

import numpy as np
import pytest

from evdet.events import RecordingError
from evdet.events.files import FileBytes


def test_an_empty_file_has_no_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    assert len(FileBytes(tmp_path / "a")) == 0
    assert FileBytes(tmp_path / "a").read(0, 10) == b""


def test_bytes_are_read_by_position_up_to_the_end(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    content = FileBytes(tmp_path / "a")
    assert [content.read(2, 3), content.read(8, 9), content.read(20, 1)] == [b"234", b"89", b""]
    with content.opened() as opened:
        room = np.zeros(4, np.uint8)
        assert opened.read_into(8, room) == 2
        assert bytes(room[:2]) == b"89"


def test_without_preadv_the_same_bytes_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    (tmp_path / "a").write_bytes(b"0123456789")
    assert FileBytes(tmp_path / "a").read(2, 30) == b"23456789"


def test_a_truncated_file_is_named_with_both_lengths(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    content = FileBytes(tmp_path / "a")
    os.truncate(tmp_path / "a", 40)
    with content.opened() as opened:
        assert len(opened.read_left(30, 30)) == 10
        with pytest.raises(RecordingError, match="truncated from 100 to 40 bytes"):
            opened.read(30, 30)
    assert len(content.read(0, 40)) == 40


def test_bytes_that_were_added_are_not_read(tmp_path):
    (tmp_path / "a").write_bytes(bytes(10))
    content = FileBytes(tmp_path / "a")
    (tmp_path / "a").write_bytes(bytes(20))
    assert len(content.read(0, 100)) == 10


def test_another_file_of_the_same_name_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(bytes(10))
    content = FileBytes(tmp_path / "a")
    (tmp_path / "b").write_bytes(bytes(10))
    (tmp_path / "b").replace(tmp_path / "a")
    with pytest.raises(RecordingError, match="replaced by another file"):
        content.read(0, 1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r"cannot read .*none: No such file"):
        FileBytes(tmp_path / "none")
