import hashlib
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK, ReadOptions
from evdet.events.readers import READERS
from evdet.events.recording import Recording, open_recording

# Reference decodes that are not of this project: the data's own README lists them.
ENTRY = re.compile(r"### (\S+)\n(.*?)(?=\n### |\Z)", re.DOTALL)
DIGEST = re.compile(r"events digest: (\w+)")


def events_at(*times, x=0, y=0):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"], events["y"] = times, x, y
    return events


class Blocks:
    """A file that can only be read from its start, as the decoders of others can."""

    def __init__(self, path, *blocks, size=None, error=None):
        self.path, self.format, self.stated_size = path, "blocks", size
        self._blocks, self._error = blocks, error
        events = np.concatenate(blocks) if blocks else events_at()
        self.num_events, self.num_dropped = len(events), 0
        self.start = int(events["t"].min()) if len(events) else None
        self.end = int(events["t"].max()) if len(events) else None
        self.time_origin, self.incomplete_end = self.start, ""

    def blocks(self, since=None):
        yield from (block.copy() for block in self._blocks)
        if self._error:
            raise RecordingError(self._error)


class Seekable(Blocks):
    def between(self, first, end):
        events = np.concatenate([events_at(), *self._blocks])
        if self._error and end > self.end:
            raise RecordingError(self._error)
        return events[(events["t"] >= first) & (events["t"] < end)]


@pytest.fixture(params=[Blocks, Seekable])
def kind(request):
    return request.param


def saved(path, events):
    np.save(path, events)
    return path


def test_a_recording_without_events_has_no_slices(tmp_path, kind):
    recording = Recording(kind(tmp_path / "a.dat"), size=SensorSize(4, 5))
    assert len(recording) == 0
    assert (recording.start, recording.end, recording.duration) == (0, 0, 0)
    assert list(recording.slices(10)) == []
    assert list(recording.slices_by_count(10)) == []
    assert len(recording.slice(0, 10)) == 0
    assert "0 events" in str(recording)


def test_slices_lie_on_the_grid_from_the_first_event_to_the_last(tmp_path, kind):
    recording = Recording(kind(tmp_path / "a.dat", events_at(25, 29), events_at(61)))
    assert [(b.start, len(b.events)) for b in recording.slices(10)] == [
        (20, 2), (30, 0), (40, 0), (50, 0), (60, 1)
    ]  # fmt: skip


def test_slices_from_a_time_on_are_the_last_of_all_slices(tmp_path, kind):
    recording = Recording(kind(tmp_path / "a.dat", events_at(25, 29), events_at(61)))
    assert [(b.start, len(b.events)) for b in recording.slices(10, since=44)] == [
        (40, 0), (50, 0), (60, 1)
    ]  # fmt: skip


def test_a_slice_has_the_events_of_its_time_in_order(tmp_path, kind):
    recording = Recording(kind(tmp_path / "a.dat", events_at(25, 29, 27), events_at(31, 26)))
    assert recording.slice(26, 31)["t"].tolist() == [26, 27, 29]
    assert len(recording.slice(30, 30)) == 0
    with pytest.raises(ValueError, match="must not end before it starts"):
        recording.slice(5, 4)


def test_steps_back_are_sorted_counted_and_warned_of_once(tmp_path, kind, caplog):
    recording = Recording(kind(tmp_path / "a.dat", events_at(25, 29, 27, 38), events_at(36, 50)))
    found = [b.events["t"].tolist() for b in recording.slices(10)]
    assert found == [[25, 27, 29], [36, 38], [], [50]]
    assert recording.num_steps_back == 2
    assert [r.getMessage() for r in caplog.records if "steps back" in r.getMessage()] == [
        f"{tmp_path / 'a.dat'}: time steps back, first by 2 us; events are sorted within their bin"
    ]


def test_strict_stops_at_a_step_back(tmp_path, kind):
    recording = Recording(kind(tmp_path / "a.dat", events_at(25, 29, 27)), strict=True)
    bins = recording.slices(10)
    assert next(bins).events["t"].tolist() == [25, 29]
    with pytest.raises(RecordingError, match="steps back by 2 us"):
        next(bins)


def test_what_lies_before_the_damage_is_delivered(tmp_path, kind):
    file = kind(tmp_path / "a.dat", events_at(5, 12), events_at(33), error="broken at byte 9")
    bins = Recording(file).slices(10)
    assert [next(bins).events["t"].tolist() for _ in range(4)] == [[5], [12], [], [33]]
    with pytest.raises(RecordingError, match="broken at byte 9"):
        next(bins)


def test_windows_have_a_fixed_number_of_events(tmp_path, kind):
    recording = Recording(kind(tmp_path / "a.dat", events_at(5, 12), events_at(33)))
    assert [b[:2] for b in recording.slices_by_count(2)] == [(5, 8), (33, 1)]
    with pytest.raises(ValueError, match="num_events must be at least 1, got 0"):
        recording.slices_by_count(0)


def test_time_can_count_from_the_start(tmp_path, kind):
    recording = Recording(kind(tmp_path / "a.dat", events_at(1005, 1012)), shift_time=True)
    assert (recording.start, recording.end) == (0, 7)
    assert [b.events["t"].tolist() for b in recording.slices(10)] == [[0, 7]]
    assert recording.slice(1, 8)["t"].tolist() == [7]


def test_a_size_that_no_file_states_comes_from_the_events(tmp_path, kind, caplog):
    caplog.set_level(logging.INFO)
    recording = Recording(kind(tmp_path / "a.dat", events_at(5, 12, x=7, y=3)))
    assert recording.size == SensorSize(height=4, width=8)
    assert recording.size_source == "from the events"
    assert "8x4 (width x height), from the events" in caplog.text


def test_an_event_outside_the_size_asked_for_is_damage(tmp_path, kind):
    recording = Recording(kind(tmp_path / "a.dat", events_at(5, x=7)), size=SensorSize(9, 7))
    with pytest.raises(RecordingError, match=r"x=7, y=0, outside the sensor 7x9"):
        list(recording.slices(10))


def test_delta_t_must_be_positive(tmp_path, kind):
    with pytest.raises(ValueError, match="delta_t must be at least 1 microsecond, got 0"):
        Recording(kind(tmp_path / "a.dat")).slices(0)


def test_the_content_of_a_file_counts_and_not_its_suffix(tmp_path):
    path = saved(tmp_path / "a.npy", events_at(5, 9)).rename(tmp_path / "a.raw")
    assert open_recording(path).format == "npy"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "is empty"),
        (b"#!AER-DAT1.0\r\n", "AEDAT 1 file.*Convert it to AEDAT4"),
        (b"#!AER-DAT3.0\r\n", "AEDAT 3.0 file.*Convert it to AEDAT4"),
        (b"#ROSBAG V2.0\n", "which reads ROS bags, says: .*copied completely"),
        (b"SQLite format 3\0", "which reads ROS bags, says: .*copied completely"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd. Unpack it"),
        (b"PK\x03\x04rest", "zip archive. Unpack it"),
        (b"\x00\x01\x02\xff\xfe", "not a supported event recording"),
    ],
)
def test_what_is_no_recording_is_named_with_a_remedy(tmp_path, head, message):
    path = tmp_path / "drive.dat"
    path.write_bytes(head)
    with pytest.raises(RecordingError, match=message) as raised:
        open_recording(path)
    assert str(path) in str(raised.value)


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(RecordingError, match="is not a recording: it is a folder"):
        open_recording(tmp_path)
    with pytest.raises(RecordingError, match="No such file"):
        open_recording(tmp_path / "missing.raw")


def test_real_recordings_decode_to_the_events_of_the_references(event_data):
    entries = ENTRY.findall((event_data / "README.md").read_text())
    wanted = {name: DIGEST.search(body)[1] for name, body in entries if DIGEST.search(body)}
    assert len(wanted) > 20

    found = {}
    for name in wanted:
        digest = hashlib.sha256()
        for block in open_recording(event_data / name).blocks():
            digest.update(block.tobytes())
        found[name] = digest.hexdigest()

    assert found == wanted


@pytest.mark.parametrize(
    "name",
    [
        "raw/evt3_sample.raw",
        "raw/sparklers_evt2.raw",
        "raw/vga_triggers_evt3.raw",
        "hdf5/sparklers_evt2_ecf.hdf5",
        "hdf5/dvxplorer_lite_dsec_layout.h5",
        "dat/sparklers_openeb_cd.dat",
        "labelled/pedro/train/frame0013230.npy",
        "text/slider_depth_events_chunk.txt",
    ],
)
def test_seeking_in_real_recordings_finds_what_playing_them_finds(event_data, tmp_path, name):
    # A copy: seeking in a RAW file leaves its index beside it.
    path = Path(shutil.copy(event_data / name, tmp_path))
    recording = open_recording(path)
    delta_t = max(1000, recording.duration // 7)
    events = np.concatenate(list(recording.blocks()))
    events = events[np.argsort(events["t"], kind="stable")]

    bins = list(recording.slices(delta_t))
    np.testing.assert_array_equal(np.concatenate([b.events for b in bins]), events)
    for b in bins:
        seeked = recording.slice(b.start, b.start + delta_t)
        np.testing.assert_array_equal(seeked, b.events)
    late = list(recording.slices(delta_t, since=bins[-2].start))
    assert [len(b.events) for b in late] == [len(b.events) for b in bins[-2:]]


def test_every_format_has_a_reader():
    assert set(READERS) >= {"dat", "raw", "hdf5", "aedat4", "es", "npy", "text"}
    assert MAX_STEP_BACK > 0


CUT = {
    "a.raw": (
        b"% evt 3.0\n% geometry 64x48\n% end\n",
        np.array([0x8001, 0x6002, 3, 0x2007], "<u2"),
    ),
    "a.dat": (
        b"% Version 2\n% Width 64\n% Height 48\n\x0c\x08",
        np.array([4098, 7 | 3 << 14, 60_000, 8 | 3 << 14], "<u4"),
    ),
}


@pytest.fixture(params=CUT)
def cut(request, tmp_path):
    """A recording that ends within an event, as a camera leaves it that loses power."""
    header, words = CUT[request.param]
    path = tmp_path / request.param
    path.write_bytes(header + words.tobytes() + b"\x01")
    return path


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    "read",
    [
        lambda recording: list(recording.blocks()),
        lambda recording: [bin_.events for bin_ in recording.slices(50_000)],
        lambda recording: [bin_.events for bin_ in recording.slices_by_count(1)],
        lambda recording: [recording.slice(0, 100_000)],
    ],
)
def test_a_file_that_ends_within_an_event_is_read_with_one_warning(cut, read, caplog):
    recording = open_recording(cut)

    first = sum(map(len, read(recording)))
    again = sum(map(len, read(recording)))

    assert first == again == len(recording) > 0
    (warning,) = warnings_of(caplog)
    assert f"{cut} ends within" in warning
    assert open_recording(cut).incomplete_end in warning


@pytest.mark.parametrize(
    "read",
    [
        lambda recording: list(recording.blocks()),
        lambda recording: list(recording.slices(50_000)),
        lambda recording: list(recording.slices_by_count(1)),
        lambda recording: [recording.slice(0, 100_000)],
    ],
)
@pytest.mark.parametrize("how", [{"strict": True}, {"options": ReadOptions(strict=True)}])
def test_strict_refuses_a_file_that_ends_within_an_event(cut, read, how):
    with pytest.raises(RecordingError, match=r"ends within .* Copy it again.*--strict"):
        read(open_recording(cut, **how))


def test_a_part_far_from_an_incomplete_end_is_read_without_a_warning(tmp_path, caplog):
    path = tmp_path / "a.dat"
    path.write_bytes(CUT["a.dat"][0] + CUT["a.dat"][1].tobytes() + b"\x01")

    recording = open_recording(path, options=ReadOptions(strict=True))

    assert len(recording.slice(0, 10_000)) == 1
    assert not warnings_of(caplog)


@pytest.mark.parametrize("how", [{"reports_end": False}])
def test_a_caller_that_reports_an_incomplete_end_itself_gets_no_warning(cut, how, caplog):
    recording = open_recording(cut, **how)
    assert len(list(recording.blocks())) == 1
    assert "ends within" in recording.incomplete_end
    assert not warnings_of(caplog)


def test_damage_before_an_incomplete_end_stays_damage(tmp_path):
    header, _ = CUT["a.raw"]
    words = np.array([0x8001, 3, 0x2007, 0x2050], "<u2")  # the last one is outside the sensor
    (tmp_path / "a.raw").write_bytes(header + words.tobytes() + b"\x01")
    with pytest.raises(RecordingError, match="outside the sensor"):
        list(open_recording(tmp_path / "a.raw").blocks())


@pytest.mark.parametrize(
    "chosen", ["nmnist", "npy", "hdf5", "evt2", "aedat3", "es", "aedat2-davis"]
)
@pytest.mark.parametrize(
    "head",
    [
        b"#!AER-DAT4.0\r\n",
        b"Event Stream\x02\x00\x00",
        b"% evt 3.0\n% geometry 64x48\n% end\n",
        b"% Version 2\n% Width 64\n% Height 48\n\x0c\x08",
        b"#ROSBAG V2.0\n",
        b"PK\x03\x04",
    ],
)
def test_a_chosen_format_is_refused_where_the_file_states_another(tmp_path, head, chosen):
    if chosen == "es" and head.startswith(b"Event"):
        return
    path = tmp_path / "a.bin"
    path.write_bytes(head + bytes(1000))
    with pytest.raises(RecordingError, match=r"a\.bin"):
        open_recording(path, options=ReadOptions(format=chosen))
