"""AEDAT 2 files as jAER, cAER and its scripts write them."""

import contextlib
import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events import EVENT_DTYPE, ReadOptions, RecordingError, SensorSize, open_recording

START = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
DVS128 = (
    START
    + b"# HardwareInterface: DVS128-V1 0298\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
)
DAVIS = START + b"# AEChip: eu.seebetter.ini.chips.davis.%s\r\n"
SIZES = {
    b"DAVIS240A": SensorSize(180, 240),
    b"DAVIS240B": SensorSize(180, 240),
    b"DAVIS240C": SensorSize(180, 240),
    b"Davis346B": SensorSize(260, 346),
    b"Davis346blue": SensorSize(260, 346),
    b"Davis346cBSI": SensorSize(260, 346),
    b"Davis208Pixelparade": SensorSize(192, 208),
    b"Davis640": SensorSize(480, 640),
    b"Davis128": SensorSize(128, 128),
}


def some_events(num=500, *, width=128, height=128, start=0, step=300):
    rng = np.random.default_rng(0)
    events = np.zeros(num, EVENT_DTYPE)
    events["t"] = start + np.cumsum(rng.integers(0, step, num))
    events["x"], events["y"] = rng.integers(0, width, num), rng.integers(0, height, num)
    events["p"] = rng.integers(0, 2, num)
    return events


def dvs128_records(events):
    x, y, p = (events[name].astype(np.int64) for name in "xyp")
    return records_of((127 - x) << 1 | y << 8 | (1 - p), events["t"])


def davis_records(events):
    x, y, p = (events[name].astype(np.int64) for name in "xyp")
    return records_of(y << 22 | x << 12 | p << 11, events["t"])


def records_of(addresses, times):
    pairs = np.stack([np.asarray(addresses), np.asarray(times) % (1 << 32)], axis=1)
    return pairs.astype(">u4").tobytes()


def file_of(folder, *parts, name="a.aedat"):
    (folder / name).write_bytes(b"".join(parts))
    return folder / name


def read_all(recording):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *recording.blocks()])


@pytest.mark.parametrize("header", [DVS128, DAVIS % b"DAVIS240C", START])
def test_a_header_alone_has_no_events(tmp_path, header):
    recording = open_recording(file_of(tmp_path, header))
    assert len(read_all(recording)) == 0
    assert (len(recording), recording.format) == (0, "AEDAT 2")


def test_events_of_a_dvs128_are_read(tmp_path):
    events = some_events()
    recording = open_recording(file_of(tmp_path, DVS128, dvs128_records(events)))
    np.testing.assert_array_equal(read_all(recording), events)
    np.testing.assert_array_equal(read_all(pickle.loads(pickle.dumps(recording))), events)
    assert recording.size == SensorSize(128, 128)
    assert (recording.start, recording.end) == (events["t"][0], events["t"][-1])
    np.testing.assert_array_equal(
        recording.slice(10_000, 20_000),
        events[(events["t"] >= 10_000) & (events["t"] < 20_000)],
    )


@pytest.mark.parametrize("chip", SIZES)
def test_events_of_every_davis_are_read(tmp_path, chip):
    size = SIZES[chip]
    events = some_events(width=size.width, height=size.height)
    recording = open_recording(file_of(tmp_path, DAVIS % chip, davis_records(events)))
    np.testing.assert_array_equal(read_all(recording), events)
    assert (recording.size, recording.size_source) == (size, "as stated in the file")


@pytest.mark.parametrize("extra", [0x8000_0000, 0xFFFF_FC00, 0x8000_0400, 0x0000_0400, 0x0AAA_A400])
def test_samples_of_pictures_and_motion_and_external_events_are_passed_over(tmp_path, extra):
    events = some_events(100)
    records = np.frombuffer(davis_records(events), ">u4").reshape(-1, 2)
    mixed = np.repeat(records, 2, axis=0)
    mixed[1::2, 0] = extra
    recording = open_recording(file_of(tmp_path, DAVIS % b"DAVIS240C", mixed.tobytes()))
    np.testing.assert_array_equal(read_all(recording), events)


def test_external_events_of_a_dvs128_are_passed_over(tmp_path):
    content = dvs128_records(some_events(10)) + records_of([0x8000], [10_000])
    assert len(read_all(open_recording(file_of(tmp_path, DVS128, content)))) == 10


@pytest.mark.parametrize("start", [0, (1 << 31) - 20_000, (1 << 32) - 20_000])
@pytest.mark.parametrize("block", [7, 1 << 16])
def test_the_clock_of_32_bits_is_unwrapped(tmp_path, monkeypatch, start, block):
    monkeypatch.setattr("evdet.events.aedat.aedat2._BLOCK", block)
    events = some_events(start=start)
    recording = open_recording(file_of(tmp_path, DVS128, dvs128_records(events)))
    np.testing.assert_array_equal(read_all(recording), events)


def test_a_step_back_over_a_wrap_is_a_step_back(tmp_path):
    events = some_events(5, start=(1 << 32) - 10)
    events["t"] = (1 << 32) + np.array([-10, 3, -4, 5, 900])
    recording = open_recording(file_of(tmp_path, DVS128, dvs128_records(events)))
    np.testing.assert_array_equal(read_all(recording), events)


@pytest.mark.parametrize(
    "end",
    [
        b"#End Of ASCII Header\r\n",
        b'#   <entry key="a" value="b"/>\r\n',
        b"# \xb5s, \xc3\xa9\r\n",
        b"",
    ],
)
@pytest.mark.parametrize("row", [140, 141, 143])
def test_an_event_that_begins_like_a_line_is_an_event(tmp_path, end, row):
    """The rows 140 to 143 of a DAVIS begin with the byte of #."""
    events = some_events(300, width=240, height=1)
    events["y"], events["p"] = row, 0
    records = davis_records(events)
    assert records[:1] == b"#"
    recording = open_recording(file_of(tmp_path, DAVIS % b"DAVIS240C", end, records))
    np.testing.assert_array_equal(read_all(recording), events)


def test_without_a_named_chip_the_hardware_tells(tmp_path):
    events = some_events(width=240, height=180)
    header = START + b"# HardwareInterface: DAVIS FX2 84010032\r\n"
    recording = open_recording(file_of(tmp_path, header, davis_records(events)))
    np.testing.assert_array_equal(read_all(recording), events)
    assert recording.size_source == "from the events"


@pytest.mark.parametrize(("records", "width"), [(dvs128_records, 128), (davis_records, 240)])
def test_without_any_camera_the_addresses_tell(tmp_path, records, width):
    events = some_events(width=width)
    recording = open_recording(file_of(tmp_path, START, records(events)))
    np.testing.assert_array_equal(read_all(recording), events)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (START + b"# AEChip: org.chips.CochleaAMS1c\r\n", "of the chip 'CochleaAMS1c'"),
        (START + b"# AEChip: org.chips.DavisRGB640\r\n", "of the chip 'DavisRGB640'"),
        (START, "names no camera"),
    ],
)
def test_another_camera_is_refused_with_the_option(tmp_path, header, message):
    records = records_of(np.arange(100) * 7 + 0x12345, np.arange(100))
    path = file_of(tmp_path, header, records)
    with pytest.raises(RecordingError, match=f"{message}.*--format aedat2-davis"):
        open_recording(path)


def test_the_option_says_how_addresses_are_laid_out(tmp_path):
    events = some_events(width=240)
    header = START + b"# AEChip: my.own.Chip\r\n"
    path = file_of(tmp_path, header, davis_records(events))
    recording = open_recording(path, options=ReadOptions(format="aedat2-davis"))
    np.testing.assert_array_equal(read_all(recording), events)
    path = file_of(tmp_path, header, dvs128_records(some_events()))
    recording = open_recording(path, options=ReadOptions(format="aedat2-dvs128"))
    np.testing.assert_array_equal(read_all(recording), some_events())


def test_an_event_outside_the_named_sensor_is_damage(tmp_path):
    events = some_events(100, width=240)
    events["x"][60] = 240
    recording = open_recording(file_of(tmp_path, DAVIS % b"DAVIS240C", davis_records(events)))
    with pytest.raises(RecordingError, match="x=240"):
        read_all(recording)
    assert len(recording) == 60


def test_a_file_that_ends_within_a_record_is_read_with_a_warning(tmp_path, caplog):
    events = some_events()
    path = file_of(tmp_path, DVS128, dvs128_records(events), b"\x00\x01\x02")
    np.testing.assert_array_equal(read_all(open_recording(path)), events)
    assert "ends within a record" in caplog.text
    with pytest.raises(RecordingError, match="ends within a record"):
        read_all(open_recording(path, strict=True))


@given(junk=st.binary(max_size=200))
@pytest.mark.parametrize("header", [DVS128, DAVIS % b"Davis640"])
def test_any_bytes_behind_a_header_end_well(tmp_path_factory, header, junk):
    path = file_of(tmp_path_factory.getbasetemp(), header, junk, name="junk.aedat")
    with contextlib.suppress(RecordingError):
        assert len(read_all(open_recording(path))) <= len(junk) // 8


REFERENCES = {
    "davis240c_translBoxes": (
        "09eb3a6328cd3fc6d319736b6d6e0278ed50df5fa7b89b1a016d57ad3ae769d9",
        (162771, 294976755, 297049406),
        SensorSize(180, 240),
    ),
    "dvs128_alex_walking_again": (
        "48762d025e8ac9786222d5a15828d0e0f1cdc8e04370698e90547a9d2e5f3f44",
        (19182, 41306606, 48193156),
        SensorSize(128, 128),
    ),
    "synthetic_TranslatingSquare": (
        "fff36de8a892d96661f992b6062c650567951c43e94e689f76871b774e2cc421",
        (16000, 50000, 5000000),
        SensorSize(170, 170),
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_real_recordings_give_the_reference_events(event_data, name):
    digest, numbers, size = REFERENCES[name]
    recording = open_recording(event_data / "aedat2" / f"{name}.aedat")
    assert hashlib.sha256(read_all(recording).tobytes()).hexdigest() == digest
    assert (len(recording), recording.start, recording.end) == numbers
    assert recording.size == size
