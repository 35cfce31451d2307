"""A short run of what `python tests/fuzz/run.py` does for long, and the files people give."""

import contextlib
import os
import signal
import sqlite3
import time

import fuzz_loop
import h5py
import numpy as np
import pytest
from fuzz_loop import Job, damage, exercise, fuzz, memory_bound
from fuzz_samples import FOREIGN, SAMPLES, events
from hypothesis import HealthCheck, example, given, settings, strategies as st

from evdet.events.dtypes import RecordingError
from evdet.events.files import ReadOptions
from evdet.events.recording import open_recording

OURS = [name for name in SAMPLES if name not in FOREIGN]
ALL = [*OURS, *(pytest.param(name, marks=pytest.mark.slow) for name in FOREIGN)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def files():
    """The valid files of each format, made once."""
    return {name: SAMPLES[name].make() for name in SAMPLES}


@pytest.mark.parametrize("name", ALL)
def test_undamaged_files_are_read_to_the_last_event(folder, files, name):
    times = [row[0] for row in events(300)]
    for number, content in enumerate(files[name]):
        path = folder / f"whole{number}{SAMPLES[name].suffix}"
        path.write_bytes(SAMPLES[name].wrap(content))
        assert exercise(path, SAMPLES[name].format) == "read"
        recording = open_recording(path, options=ReadOptions(format=SAMPLES[name].format))
        read = np.concatenate([np.zeros(0, np.int64), *(b["t"] for b in recording.blocks())])
        # Vectors are several events; files may begin anywhere on the camera's clock.
        distinct = np.unique(read - read[0]) if len(read) else read
        expected = np.unique(times)[: len(distinct)] - times[0]
        np.testing.assert_array_equal(distinct, expected)
        assert len(read) in (0, 100, 200, 300) or name in ("evt21", "evt3", "payload")


WHERE = st.floats(0, 1, exclude_max=True) | st.floats(0, 0.05)
DAMAGE = st.one_of(
    st.tuples(st.just("cut"), WHERE, st.none()),
    st.tuples(st.sampled_from(["flip", "remove", "repeat", "lines"]), WHERE, st.integers(0, 63)),
    st.tuples(st.sampled_from(["insert", "overwrite"]), WHERE, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("number"), WHERE, st.sampled_from([b"-1", b"0", b"9" * 20, b"1e400", b""])),
)


@pytest.mark.parametrize("name", OURS)
@given(st.data(), st.lists(DAMAGE, max_size=4))
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_read_or_refused(folder, files, name, data, kinds):
    suffix, _, wrap, format_name = SAMPLES[name]
    content = wrap(damage(data.draw(st.sampled_from(files[name])), kinds))
    path = folder / f"damaged{suffix}"
    path.write_bytes(content)
    assert exercise(path, format_name) in ("read", "damaged", "refused")


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_many_damaged_files_take_neither_long_nor_much_memory(files, name):
    suffix, _, wrap, format_name = SAMPLES[name]
    count = 20 if name in FOREIGN else 800
    outcome = fuzz(files[name], suffix, wrap=wrap, format_name=format_name, count=count, seed=1)
    assert not outcome.failures, outcome.failures[0].reason
    assert outcome.answers.total() == count
    assert outcome.answers["read"]
    assert outcome.answers["refused"] or outcome.answers["damaged"]


@pytest.mark.parametrize("name", OURS)
def test_a_file_that_is_cut_gives_what_lies_before(folder, files, name):
    """At every length: the events read are the first of the whole file."""
    suffix, _, wrap, format_name = SAMPLES[name]
    content = files[name][0]
    whole = folder / f"before{suffix}"
    whole.write_bytes(wrap(content))
    expected = readable(whole, format_name)
    for length in range(0, len(content), max(1, len(content) // 40)):
        path = folder / f"cut{suffix}"
        path.write_bytes(wrap(content[:length]))
        found = readable(path, format_name)
        if name in ("text", "dialects") and len(found):
            found = found[:-1]  # its last number may be cut and still be a number
        np.testing.assert_array_equal(found, expected[: len(found)])


def readable(path, format_name=None):
    """The events that can be read, before what is damaged."""
    events = []
    with contextlib.suppress(RecordingError):
        for block in open_recording(path, options=ReadOptions(format=format_name)).blocks():
            events += block.tolist()
    return events


@pytest.mark.parametrize("length", [2**33, 2**61])
@pytest.mark.parametrize("name", ["metavision", "dsec"])
def test_events_that_hdf5_claims_and_does_not_have_are_not_searched_for(
    folder, files, name, length
):
    path = folder / f"claimed{length}{SAMPLES[name].suffix}"
    path.write_bytes(files[name][0])
    with h5py.File(path, "r+") as file:
        paths = ["CD/events"] if name == "metavision" else [f"events/{c}" for c in "txyp"]
        for dataset in (file[path] for path in paths):
            dataset.resize((length,))
    began = time.perf_counter()
    assert exercise(path) in ("read", "damaged")
    assert time.perf_counter() - began < 5


# --- the loop itself -----------------------------------------------------------------------------


def test_the_same_seed_damages_in_the_same_way(tmp_path):
    job = Job(tmp_path, [bytes(range(256))] * 2, ".dat", bytes, 3)
    assert [job.make_file(n) for n in range(20)] == [job.make_file(n) for n in range(20)]
    assert len({job.make_file(n) for n in range(20)}) > 15


@given(st.binary(max_size=60), st.lists(DAMAGE, max_size=5))
@example(b"", [("lines", 0.0, 3), ("flip", 0.5, 1), ("cut", 0.0, None)])
def test_any_bytes_can_be_damaged_in_any_way(content, kinds):
    assert isinstance(damage(content, kinds), bytes)


def test_a_wrong_answer_a_crash_and_a_hang_are_found(monkeypatch):
    def exercise(path):
        content = path.read_bytes()
        if not path.name.startswith("original"):
            if content[:1] == b"k":
                os.kill(os.getpid(), signal.SIGKILL)
            if content[:1] == b"h":
                time.sleep(60)
            if content[:1] == b"m":
                np.ones(memory_bound(len(content)) + (8 << 20), np.uint8)
            if content[:1] == b"r":
                raise ZeroDivisionError("a decoder's mistake")
        return "read"

    monkeypatch.setattr(fuzz_loop, "exercise", exercise)
    monkeypatch.setattr(fuzz_loop, "SECONDS_PER_FILE", 0.5)
    monkeypatch.setattr(fuzz_loop, "draw_damage", lambda random: [])
    outcome = fuzz([b"k", b"h", b"m", b"r", b"fine"], ".dat", count=40, seed=2)
    reasons = {failure.content: failure.reason for failure in outcome.failures}
    assert "the process died (signal 9)" in reasons[b"k"]
    assert "no answer after" in reasons[b"h"]
    assert "MB for 1 bytes" in reasons[b"m"]
    assert "ZeroDivisionError" in reasons[b"r"]
    assert b"fine" not in reasons
    assert outcome.answers["read"]


# --- what people give instead --------------------------------------------------------------------


def read_all(path):
    return list(open_recording(path).blocks())


def refusal(path):
    with pytest.raises(RecordingError) as error:
        read_all(path)
    message = str(error.value)
    assert path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("head", "what", "remedy"),
    [
        (b"#ROSBAG V2.0\n", "rosbags, which reads ROS bags", "copied completely"),
        (b"\x89MCAP0\r\n", "rosbags, which reads ROS bags", "copied completely"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it"),
        (b"#!AER-DAT1.0\r\n", "an AEDAT 1 file", "Convert it to AEDAT4"),
        (b"#!AER-DAT3.0\r\n", "an AEDAT 3.0 file", "Convert it to AEDAT4"),
        (b"PK\x03\x04", "a zip archive", "Unpack it"),
        (b"\x1f\x8b\x08", "a gzip archive", "Unpack it"),
    ],
)
@pytest.mark.parametrize("suffix", [".aedat", ".bag", ".raw", ".dat"])
def test_files_of_other_programs_are_named_with_what_to_do(tmp_path, head, what, remedy, suffix):
    path = tmp_path / f"some{suffix}"
    path.write_bytes(head + bytes(range(256)) * 8)
    message = refusal(path)
    assert what in message
    assert remedy in message


def test_a_database_that_is_no_bag_is_named(tmp_path):
    path = tmp_path / "some.db3"
    with sqlite3.connect(path) as database:
        database.execute("create table messages (data blob)")
    database.close()
    assert "no ROS 2 bag" in refusal(path)


def test_a_folder_is_no_recording(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_a_missing_file_is_no_recording(tmp_path):
    assert "missing.raw" in refusal(tmp_path / "missing.raw")


@pytest.mark.parametrize("suffix", sorted({samples.suffix for samples in SAMPLES.values()}))
def test_an_empty_file_is_no_recording(tmp_path, suffix):
    path = tmp_path / f"some{suffix}"
    path.write_bytes(b"")
    assert "is empty" in refusal(path)


@pytest.mark.parametrize("suffix", [".dat", ".raw", ".h5", ".aedat4", ".es", ".npy", ".csv"])
def test_random_bytes_are_no_recording(tmp_path, suffix):
    path = tmp_path / f"some{suffix}"
    path.write_bytes(b"\xfe" + np.random.default_rng(0).bytes(4000))
    assert len(refusal(path)) > 20


@pytest.mark.parametrize(
    "header",
    [
        b"%",
        b"% ",
        b"%\n" * 50,
        b"% evt 9.0\n% end\n",
        b"% evt\n",
        b"% format EVT3;height=;width=\n% end\n",
        b"% evt 3.0\n% geometry 0x0\n% end\n",
        b"% evt 3.0\n% geometry -4x99999999999\n% end\n",
        b"% evt 3.0\n% geometry axb\n% end\n",
        b"% evt 2.0\n% system_ID \xff\xff\n% end\n",
        b"% Version x\n% Width 64\n% Height 48\n\x0c\x08",
        b"% Version 2\n% Width -64\n% Height 48\n\x0c\x08",
        b"% Version 2\n% Width 64\n% Height 99999999999999\n\x0c\x08",
        b"% Version 2\n% Width 64\n% Height 48\n\x63\x63",
        b"% Version 2\n% Width 64\n% Height 48\n",
        b"% Version 2\n% Width 64\n% Height 48\n\x0c",
    ],
)
@pytest.mark.parametrize("suffix", [".raw", ".dat"])
def test_a_header_of_garbage_is_refused_or_has_no_events(tmp_path, header, suffix):
    path = tmp_path / f"some{suffix}"
    path.write_bytes(header)
    assert exercise(path) in ("refused", "read")
    assert readable(path) == []


@pytest.mark.parametrize("name", ["dat", "evt2", "evt3", "npy", "dsec", "metavision"])
def test_the_content_counts_and_not_the_name(tmp_path, files, name):
    right, wrong = tmp_path / f"a{SAMPLES[name].suffix}", tmp_path / "b.bin"
    for path in (right, wrong):
        path.write_bytes(files[name][0])
    assert readable(wrong) == readable(right) != []
