"""Bags of ROS 1 and ROS 2: the events of the chosen topic, in the sensor's time."""

import hashlib
import importlib.util
import logging
import pickle
import shutil
import sqlite3
from itertools import pairwise

import numpy as np
import pytest
from rosbags.rosbag1 import Writer
from rosbags.rosbag2 import CompressionMode

from bag_maker import (
    ARRAY_TYPE,
    EVENTS,
    PACKET_TYPE,
    array,
    evt3_payload,
    mono_payload,
    only_file,
    packet,
    write_ros1,
    write_ros2,
)
from evdet.events import (
    ReadOptions,
    RecordingError,
    SensorSize,
    StreamChoiceError,
    open_recording,
)

SIZE = SensorSize(48, 64)
WAYS = ("ros1", "sqlite", "mcap")


def write(folder, topics, way):
    """A bag of one file; a lone file for ROS 2 as well."""
    if way == "ros1":
        return write_ros1(folder / "drive.bag", topics)
    return only_file(write_ros2(folder / "drive", topics, mcap=way == "mcap"))


def events_of(path, **options):
    blocks = list(open_recording(path, options=ReadOptions(**options)).blocks())
    return [tuple(map(int, event)) for block in blocks for event in block]


def raised_by(path, kind=RecordingError, **options):
    with pytest.raises(kind) as raised:
        events_of(path, **options)
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("way", ["sqlite", "mcap"])
def test_a_topic_without_messages_has_no_events(tmp_path, way):
    folder = write_ros2(tmp_path / "drive", {}, mcap=way == "mcap", empty={"/dvs": ARRAY_TYPE})
    recording = open_recording(only_file(folder))
    assert (len(recording), recording.start, recording.duration) == (0, 0, 0)
    assert list(recording.blocks()) == []


def test_a_ros1_bag_without_messages_is_refused(tmp_path):
    path = write_ros1(tmp_path / "drive.bag", {})
    assert "no stream of events. Its topics: none" in raised_by(path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("package", ["dvs_msgs", "prophesee_event_msgs", "someones_msgs"])
def test_an_array_of_events_is_read_as_written(tmp_path, way, package):
    parts = [EVENTS[:1], [], EVENTS[1:3], EVENTS[3:]]
    topics = {"/dvs/events": [array(part, package=package) for part in parts]}
    path = write(tmp_path, topics, way)
    recording = open_recording(path)
    assert recording.size == SIZE
    assert recording.size_source == "as stated in the file"
    assert f"{package}/EventArray" in recording.format
    assert events_of(path) == EVENTS


@pytest.mark.parametrize("way", WAYS)
def test_arrays_of_any_length_are_read_as_written(tmp_path, way):
    # In CDR the places of the fields depend on how many events came before.
    rng = np.random.default_rng(1)
    num = 40 * 41 // 2
    times, places = np.arange(num), rng.integers(0, [64, 48, 2], (num, 3))
    events = [(int(t), *map(int, place)) for t, place in zip(times, places, strict=True)]
    starts = np.cumsum(range(41)).tolist()
    topics = {"/dvs/events": [array(events[a:b]) for a, b in pairwise(starts)]}
    assert events_of(write(tmp_path, topics, way)) == events


@pytest.mark.parametrize("way", WAYS)
def test_evt3_packets_are_one_stream_cut_anywhere(tmp_path, way):
    payload = evt3_payload(EVENTS)
    cuts = [0, 2, 6, 8, 8, 200, len(payload)]
    parts = [payload[a:b] for a, b in pairwise(cuts)]
    topics = {"/camera": [packet(part, seq=k) for k, part in enumerate(parts)]}
    path = write(tmp_path, topics, way)
    assert events_of(path) == EVENTS
    assert open_recording(path).format.endswith("/camera, event_camera_msgs/EventPacket (evt3)")


def test_the_clock_of_evt3_packets_is_unwrapped_over_the_whole_bag(tmp_path):
    events = [(t, 1, 2, 1) for t in range(0, 3 << 24, 1 << 22)]
    topics = {"/camera": [packet(evt3_payload([event])) for event in events]}
    assert events_of(write_ros1(tmp_path / "drive.bag", topics)) == events


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [PACKET_TYPE, "event_array_msgs/msg/EventArray"])
@pytest.mark.parametrize("big", [False, True])
def test_mono_packets_count_nanoseconds_from_their_time_base(tmp_path, way, name, big):
    parts = [EVENTS[:1], EVENTS[1:50], EVENTS[50:]]
    topics = {
        "/camera": [
            packet(
                mono_payload(part, time_base=part[0][0] * 1000, order="><"[not big]),
                encoding="mono",
                time_base=part[0][0] * 1000,
                big=big,
                name=name,
            )
            for part in parts
        ]
    }
    assert events_of(write(tmp_path, topics, way)) == EVENTS


def test_libcaer_packets_are_read_over_the_end_of_their_31_bits(tmp_path):
    # Bits of an event: valid, polarity, 15 of y, 15 of x; then 32 of time in microseconds.
    words = [(5 << 17 | 7 << 2 | 1 << 1 | 1, (1 << 31) - 2), (6 << 17 | 8 << 2 | 1, 3)]
    payload = np.array(words, "<u4").tobytes()
    bag = {"/dvs": [packet(payload, encoding="libcaer", time_base=5_000_000)]}
    path = write_ros1(tmp_path / "drive.bag", bag)
    first = (1 << 31) - 2 + 5000
    assert events_of(path) == [(first, 5, 7, 1), (first + 5, 6, 8, 0)]


def test_the_bags_own_times_are_not_the_events_times(tmp_path):
    # The writer's clock is in 2023; the sensor's starts at 0.
    path = write_ros1(tmp_path / "drive.bag", {"/camera": [packet(evt3_payload(EVENTS))]})
    assert open_recording(path).end == EVENTS[-1][0]


@pytest.mark.parametrize("way", WAYS)
def test_one_of_several_topics_must_be_chosen(tmp_path, way):
    topics = {"/left/events": [array(EVENTS[:50])], "/right/events": [array(EVENTS[50:])]}
    path = write(tmp_path, topics, way)
    assert "has 2 streams of events: /left/events, /right/events" in raised_by(
        path, StreamChoiceError
    )
    assert events_of(path, stream="/left/events") == EVENTS[:50]
    assert events_of(path, stream="/right/events") == EVENTS[50:]
    message = raised_by(path, StreamChoiceError, stream="/middle")
    assert "no stream '/middle' of events; it has /left/events, /right/events" in message


def test_the_chosen_topic_goes_with_the_file_into_other_processes(tmp_path):
    topics = {"/left": [array(EVENTS[:50])], "/right": [array(EVENTS[50:])]}
    path = write_ros1(tmp_path / "drive.bag", topics)
    recording = open_recording(path, options=ReadOptions(stream="/right"))
    assert len(pickle.loads(pickle.dumps(recording)).slice(0, 10**9)) == 50


def test_topics_of_other_types_and_of_triggers_are_no_streams(tmp_path):
    def text(store):
        return store.types["std_msgs/msg/String"](data="events encoding time_base")

    topics = {
        "/chatter": [("std_msgs/msg/String", text)],
        "/camera/trigger": [packet(b"\0" * 8, encoding="trigger")],
        "/camera/events": [packet(mono_payload(EVENTS), encoding="mono")],
    }
    assert events_of(write_ros1(tmp_path / "drive.bag", topics)) == EVENTS
    del topics["/camera/events"]
    assert "holds external triggers" in raised_by(write_ros1(tmp_path / "b.bag", topics))
    del topics["/camera/trigger"]
    message = raised_by(write_ros1(tmp_path / "c.bag", topics))
    assert "Its topics: /chatter (std_msgs/String) (supported: event_camera_msgs" in message


@pytest.mark.parametrize("mcap", [False, True])
def test_a_folder_with_metadata_is_a_bag(tmp_path, mcap):
    folder = write_ros2(tmp_path / "drive", {"/dvs": [array(EVENTS)]}, mcap=mcap)
    recording = open_recording(folder)
    assert (recording.name, recording.size) == ("drive", SIZE)
    assert recording.num_bytes > only_file(folder).stat().st_size
    assert events_of(folder) == EVENTS
    assert events_of(folder, format="rosbag") == EVENTS
    (folder / "metadata.yaml").unlink()
    assert "no ROS 2 bag with metadata.yaml" in raised_by(folder)


@pytest.mark.parametrize("mcap", [False, True])
def test_the_files_of_a_split_bag_are_one_stream(tmp_path, mcap):
    payload = evt3_payload(EVENTS)
    parts = [{"/c": [packet(part)]} for part in (payload[:202], payload[202:])]
    first, second = (
        write_ros2(tmp_path / name, part, mcap=mcap)
        for name, part in zip(("a", "b"), parts, strict=True)
    )
    added = only_file(second).rename(first / only_file(second).name)
    metadata = first / "metadata.yaml"
    name = only_file(first).name.replace("b.", "a.")
    listed = metadata.read_text().replace(f"  - {name}", f"  - {name}\n  - {added.name}", 1)
    metadata.write_text(listed)
    assert listed.count("  - b.") == 1
    assert events_of(first) == EVENTS


@pytest.mark.parametrize("mode", list(CompressionMode)[1:])
@pytest.mark.parametrize("mcap", [False, True])
def test_compressed_bags_are_read_by_their_folder(tmp_path, mode, mcap):
    if mode is CompressionMode.STORAGE and not mcap:
        pytest.skip("SQLite files are not compressed in themselves")
    topics = {"/dvs": [array(EVENTS[:9]), array(EVENTS[9:])]}
    folder = write_ros2(tmp_path / "drive", topics, mcap=mcap, compression=mode)
    assert events_of(folder) == EVENTS
    inside = next(path for path in folder.iterdir() if path.name != "metadata.yaml")
    if mode is CompressionMode.MESSAGE:
        assert "it is compressed: open the folder" in raised_by(inside)
    if mode is CompressionMode.FILE:
        assert "compressed with zstd" in raised_by(inside)


@pytest.mark.parametrize("compression", list(Writer.CompressionFormat))
def test_compressed_ros1_bags_are_read(tmp_path, compression):
    path = tmp_path / "drive.bag"
    assert events_of(write_ros1(path, {"/dvs": [array(EVENTS)]}, compression=compression)) == EVENTS


@pytest.mark.parametrize("way", WAYS)
def test_the_content_decides_and_not_the_name(tmp_path, way):
    path = write(tmp_path, {"/dvs": [array(EVENTS)]}, way)
    assert events_of(path.rename(tmp_path / "100% of #1?.raw")) == EVENTS


def test_a_sqlite_bag_without_definitions_is_read_by_the_types_names(tmp_path):
    # As ROS 2 Humble and older write them.
    for name, make in (array(EVENTS), packet(mono_payload(EVENTS), encoding="mono")):
        path = only_file(write_ros2(tmp_path / name.replace("/", "_"), {"/dvs": [(name, make)]}))
        with sqlite3.connect(path) as database:
            database.execute("DROP TABLE schema")
            database.execute("DROP TABLE message_definitions")
        database.close()
        assert events_of(path) == EVENTS


def test_polarities_other_than_on_and_off_are_refused(tmp_path):
    bag = {"/dvs": [array(EVENTS[:2]), array([*EVENTS[:3], (9999, 1, 1, 1)])]}
    path = write_ros1(tmp_path / "drive.bag", bag)
    last = (9_999_999).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(last + b"\1", last + b"\7"))
    assert "message 2 of /dvs cannot be decoded: an event has polarity 7" in raised_by(path)


def test_events_outside_the_stated_sensor_are_damage(tmp_path):
    path = write_ros1(tmp_path / "drive.bag", {"/dvs": [array([*EVENTS, (5000, 64, 0, 1)])]})
    assert "outside the sensor 64x48" in raised_by(path)


def test_a_sensor_that_is_not_stated_is_found_from_the_events(tmp_path):
    path = write_ros1(tmp_path / "drive.bag", {"/dvs": [array([(5, 9, 3, 1)], size=(0, 0))]})
    assert (open_recording(path).size, open_recording(path).size_source) == (
        SensorSize(4, 10),
        "from the events",
    )


def test_a_sensor_that_changes_its_size_is_refused(tmp_path):
    bag = {"/dvs": [array(EVENTS[:9]), array(EVENTS[9:], size=(50, 70))]}
    path = write_ros1(tmp_path / "drive.bag", bag)
    assert "70x50 (width x height) after 64x48" in raised_by(path)


@pytest.mark.parametrize("encoding", ["libcaer_cmp", "evt9", ""])
def test_an_encoding_that_is_not_decoded_is_named_when_the_bag_is_opened(tmp_path, encoding):
    path = write_ros1(tmp_path / "drive.bag", {"/camera": [packet(b"12345678", encoding=encoding)]})
    with pytest.raises(RecordingError, match=f"encoded as '{encoding}' .supported: evt3, mono"):
        open_recording(path)


def test_an_encoding_that_changes_is_refused(tmp_path):
    bag = {"/c": [packet(evt3_payload(EVENTS)), packet(b"12345678", encoding="mono")]}
    path = write_ros1(tmp_path / "drive.bag", bag)
    assert "message 2 of /c cannot be decoded: its encoding is 'mono' after 'evt3'" in raised_by(
        path
    )


@pytest.mark.parametrize(("encoding", "payload"), [("evt3", evt3_payload), ("mono", mono_payload)])
def test_events_before_a_truncated_packet_are_delivered(tmp_path, encoding, payload):
    whole, cut = payload(EVENTS[:50]), payload(EVENTS[50:])[:-1]
    bag = {"/c": [packet(part, encoding=encoding) for part in (whole, cut)]}
    recording = open_recording(write_ros1(tmp_path / "drive.bag", bag))
    blocks = recording.blocks()
    assert len(next(blocks)) == len(EVENTS) - 1 == len(recording)
    with pytest.raises(RecordingError, match=r"message 2 of /c.*end within a word"):
        next(blocks)


def test_lost_packets_are_counted_once(tmp_path, caplog):
    numbers = (4, 5, 9, 10)
    bag = {"/c": [packet(evt3_payload(EVENTS), seq=k) for k in numbers]}
    with caplog.at_level(logging.WARNING):
        events_of(write_ros1(tmp_path / "drive.bag", bag))
    assert [r.message for r in caplog.records if "3 packets of /c are missing" in r.message]


def test_a_bag_without_index_says_how_to_make_one(tmp_path):
    path = write_ros1(tmp_path / "drive.bag", {"/dvs": [array(EVENTS)]})
    content = bytearray(path.read_bytes())
    at = content.index(b"index_pos=") + len(b"index_pos=")
    content[at : at + 8] = bytes(8)
    path.write_bytes(content)
    assert "rosbag reindex" in raised_by(path)


def test_a_truncated_mcap_file_says_how_to_recover_it(tmp_path):
    path = write(tmp_path, {"/dvs": [array(EVENTS)]}, "mcap")
    path.write_bytes(path.read_bytes()[:-20])
    assert "mcap recover" in raised_by(path)


def test_an_mcap_file_of_ros1_is_refused_with_a_reason(tmp_path):
    path = write(tmp_path, {"/dvs": [array(EVENTS)]}, "mcap")
    path.write_bytes(path.read_bytes().replace(b"ros2", b"ros1", 1))
    assert "evdet reads those of ROS 2" in raised_by(path)


def test_a_database_that_is_no_bag_is_named(tmp_path):
    path = tmp_path / "notes.db3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE notes (text TEXT)")
    database.close()
    assert "no ROS 2 bag" in raised_by(path)


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_database_that_was_not_closed_is_not_read_in_part(tmp_path, ending):
    folder = write_ros2(tmp_path / "drive", {"/dvs": [array(EVENTS)]})
    path = only_file(folder)
    journal = path.with_name(path.name + ending)
    journal.touch()
    assert events_of(path) == EVENTS  # nothing is left to write
    journal.write_bytes(b"pages")
    for opened in (path, folder):
        assert "was not closed by its recorder" in raised_by(opened)


def test_a_bag_with_a_missing_file_is_refused(tmp_path):
    folder = write_ros2(tmp_path / "drive", {"/dvs": [array(EVENTS)]})
    only_file(folder).unlink()
    assert "Copy the whole folder" in raised_by(folder)


@pytest.mark.parametrize("way", WAYS)
def test_a_cut_bag_is_refused_or_read_to_the_damage(tmp_path, way):
    path = write(tmp_path, {"/dvs": [array(EVENTS[k : k + 5]) for k in range(95)]}, way)
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(content[: int(share * len(content))])
        raised_by(path)


def test_without_rosbags_the_message_names_the_extra(tmp_path, monkeypatch):
    path = write_ros1(tmp_path / "drive.bag", {"/dvs": [array(EVENTS)]})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'evdet[ros]'" in raised_by(path)


def test_options_that_bags_do_not_use_are_refused(tmp_path):
    path = write_ros1(tmp_path / "drive.bag", {"/dvs": [array(EVENTS)]})
    assert "no time unit to choose" in raised_by(path, time_unit="ms")
    text = tmp_path / "events.txt"
    text.write_text("1 2 3 1\n")
    assert "has no header of ROS bag" in raised_by(text, format="rosbag")


def test_a_real_bag_has_the_events_of_the_raw_file(event_data):
    # The digest of raw/vga_triggers_evt3.raw, decoded by OpenEB.
    recording = open_recording(event_data / "rosbag" / "event_packets_evt3_trigger_ros1.bag")
    digest = hashlib.sha256()
    for block in recording.blocks():
        digest.update(block.tobytes())
    expected = "8f580a5821831f61a13916be950140e5f188d25aa820cbb15c577d8689cfb819"
    assert (recording.size, digest.hexdigest()) == (SensorSize(480, 640), expected)


def test_a_real_bag_of_mono_has_the_sums_of_its_own_test(event_data, tmp_path):
    # event_camera_codecs' decoder_test.cpp: 4950000 ns, 34450, 26450, 50.
    path = tmp_path / "mono.db3"
    shutil.copy(event_data / "rosbag" / "mono_event_array_ros2.db3", path)
    events = np.concatenate(list(open_recording(path).blocks()))
    sums = [int(events[name].astype(np.int64).sum()) for name in "txyp"]
    assert sums == [4950, 34450, 26450, 50]
