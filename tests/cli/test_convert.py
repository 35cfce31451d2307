import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from evdet.cli.convert import ConvertOptions, convert
from evdet.cli.options import ReadingOptions
from evdet.events import parse_size
from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.recording import open_recording

HEADER = b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08"
# A corner that moves to the right, and a pixel that fires by itself.
EVENTS = sorted(
    [(t * 200, (t // 40) % 60, 10 + t % 20, 1) for t in range(2000)]
    + [(t * 1000, 3, 40, 0) for t in range(400)]
)


def dat(events):
    records = (struct.pack("<II", t, x | y << 14 | p << 28) for t, x, y, p in events)
    return HEADER + b"".join(records)


def read(path):
    return [event for block in open_recording(path).blocks() for event in block.tolist()]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "drive_td.dat"
    path.write_bytes(dat(EVENTS))
    return path


def test_a_recording_is_written_and_measured(capsys, tmp_path, source):
    target = tmp_path / "drive.raw"
    convert(ConvertOptions(paths=(source, target)))
    assert read(target) == EVENTS
    said = capsys.readouterr().out
    assert "2,400 events of 2,400 read" in said
    assert f"{source.stat().st_size:,} bytes before, {target.stat().st_size:,} after" in said


def test_a_conversion_that_writes_no_event_says_so(caplog, tmp_path, source):
    convert(ConvertOptions(paths=(source, tmp_path / "gap.dat"), start=5e-5, duration=5e-5))
    assert "gap.dat has no events: the options remove all" in caplog.text
    nothing = tmp_path / "nothing_td.dat"
    nothing.write_bytes(HEADER)
    convert(ConvertOptions(paths=(nothing, tmp_path / "copy.dat")))
    assert f"copy.dat has no events: {nothing} has none" in caplog.text


def test_hot_pixels_and_noise_are_removed_and_counted(capsys, tmp_path, source):
    target = tmp_path / "clean.h5"
    convert(ConvertOptions(paths=(source, target), remove_hot_pixels=True))
    assert read(target) == [event for event in EVENTS if event[1:3] != (3, 40)]
    assert "400 removed: events of 1 hot pixel\n" in capsys.readouterr().out

    convert(ConvertOptions(paths=(source, target), background_filter=5000, force=True))
    kept = read(target)
    assert not any(event[1:3] == (3, 40) for event in kept)
    # The first event of the edge has no neighbour before it.
    assert 1900 < len(kept) < 2000


def test_seconds_cut_an_interval_out(tmp_path, source):
    target = tmp_path / "part.dat"
    convert(ConvertOptions(paths=(source, target), start=0.1, duration=0.1))
    assert read(target) == [event for event in EVENTS if 100_000 <= event[0] < 200_000]


def test_time_can_start_at_zero_and_the_size_be_given(tmp_path):
    source = tmp_path / "dated.csv"
    source.write_text("t,x,y,p\n1605537493718345,1,2,1\n1605537493718350,3,4,0\n")
    target = tmp_path / "dated.dat"
    convert(ConvertOptions(paths=(source, target), shift_time=True, sensor_size="346x260"))
    assert read(target) == [(0, 1, 2, 1), (5, 3, 4, 0)]
    assert open_recording(target).size == SensorSize(260, 346)


def test_of_a_damaged_file_the_rest_is_kept_and_the_place_named(capsys, tmp_path, source):
    source.write_bytes(source.read_bytes()[:-4] + b"\xff\xff\xff\x0f")
    target = tmp_path / "rest.raw"
    with pytest.raises(RecordingError, match=r"drive_td\.dat.*rest\.raw has the 2,399 events"):
        convert(ConvertOptions(paths=(source, target)))
    assert read(target) == EVENTS[:-1]
    assert "2,399 events of 2,399 read" in capsys.readouterr().out


def test_a_file_that_ends_within_an_event_is_written_with_a_warning(caplog, tmp_path, source):
    source.write_bytes(source.read_bytes()[:-5])
    convert(ConvertOptions(paths=(source, tmp_path / "rest.raw")))
    assert read(tmp_path / "rest.raw") == EVENTS[:-1]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= 30]
    assert f"{source} ends within event 2399" in warning
    strict = ReadingOptions(strict=True)
    with pytest.raises(RecordingError, match="ends within event 2399"):
        convert(ConvertOptions(paths=(source, tmp_path / "strict.raw"), reading=strict))


def test_an_existing_file_stays_unless_forced(tmp_path, source):
    target = tmp_path / "older.raw"
    target.write_bytes(b"older")
    with pytest.raises(ValueError, match=r"older\.raw"):
        convert(ConvertOptions(paths=(source, target)))
    assert target.read_bytes() == b"older"
    convert(ConvertOptions(paths=(source, target), force=True))
    assert read(target) == EVENTS


def test_a_recording_does_not_overwrite_itself(source):
    before = source.read_bytes()
    with pytest.raises(ValueError, match=r"drive_td\.dat"):
        convert(ConvertOptions(paths=(source, source), force=True))
    assert source.read_bytes() == before


def test_nothing_is_left_behind_by_a_failure(tmp_path):
    source = tmp_path / "negative.csv"
    source.write_text("t,x,y,p\n-5,1,2,1\n7,3,4,0\n")
    with pytest.raises(ValueError, match="-5"):
        convert(ConvertOptions(paths=(source, tmp_path / "out.dat")))
    assert [path.name for path in tmp_path.iterdir()] == ["negative.csv"]


@pytest.mark.parametrize("text", ["346", "346,260", "0x260", "-3x4", "axb", "99999999x2", ""])
def test_a_text_that_is_not_a_size_is_refused(text):
    with pytest.raises(ValueError, match="--sensor-size"):
        parse_size(text, name="--sensor-size")


def test_sizes_are_width_and_height():
    assert parse_size(" 346X260 ") == SensorSize(height=260, width=346)


@pytest.mark.parametrize("option", ["start", "duration"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e300, -1.0])
def test_values_that_are_not_times_are_refused(tmp_path, source, option, seconds):
    with pytest.raises(ValueError, match=f"--{option}"):
        convert(ConvertOptions(paths=(source, tmp_path / "out.dat"), **{option: seconds}))


def test_a_negative_filter_is_refused_and_0_disables_it(tmp_path, source):
    target = tmp_path / "out.dat"
    with pytest.raises(ValueError, match="--background-filter"):
        convert(ConvertOptions(paths=(source, target), background_filter=-1))
    convert(ConvertOptions(paths=(source, target), background_filter=0))
    assert read(target) == EVENTS


@pytest.mark.parametrize(
    "name",
    [
        "raw/sparklers_evt2.raw",
        "raw/evt3_sample.raw",
        "raw/vga_triggers_evt3.raw",
        "dat/sample_ncars.dat",
        "hdf5/evt3_sample_ecf.hdf5",
        "text/slider_depth_events_chunk.txt",
    ],
)
@pytest.mark.parametrize("suffix", [".dat", ".raw", ".h5"])
def test_real_recordings_keep_every_event(event_data, tmp_path, name, suffix):
    # A copy: the index of a RAW file is kept beside it.
    copy = Path(shutil.copy(event_data / name, tmp_path))
    source, target = open_recording(copy), tmp_path / f"out{suffix}"
    convert(ConvertOptions(paths=(source.path, target)))
    before = np.concatenate(list(source.blocks()))
    after = np.concatenate(list(open_recording(target).blocks()))
    if suffix == ".h5":  # its index wants them in order of time
        before = before[np.argsort(before["t"], kind="stable")]
    np.testing.assert_array_equal(after, before)
    assert open_recording(target).size == source.size
