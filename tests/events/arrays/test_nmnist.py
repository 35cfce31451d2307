"""Which files that end in .bin are recordings of N-MNIST and N-Caltech101."""

import json

import numpy as np
import pytest

from evdet.events import EVENT_DTYPE, ReadOptions, RecordingError, SensorSize, open_recording


def some_events(num=400, *, width=34, height=34):
    rng = np.random.default_rng(0)
    events = np.zeros(num, EVENT_DTYPE)
    events["t"] = np.cumsum(rng.integers(1, 400, num))
    events["x"], events["y"] = rng.integers(0, width, num), rng.integers(0, height, num)
    events["p"] = rng.integers(0, 2, num)
    return events


def records_of(events):
    t, p = events["t"], events["p"].astype(np.int64)
    parts = [events["x"], events["y"], p << 7 | t >> 16, t >> 8 & 255, t & 255]
    return np.stack(parts, axis=1).astype(np.uint8).tobytes()


def read_all(recording):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *recording.blocks()])


@pytest.mark.parametrize("num", [1, 5, 400])
def test_recordings_of_n_mnist_are_recognised(tmp_path, num):
    events = some_events(num)
    (tmp_path / "a.bin").write_bytes(records_of(events))
    recording = open_recording(tmp_path / "a.bin")
    np.testing.assert_array_equal(read_all(recording), events)
    assert (recording.format, recording.size) == ("N-MNIST", SensorSize(34, 34))


def test_recordings_of_n_caltech101_have_the_size_of_their_events(tmp_path):
    events = some_events(width=230, height=170)
    events["x"][7], events["y"][9] = 229, 169
    (tmp_path / "a.bin").write_bytes(records_of(events))
    recording = open_recording(tmp_path / "a.bin")
    np.testing.assert_array_equal(read_all(recording), events)
    assert (recording.format, recording.size) == ("N-Caltech101", SensorSize(170, 230))
    asked = open_recording(tmp_path / "a.bin", size=SensorSize(180, 240))
    np.testing.assert_array_equal(read_all(asked), events)
    assert asked.size == SensorSize(180, 240)


@pytest.mark.parametrize("dtype", ["<u4", "<u2", "<i8", ">u4"])
@pytest.mark.parametrize("order", ["txyp", "xypt"])
def test_records_of_other_tools_are_refused_with_the_option(tmp_path, dtype, order):
    events = some_events(width=120, height=90)
    table = np.stack([events[name].astype(dtype) for name in order], axis=1)
    (tmp_path / "a.bin").write_bytes(table.tobytes())
    with pytest.raises(RecordingError, match=r"not a recording of N-MNIST.*--format nmnist"):
        open_recording(tmp_path / "a.bin")


@pytest.mark.parametrize(
    "content", [bytes(1000), np.random.default_rng(0).bytes(1001), b"\x00\x01\x02", b"\xff" * 500]
)
def test_other_bytes_are_refused(tmp_path, content):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(RecordingError, match=r"a\.bin is not .*"):
        open_recording(tmp_path / "a.bin")


def test_the_option_reads_them_all_the_same(tmp_path):
    content = bytes(1000)
    (tmp_path / "a.bin").write_bytes(content)
    recording = open_recording(tmp_path / "a.bin", options=ReadOptions(format="nmnist"))
    assert len(read_all(recording)) == 200


def test_text_under_this_name_is_text(tmp_path):
    rows = "\n".join(f"{100 * i} {i % 9} {i % 7} {i % 2}" for i in range(50))
    (tmp_path / "a.bin").write_text(rows + "\n")
    assert len(read_all(open_recording(tmp_path / "a.bin"))) == 50
    (tmp_path / "b.bin").write_text(json.dumps({"not": "events"}))
    with pytest.raises(RecordingError):
        open_recording(tmp_path / "b.bin")


def test_an_event_outside_n_mnist_is_damage_and_not_another_sensor(tmp_path):
    events = some_events()
    events["x"][300] = 99
    (tmp_path / "a.bin").write_bytes(records_of(events))
    recording = open_recording(tmp_path / "a.bin")
    with pytest.raises(RecordingError, match="x=99"):
        read_all(recording)
    assert len(recording) == 400


def test_every_recording_of_n_mnist_is_recognised(event_data):
    for path in sorted((event_data / "nmnist").glob("*.bin")):
        assert open_recording(path).format == "N-MNIST"
