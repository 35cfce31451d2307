"""AEDAT4 and ES files: faery reads them, and nothing that it does ends this process."""

import contextlib
import hashlib
import importlib.util
import pickle
import random
import sys

import numpy as np
import pytest

from evdet.events import (
    EVENT_DTYPE,
    ReadOptions,
    RecordingError,
    SensorSize,
    StreamChoiceError,
)
from evdet.events.aedat.reader import open_aedat4, open_es

faery = pytest.importorskip("faery", reason="faery is not installed")
WIDTH, HEIGHT = 40, 30
OPENERS = {"aedat4": open_aedat4, "es": open_es}


def random_events(num_events, *, start=0):
    rng = np.random.default_rng(0)
    events = np.zeros(num_events, EVENT_DTYPE)
    events["t"] = start + np.sort(rng.integers(0, 10 * num_events + 1, num_events))
    events["x"] = rng.integers(0, WIDTH, num_events)
    events["y"] = rng.integers(0, HEIGHT, num_events)
    events["p"] = rng.integers(0, 2, num_events)
    return events


def write_es(path, events, kind="dvs"):
    with faery.es.Encoder(path, kind, False, (WIDTH, HEIGHT)) as encoder:
        if len(events):
            encoder.write(as_faery(events))
    return path


def write_aedat4(path, events, *, packet=1000, kind="EVTS"):
    """One stream, as faery itself would write it."""
    text = faery.aedat.DescriptionAttribute
    numbers = {"sizeX": text("int", WIDTH), "sizeY": text("int", HEIGHT)}
    stream = faery.aedat.DescriptionNode(
        "0", None, {"typeIdentifier": text("string", kind)},
        [faery.aedat.DescriptionNode("info", None, numbers, [])],
    )  # fmt: skip
    root = faery.aedat.DescriptionNode("outInfo", None, {}, [stream])
    with faery.aedat.Encoder(path, [root], faery.aedat.LZ4_DEFAULT) as encoder:
        for first in range(0, len(events), packet):
            encoder.write(0, as_faery(events[first : first + packet]))
    return path


def write_streams(path, *streams):
    """Several streams: (source, output, module, events) each."""
    text = faery.aedat.DescriptionAttribute
    nodes = []
    for number, (source, output, module, _) in enumerate(streams):
        info = {"sizeX": text("int", WIDTH), "sizeY": text("int", HEIGHT)}
        if source:
            info["source"] = text("string", source)
        attributes = {
            "typeIdentifier": text("string", "EVTS"),
            "originalOutputName": text("string", output),
            "originalModuleName": text("string", module),
        }
        inner = faery.aedat.DescriptionNode("info", None, info, [])
        nodes.append(faery.aedat.DescriptionNode(str(number), None, attributes, [inner]))
    root = faery.aedat.DescriptionNode("outInfo", None, {}, nodes)
    with faery.aedat.Encoder(path, [root], faery.aedat.LZ4_DEFAULT) as encoder:
        for number, (*_, events) in enumerate(streams):
            encoder.write(number, as_faery(events))
    return path


def as_faery(events):
    out = np.zeros(len(events), faery.EVENTS_DTYPE)
    for theirs, ours in zip(("t", "x", "y", "on"), "txyp", strict=True):
        out[theirs] = events[ours]
    return out


WRITERS = {"aedat4": write_aedat4, "es": write_es}


def read_all(file):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *file.blocks()])


@pytest.mark.parametrize("kind", OPENERS)
@pytest.mark.parametrize("num_events", [0, 1, 50_000])
def test_the_events_of_a_file_are_read(tmp_path, kind, num_events):
    events = random_events(num_events, start=0 if kind == "es" else 10**15)
    file = OPENERS[kind](WRITERS[kind](tmp_path / f"a.{kind}", events))

    np.testing.assert_array_equal(read_all(file), events)
    assert file.stated_size == SensorSize(HEIGHT, WIDTH)
    assert file.num_events == num_events
    assert file.start == (events["t"].min() if num_events else None)
    assert file.end == (events["t"].max() if num_events else None)


def test_a_reader_that_stops_early_leaves_no_process_behind(tmp_path):
    file = open_es(write_es(tmp_path / "a.es", random_events(200_000)))
    blocks = file.blocks()
    assert len(next(blocks))
    blocks.close()
    assert len(read_all(file)) == 200_000


def test_a_file_without_an_event_stream_is_refused(tmp_path):
    path = write_aedat4(tmp_path / "a.aedat4", [], kind="TRIG")
    with pytest.raises(RecordingError, match="no event stream; it has: triggers"):
        open_aedat4(path)


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        (("left", "events", "a"), ("right", "events", "a"), ["left", "right"]),
        (("DAVIS", "events", "a"), ("DAVIS", "filtered", "a"), ["events", "filtered"]),
        (("DAVIS", "events", "in"), ("DAVIS", "events", "out"), ["in", "out"]),
        (("DAVIS", "events", "a"), ("DAVIS", "events", "a"), ["0", "1"]),
        (("", "events", "a"), ("", "filtered", "a"), ["events", "filtered"]),
        (("left", "events", "a"), ("", "events", "a"), ["0", "1"]),
        (("1", "events", "a"), ("0", "events", "a"), ["0", "1"]),
    ],
)
def test_several_streams_are_named_and_chosen(tmp_path, first, second, names):
    one, two = random_events(100), random_events(70, start=10_000)
    path = write_streams(tmp_path / "a.aedat4", (*first, one), (*second, two))

    with pytest.raises(StreamChoiceError, match=f"--stream {names[0]}") as error:
        open_aedat4(path)

    assert error.value.streams == tuple(names)
    # The other one is read by its name; each reading starts a process.
    file = open_aedat4(path, ReadOptions(stream=names[1]))
    np.testing.assert_array_equal(read_all(file), two)


def test_a_stream_is_chosen_by_its_name_or_number(tmp_path):
    one, two = random_events(100), random_events(70, start=10_000)
    path = write_streams(
        tmp_path / "a.aedat4", ("left", "events", "a", one), ("right", "events", "a", two)
    )
    for wanted, events in (("left", one), ("0", one), ("right", two), ("1", two)):
        file = open_aedat4(path, ReadOptions(stream=wanted))
        np.testing.assert_array_equal(read_all(pickle.loads(pickle.dumps(file))), events)
    with pytest.raises(StreamChoiceError, match=r"no stream 'middle' .* it has left"):
        open_aedat4(path, ReadOptions(stream="middle"))


def test_of_one_stream_none_has_to_be_chosen(tmp_path):
    path = write_streams(tmp_path / "a.aedat4", ("left", "events", "a", random_events(9)))
    for wanted in (None, "left", "0"):
        assert len(read_all(open_aedat4(path, ReadOptions(stream=wanted)))) == 9
    with pytest.raises(StreamChoiceError, match="no stream 'right'"):
        open_aedat4(path, ReadOptions(stream="right"))


def test_generic_es_files_are_refused(tmp_path):
    with faery.es.Encoder(tmp_path / "a.es", "generic", False, None):
        pass
    with pytest.raises(RecordingError, match="type generic"):
        open_es(tmp_path / "a.es")


@pytest.mark.parametrize("content", [b"", b"#!AER-DAT4.0\r\n", b"Event Stream", b"hello"])
@pytest.mark.parametrize("kind", OPENERS)
def test_what_is_no_such_file_is_refused(tmp_path, kind, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"faery, which reads .*, says"):
        OPENERS[kind](path)


def test_what_lies_before_the_cut_is_delivered(tmp_path):
    events = random_events(30_000)
    path = write_aedat4(tmp_path / "a.aedat4", events)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])

    delivered, file = [], open_aedat4(path)
    with pytest.raises(RecordingError, match=r"a\.aedat4: faery"):
        delivered.extend(file.blocks())
    delivered = np.concatenate(delivered)
    assert len(delivered) > 10_000
    np.testing.assert_array_equal(delivered, events[: len(delivered)])
    assert file.num_events == len(delivered)


def test_a_process_that_dies_is_an_error_of_the_recording(tmp_path, monkeypatch):
    path = write_es(tmp_path / "a.es", random_events(10))
    file = open_es(path)
    (tmp_path / "dies.py").write_text("import os\nos.abort()\n")
    monkeypatch.setattr("evdet.events.aedat.reader._PROGRAM", tmp_path / "dies.py")
    with pytest.raises(RecordingError, match=r"ended on damaged bytes \(SIGABRT\)"):
        list(file.blocks())


@pytest.mark.parametrize(
    ("system", "remedy"),
    [
        ("linux", r"pip install 'evdet\[aedat\]'"),
        ("win32", r"pip install 'evdet\[aedat\]'"),
        ("darwin", "pip install faery, which has wheels for macOS 26"),
    ],
)
def test_a_missing_faery_is_named_with_the_command_that_installs_it(
    tmp_path, monkeypatch, system, remedy
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(RecordingError, match=remedy):
        open_es(tmp_path / "a.es")


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPENERS)
def test_damaged_files_give_events_or_the_one_error(tmp_path, kind):
    """Also where faery panics, aborts, or asks for all the memory."""
    content = WRITERS[kind](tmp_path / "a", random_events(3000)).read_bytes()
    source = random.Random(0)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(source.choice([1, 1, 4])):
            damaged[source.randrange(min(len(damaged), 600))] = source.randrange(256)
        (tmp_path / "b").write_bytes(damaged[: source.choice([None, source.randrange(600)])])
        with contextlib.suppress(RecordingError):
            list(OPENERS[kind](tmp_path / "b").blocks())


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        (
            "aedat4/davis346_clip.aedat4",
            "702a99e10814b7c2de70b1b880dad0300970ba42897be598b218cd5d9649cbf0",
        ),
        (
            "aedat4/dvxplorer_lite_sample.aedat4",
            "8e8467d9ac3912a53647b8500d294e4beb233b54fa2345d08a9be133a44155b2",
        ),
        ("es/dvs.es", "7289994867884fb7242b3483f89049600d6a3842a6db77c118fae9f117b57f95"),
    ],
)
def test_real_recordings_are_as_other_decoders_read_them(event_data, name, digest):
    file = OPENERS[name.rpartition(".")[2]](event_data / name)
    assert hashlib.sha256(read_all(file).tobytes()).hexdigest() == digest


@pytest.mark.parametrize("name", ["aedat4/no_events_gray16.aedat4", "es/generic.es"])
def test_real_files_without_pixel_events_are_refused(event_data, name):
    with pytest.raises(RecordingError, match=r"no event stream|type generic"):
        OPENERS[name.rpartition(".")[2]](event_data / name)
