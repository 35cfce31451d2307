import json
import sys

import numpy as np
import torch
from benchmarks.live import POLICIES, main, overload
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.events import EVENT_DTYPE, SensorSize, TimeBin
from evdet.events.dat.reader import write_dat

DELTA_T = 1000


def bins_of(num):
    bins = []
    for k in range(num):
        events = np.zeros(2, EVENT_DTYPE)
        events["t"] = DELTA_T * k + np.array([0, 999])
        bins.append(TimeBin(DELTA_T * k, DELTA_T, events))
    return bins


def test_without_bins_there_are_no_frames():
    assert all(list(overload([], 2, policy)) == [] for policy in POLICIES)


def test_a_detector_as_fast_as_its_source_takes_every_bin():
    for policy in POLICIES:
        frames = list(overload(bins_of(5), 1, policy))
        assert [frame.time_bin.start for frame in frames] == [0, 1000, 2000, 3000, 4000]
        assert [frame.known for frame in frames] == [2000, 3000, 4000, 5000, 6000]


def test_a_detector_that_is_twice_as_slow_has_two_bins_in_a_frame_or_skips_one():
    merged = list(overload(bins_of(6), 2, "merge"))
    assert [(one.time_bin.start, one.time_bin.delta_t) for one in merged] == [
        (0, 1000), (1000, 2000), (3000, 2000), (5000, 1000),
    ]  # fmt: skip
    skipped = list(overload(bins_of(6), 2, "skip"))
    assert [(one.time_bin.start, one.time_bin.delta_t) for one in skipped] == [
        (0, 1000), (2000, 1000), (4000, 1000), (5000, 1000),
    ]  # fmt: skip
    assert [one.num_skipped for one in skipped] == [0, 1, 1, 0]


@given(st.integers(1, 60), st.floats(1, 12))
def test_merging_represents_every_event_and_boxes_are_at_most_two_frames_old(num, num_times):
    frames = list(overload(bins_of(num), num_times, "merge"))
    assert sum(len(one.time_bin.events) for one in frames) == 2 * num
    assert sum(one.time_bin.delta_t for one in frames) == DELTA_T * num
    ends = [one.time_bin.start + one.time_bin.delta_t for one in frames]
    assert [one.time_bin.start for one in frames[1:]] == ends[:-1]
    ages = [one.known - end for one, end in zip(frames, ends, strict=True)]
    assert max(ages) <= 2 * num_times * DELTA_T
    skipped = list(overload(bins_of(num), num_times, "skip"))
    assert [one.known for one in skipped] == [one.known for one in frames]
    assert sum(one.num_bins + one.num_skipped for one in skipped) == num


def test_the_table_has_a_line_for_each_overload_and_policy(tmp_path, monkeypatch, capsys):
    config = DetectionConfig(
        dataset_path="recordings", classes=("car",), preprocess="histogram", height=32, width=32,
        in_channels=2, feature_base=2, feature_channels_out=4, num_levels=2, head_channels=4,
        feature_extractor="VanillaS5", delta_t=50_000,
    )  # fmt: skip
    weights = {f"detector.{name}": w for name, w in build_detector(config).state_dict().items()}
    torch.save({"hyper_parameters": vars(config), "state_dict": weights}, tmp_path / "a.ckpt")
    (tmp_path / "test").mkdir()
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps({"0": "car"}))
    events = np.zeros(600, EVENT_DTYPE)
    events["t"] = np.arange(600) * 1000
    write_dat(tmp_path / "test" / "a_td.dat", [events], SensorSize(32, 32))
    boxes = np.zeros(11, BOX_DTYPE)
    boxes["t"] = np.arange(1, 12) * 50_000
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 4, 4, 16, 16
    np.save(tmp_path / "test" / "a_bbox.npy", boxes)

    words = [str(tmp_path / "a.ckpt"), str(tmp_path), "--overload", "1", "4"]
    monkeypatch.setattr(sys, "argv", ["live", *words])
    main()
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[3:]]
    assert [line[:3] for line in lines] == [
        ["| 1x", "skip", "12"],
        *(["| 4x", policy, "4"] for policy in POLICIES),
    ]
    assert [line[3] for line in lines] == ["0%", "67%", "0%", "0%"]
    assert all(0 <= float(cell) <= 1 for line in lines for cell in line[4:8])
    assert [line[8] for line in lines] == ["50 ms |", *(["250 ms |"] * 3)]
