"""What a terminal and a notebook show of a recording: bounded, escaped, and never an error."""

import logging
import subprocess
import sys

import numpy as np

from evdet.events import EVENT_DTYPE, SensorSize, convert, open_recording
from evdet.samples import sample_recording

EVENTS = np.zeros(20_000, EVENT_DTYPE)
EVENTS["t"] = np.arange(20_000) * 100
EVENTS["x"], EVENTS["y"] = np.arange(20_000) % 60, np.arange(20_000) % 40


def csv(path, events=EVENTS, head="t,x,y,p\n"):
    rows = "\n".join(",".join(map(str, row)) for row in events.tolist())
    path.write_text(head + rows + "\n")
    return path


def raw(path):
    convert(open_recording(sample_recording()), path)
    return path


def test_a_line_says_what_the_recording_is():
    line = repr(open_recording(sample_recording()))

    assert line == "Recording('digits_td.dat', DAT, 128x128, 10 s, 304,574 events)"


def test_a_page_shows_events_and_a_table():
    page = open_recording(sample_recording())._repr_html_()

    assert "data:image/png;base64," in page
    assert "304,574" in page
    assert "128x128" in page


LAZY = """
import sys
from pathlib import Path

from evdet.events import SensorSize, open_recording

folder = Path(sys.argv[1])
for name in ("x.csv", "x.npy", "x.raw", "x.h5", "x.dat"):
    size = SensorSize(40, 60) if name in ("x.csv", "x.npy") else None
    recording = open_recording(folder / name, size=size)
    print(repr(recording))
    page = recording._repr_html_()
    assert ("not counted yet" in page) == (name in ("x.csv", "x.npy", "x.raw")), name
    assert "data:image/png" in page, name
    assert name in ("x.h5", "x.dat") or not recording._file.is_surveyed, name
    assert len(recording) and recording.end
    print(repr(recording))
    assert "not counted yet" not in recording._repr_html_()
    if name == "x.npy":
        assert [file.name for file in folder.glob("*index*")] == []
"""


def test_nothing_is_read_as_a_whole_before_it_is_asked_for(tmp_path):
    # In a process of its own: the types that tests check access every property of a file.
    csv(tmp_path / "x.csv")
    np.save(tmp_path / "x.npy", EVENTS)
    for name in ("x.raw", "x.h5", "x.dat"):
        raw(tmp_path / name)
    for made in tmp_path.glob("*index*"):
        made.unlink()

    command = [sys.executable, "-c", LAZY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    counted = "304,574 events)"
    assert lines[:4] == [
        "Recording('x.csv', text, 60x40)",
        "Recording('x.csv', text, 60x40, 2 s, 20,000 events)",
        "Recording('x.npy', npy, 60x40)",
        "Recording('x.npy', npy, 60x40, 2 s, 20,000 events)",
    ]
    assert lines[4].endswith("128x128)")
    assert all(line.endswith(counted) for line in lines[5:])


def test_a_size_that_is_not_known_is_not_searched(tmp_path):
    recording = open_recording(csv(tmp_path / "x.csv"))

    assert "size not stated" in repr(recording)
    assert "data:image/png" in recording._repr_html_()
    assert recording._size is None


def test_a_page_reads_the_first_events_only(tmp_path, monkeypatch):
    recording = open_recording(csv(tmp_path / "x.csv"))
    read = []

    def endless(self, since=None):
        while True:
            read.append(len(EVENTS))
            yield EVENTS.copy()

    monkeypatch.setattr(type(recording._file), "blocks", endless)

    assert "data:image/png" in recording._repr_html_()
    assert sum(read) < 1_000_000


def test_an_empty_recording_has_a_table_and_no_picture(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, EVENTS[:0])
    recording = open_recording(path)

    assert "<table>" in recording._repr_html_()
    assert "<img" not in recording._repr_html_()


def test_a_file_that_is_gone_or_damaged_is_shown_without_an_error(tmp_path):
    for damage in ("gone", "truncated", "noise"):
        for name in ("x.csv", "x.npy", "x.raw", "x.dat", "x.h5"):
            path = tmp_path / name
            if name in ("x.csv", "x.npy"):
                np.save(path, EVENTS) if name == "x.npy" else csv(path)
            else:
                raw(path)
            recording = open_recording(path)
            if damage == "gone":
                path.unlink()
            elif damage == "truncated":
                path.write_bytes(path.read_bytes()[:5_000])
            else:
                content = path.read_bytes()
                path.write_bytes(content[:3_000] + bytes(len(content) - 3_000))

            assert repr(recording).startswith("Recording(")
            assert "<table>" in recording._repr_html_()


def test_a_page_logs_nothing_and_leaves_the_recording_as_it_was(tmp_path, caplog):
    back = EVENTS.copy()
    back["t"][10] = 0
    recording = open_recording(csv(tmp_path / "x.csv", back))

    with caplog.at_level(logging.INFO):
        recording._repr_html_()

    assert caplog.records == []
    assert recording.num_steps_back == 0


def test_a_name_of_a_file_is_no_code(tmp_path):
    path = csv(tmp_path / "<script>alert(1)<script>.csv")

    page = open_recording(path)._repr_html_()

    assert "<script" not in page


def test_a_large_sensor_has_a_small_picture(tmp_path):
    events = EVENTS.copy()
    events["x"], events["y"] = EVENTS["t"] % 4000, EVENTS["t"] % 3000

    page = open_recording(
        csv(tmp_path / "x.csv", events), size=SensorSize(3000, 4000)
    )._repr_html_()

    assert len(page) < 200_000
