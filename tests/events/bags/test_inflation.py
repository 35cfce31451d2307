"""Compressed parts of bags that would become too large are refused before memory is made."""

import bz2
import re

import lz4.frame
import pytest
from rosbags.rosbag1 import Writer
from rosbags.rosbag2 import CompressionMode
from rosbags.rosbag2.storage_mcap import zstd

from bag_maker import EVENTS, array, only_file, write_ros1, write_ros2
from evdet.events import RecordingError, open_recording
from evdet.events.bags import inflation

TOPICS = {"/dvs": [array(EVENTS)]}
# What one array of events takes, and less.
MUCH, LITTLE = 1 << 20, 1000


def count(path):
    return sum(len(block) for block in open_recording(path).blocks())


@pytest.fixture(params=["bz2", "lz4", "message", "file", "mcap"])
def bag(request, tmp_path):
    if request.param in ("bz2", "lz4"):
        kind = Writer.CompressionFormat[request.param.upper()]
        return write_ros1(tmp_path / "a.bag", TOPICS, compression=kind)
    modes = {"mcap": "STORAGE"}
    mode = CompressionMode[modes.get(request.param, request.param.upper())]
    return write_ros2(tmp_path / "a", TOPICS, mcap=True, compression=mode)


def test_parts_within_the_limit_are_read(bag):
    assert count(bag) == len(EVENTS)


def test_parts_over_the_limit_are_refused(bag, monkeypatch):
    monkeypatch.setattr(inflation, "_MAX_INFLATED", LITTLE)
    monkeypatch.setattr(inflation, "_MAX_RATIO", 0)
    with pytest.raises(RecordingError, match=r"would become|states") as raised:
        count(bag)
    assert "Decompress it, if you trust it" in str(raised.value)


@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        (bz2.compress, lambda data: inflation._ros1(inflation._open_bz2)(data)),
        (lz4.frame.compress, lambda data: inflation._ros1(inflation._open_lz4)(data)),
        (lz4.frame.compress, lambda data: inflation._mcap(inflation._open_lz4)(data, MUCH)),
        (zstd.compress, lambda data: inflation._mcap(inflation._open_zstd)(data, MUCH)),
        (zstd.compress, inflation.inflate_message),
    ],
)
def test_a_part_is_inflated_up_to_the_limit(pack, unpack, monkeypatch):
    monkeypatch.setattr(inflation, "_MAX_INFLATED", MUCH)
    assert unpack(pack(bytes(MUCH))) == bytes(MUCH)
    with pytest.raises(ValueError, match="would become more than 1,048,576"):
        unpack(pack(bytes(MUCH + 1)))
    # Several streams in a row are one.
    with pytest.raises(ValueError, match="would become more than 1,048,576"):
        unpack(pack(bytes(MUCH)) + pack(b"1"))


def test_a_chunk_that_becomes_more_than_it_states_is_damaged(tmp_path):
    folder = write_ros2(tmp_path / "a", TOPICS, mcap=True, compression=CompressionMode.STORAGE)
    path = only_file(folder)
    content = path.read_bytes()
    begin = content.index(b"zstd") - 4 - 4 - 8  # after the checksum and the stated size
    stated = content[begin : begin + 8]
    assert content.count(stated) > 1  # in the index, too
    path.write_bytes(content.replace(stated, (100).to_bytes(8, "little")))
    with pytest.raises(RecordingError, match="would become more than 100"):
        count(path)


def test_metadata_that_stand_for_any_number_of_values_are_refused(tmp_path):
    folder = write_ros2(tmp_path / "a", TOPICS, mcap=True)
    metadata = folder / "metadata.yaml"
    lines = ["x0: &x0 [ha, ha]"]
    lines += [f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]" for i in range(1, 40)]
    name = re.compile(r"- .*\.mcap")
    metadata.write_text("\n".join([*lines, name.sub("- *x39", metadata.read_text())]))
    with pytest.raises(RecordingError, match=r"metadata.yaml: line 1 has an anchor"):
        count(folder)
