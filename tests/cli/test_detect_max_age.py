import csv
import itertools
import json
import os
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from evdet.cli import main
from evdet.cli.detect.ages import AgeCount, parse_max_age
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.recording import open_recording
from evdet.frame_spec import FrameSpec
from evdet.labels.files import read_boxes

DELTA_T = 10_000
NUM_BINS = 30
NUM_WARM_UP = 5
NUM_FIRST = 3
PATIENCE = 20
SIZE = SensorSize(48, 64)
BOX_FILES = ("x.npy", "x.csv", "x.json", "x.txt")


class KnowsTime:
    """Finds a car in every frame, at a cost, and remembers how long frames lasted."""

    knows_time = True

    def __init__(self, cost):
        self.frame_spec = FrameSpec(
            preprocess="histogram", height=48, width=64, in_channels=2, delta_t=DELTA_T,
            class_names=("car",),
        )  # fmt: skip
        self.cost = cost
        self.durations = []
        self.num_steps = 0
        self.is_playing, self.all_sent = threading.Event(), threading.Event()

    def step(self, clip, memory=None, *, durations=None, thresholds=None):
        self.num_steps += 1
        if self.num_steps == NUM_WARM_UP + 1:
            # So that time bins wait, however busy the machine is.
            self.is_playing.set()
            self.all_sent.wait(PATIENCE)
        time.sleep(self.cost)
        self.durations += [] if durations is None else durations.flatten().tolist()
        found = {
            "boxes": torch.tensor([[4.0, 8, 24, 28]]),
            "labels": torch.tensor([1]),
            "scores": torch.tensor([0.9]),
        }
        return [[found] for _ in clip], memory


class DoesNotKnowTime(KnowsTime):
    knows_time = False


@pytest.fixture
def recording(tmp_path, monkeypatch):
    """Thirty time bins of five events, in a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    times = np.arange(0, NUM_BINS * DELTA_T, 2000)
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"], events["y"] = times, 60, 40
    write_dat(tmp_path / "drive_td.dat", [events], SIZE)
    return tmp_path / "drive_td.dat"


def detect_live(capsys, caplog, monkeypatch, detector, recording, *words):
    """Send a recording through a pipe, most of it during the first frame: output, and log."""
    monkeypatch.setattr("evdet.cli.detect.command.open_detector", lambda path, **named: detector)
    os.mkfifo("camera")
    content = recording.read_bytes()
    header = len(content) - 8 * 5 * NUM_BINS
    places = [0, *range(header, len(content) + 1, 8 * 5)]

    def send():
        with open("camera", "wb", buffering=0) as pipe:
            for place, (start, end) in enumerate(itertools.pairwise(places)):
                if place == NUM_FIRST:
                    detector.is_playing.wait(PATIENCE)
                pipe.write(content[start:end])
            time.sleep(0.05)
            detector.all_sent.set()

    sender = threading.Thread(target=send)
    sender.start()
    status = main(["detect", "camera", "--max-delay", "0", *map(str, words)])
    sender.join()
    assert status == 0
    return capsys.readouterr().out.splitlines(), caplog.text


def test_no_event_and_no_time_is_lost_and_each_box_has_its_age(
    capsys, caplog, monkeypatch, recording
):
    detector = KnowsTime(0.04)
    words = ("--max-age", "10s", "--output", *BOX_FILES, "x.mp4")
    out, log = detect_live(capsys, caplog, monkeypatch, detector, recording, *words)
    warm_up, played = detector.durations[:NUM_WARM_UP], detector.durations[NUM_WARM_UP:]
    assert warm_up == [DELTA_T] * NUM_WARM_UP
    assert sum(played) == NUM_BINS * DELTA_T
    summary = next(line for line in out if "skipped" in line)
    frames, bins, skipped = re.match(
        r"(\d+) frames? of (\d+) time bins, 0\.3 s, in .* s; (\d+) skipped", summary
    ).groups()
    assert (int(frames), int(bins), int(skipped)) == (len(played), NUM_BINS, 0)
    assert len(played) < NUM_BINS
    assert any(re.match(r"0\.\d+ s, age \d+\.\d ms, \d+ time bins: car 90%", line) for line in out)
    held = f"; --max-age 10000ms was held for all {len(played)} boxes"
    assert any(line.startswith("age of boxes: median ") and line.endswith(held) for line in out)
    assert f"{len(played)} boxes on {len(played)} frames (car: {len(played)})" in out
    assert "max_age" not in log

    ages = [int(row["age_us"]) for row in csv.DictReader(Path("x.csv").read_text().splitlines())]
    assert len(ages) == len(played)
    assert 40_000 <= min(ages) <= max(ages) <= 10_000_000
    assert np.load("x.npy")["age_us"].tolist() == ages
    assert [row["age_us"] for row in json.loads(Path("x.json").read_text())] == ages
    most = next(re.search(r"maximum (\S+) ms; --max", line) for line in out if "age of" in line)
    assert float(most[1]) == pytest.approx(max(ages) / 1000, abs=0.06)
    for name in BOX_FILES:
        read = read_boxes(
            Path(name), {0: "car"}, recording=open_recording(recording), frame_period=DELTA_T
        )
        assert read.boxes["t"].tolist() == np.cumsum(played).tolist()


def test_a_detector_that_does_not_know_time_says_what_it_loses(
    capsys, caplog, monkeypatch, recording
):
    detector = DoesNotKnowTime(0.04)
    words = ("--max-age", "100ms")
    out, log = detect_live(capsys, caplog, monkeypatch, detector, recording, *words)
    assert log.count("the detector does not know how long a frame lasts") == 1
    assert "skips the time bins that wait, with their events" in log
    summary = next(line for line in out if "skipped" in line)
    shown, skipped = re.match(r"(\d+) time bins, .*; (\d+) skipped", summary).groups()
    assert int(shown) + int(skipped) == NUM_BINS
    assert int(skipped) > 5


def test_a_bound_that_cannot_be_held_is_said_first_and_counted(
    capsys, caplog, monkeypatch, recording
):
    detector = KnowsTime(0.04)
    out, log = detect_live(capsys, caplog, monkeypatch, detector, recording, "--max-age", "20ms")
    assert re.search(r"camera: max_age 20 ms cannot be held: a frame takes [\d.]+ ms", log)
    num = len(detector.durations) - NUM_WARM_UP
    assert any(
        line.endswith(f"; --max-age 20ms was broken for {num} of {num} boxes") for line in out
    )


def test_without_a_bound_nothing_has_an_age(capsys, caplog, monkeypatch, recording):
    detector = KnowsTime(0.0)
    words = ("--output", "x.csv", "x.npy")
    out, _ = detect_live(capsys, caplog, monkeypatch, detector, recording, *words)
    assert "age" not in Path("x.csv").read_text()
    assert "age_us" not in np.load("x.npy").dtype.names
    assert not any("age of boxes" in line for line in out)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None), ("80ms", 80_000), ("0.08s", 80_000), ("80000us", 80_000), ("80 ms", 80_000),
        ("1us", 1), (".5s", 500_000), ("1.s", 1_000_000), (" 80ms ", 80_000),
        ("3600s", 3_600_000_000),
    ],
)  # fmt: skip
def test_a_duration_has_a_number_and_a_unit(text, expected):
    assert parse_max_age(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "with the unit us, ms or s, got ''"),
        ("80", "needs a unit: 80us, 80ms or 80s"),
        ("80000.0", "needs a unit"),
        *((text, "with the unit us, ms or s, got") for text in (
            "ms", "-80ms", "80MS", "80 m", "80min", "1e3ms", "nan", "infs", "80,5ms", "8 0ms",
            "80ms80", ".ms", "٣ms",
        )),
        *((text, "must be from 1us to 3600s, got") for text in (
            "0ms", "0.4us", "3601s", "9" * 400 + "s",
        )),
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text, message):
    with pytest.raises(ValueError, match=f"--max-age .*{re.escape(message)}"):
        parse_max_age(text)


def test_ages_count_boxes():
    ages = AgeCount(80_000)
    assert ages.line() is None
    ages.add(900_000, 0)
    assert ages.line() is None
    ages.add(80_000, 1)
    assert ages.line() == (
        "age of boxes: median 80.0 ms, 99 % 80.0 ms, maximum 80.0 ms; --max-age 80ms was held for "
        "1 box"
    )
    ages.add(10_000, 3)
    assert ages.line() == (
        "age of boxes: median 10.0 ms, 99 % 77.9 ms, maximum 80.0 ms; --max-age 80ms was held for "
        "all 4 boxes"
    )
    ages.add(80_001, 2)
    assert "--max-age 80ms was broken for 2 of 6 boxes" in ages.line()
