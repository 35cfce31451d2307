import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.build import build_detector, build_loader
from evdet.config import DetectionConfig
from evdet.data import open_folder
from evdet.evaluation import begin_before_labels, evaluate, to_played
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.frame_spec import READY_MADE, SelectionThresholds
from evdet.labels import bins_of
from evdet.metrics import PROTOCOLS

DELTA_T = 50_000
SENSOR = SensorSize(height=64, width=96)
CONFIG = DetectionConfig(
    dataset_path="later", classes=("car", "pedestrian"), preprocess="histogram", in_channels=2,
    feature_base=2, feature_channels_out=4, num_levels=2, head_channels=4, delta_t=DELTA_T,
    height=32, width=48, num_tbins=3, batch_size=2, num_workers=0,
    # As `evdet evaluate` sets it for these protocols.
    min_box_diag=30.0, min_box_side=10.0, max_box_share=1.0, clip_boxes=False,
)  # fmt: skip
GEN1 = PROTOCOLS["rvt-gen1"]
LARGE, SMALL, LOW = (30, 30), (6, 40), (10, 20)


def protocol_of(num_frames, name="rvt-gen1"):
    return dataclasses.replace(PROTOCOLS[name], start_before_label=num_frames)


def write_recording(folder, name, labels, *, start=0, end=60 * DELTA_T, since=0):
    """Events at a constant rate; labels are (time, size) or (time, size, class_id, confidence)."""
    (folder / "test").mkdir(parents=True, exist_ok=True)
    (folder / "label_map_dictionary.json").write_text(json.dumps({0: "car", 1: "pedestrian"}))
    rng = np.random.default_rng(len(name))
    events = np.zeros((end - start) // 200, EVENT_DTYPE)
    events["t"] = np.arange(start, end, 200)[: len(events)]
    events["x"] = rng.integers(0, SENSOR.width, len(events))
    events["y"] = rng.integers(0, SENSOR.height, len(events))
    write_dat(folder / "test" / f"{name}_td.dat", [events[events["t"] >= since]], SENSOR)
    boxes = np.zeros(len(labels), BOX_DTYPE)
    for box, (t, (w, h), *more) in zip(boxes, labels, strict=True):
        class_id, confidence = more or (0, 1.0)
        box["t"], box["x"], box["y"], box["w"], box["h"] = t, 4, 4, w, h
        box["class_id"], box["class_confidence"] = class_id, confidence
    np.save(folder / "test" / f"{name}_bbox.npy", boxes)
    return folder


def start(folder, protocol, **changes):
    config = dataclasses.replace(CONFIG, dataset_path=str(folder), **changes)
    loader = build_loader(config, "test")
    played = to_played(
        loader.streams.source.videos,
        open_folder(Path(folder)),
        "test",
        classes=config.classes,
    )
    return begin_before_labels(loader, played, protocol)


def first_bins(folder, protocol=GEN1, **changes):
    """The first bin that is played of each recording, from time 0."""
    started = start(folder, protocol, **changes)
    names = {info.name for batch in started.loader for info in batch["video_infos"]}
    return {one.name: one.first_bin for one in started.played if one.name in names}


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    detector = build_detector(CONFIG).eval()
    torch.nn.init.zeros_(detector.head.cls_head[-1].bias)
    torch.nn.init.normal_(detector.head.cls_head[-1].weight, std=20.0)
    return detector


def score(detector, folder, protocol, **options):
    loader, played, _ = start(folder, protocol)
    return evaluate(
        detector,
        loader,
        CONFIG.class_names,
        show_frame=loader.get_vis_func(),
        thresholds=SelectionThresholds(score_thresh=0.5),
        protocol=protocol,
        played=played,
        **options,
    )


def test_a_loader_without_recordings_is_refused():
    loader = build_loader(DetectionConfig(max_frames_per_video=12, test_frames=12), "test")
    with pytest.raises(ValueError, match="this loader plays others"):
        begin_before_labels(loader, [], GEN1)


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        ([(2_000_000, LARGE)], 39 - 20),  # bin 39 ends with the label
        ([(2_000_001, LARGE)], 40 - 20),
        ([(1_950_001, LARGE)], 39 - 20),
        ([(1_050_000, LARGE)], 0),
        ([(1_050_001, LARGE)], 1),
        ([(600_000, LARGE)], 0),
        ([(500_000, LARGE), (2_000_000, LARGE)], 19),  # up to 0.5 s nothing counts
        ([(1_500_000, SMALL), (2_000_000, LARGE)], 19),  # a side under 10 pixels
        ([(1_500_000, LOW), (2_000_000, LARGE)], 19),  # a diagonal under 30
        ([(1_500_000, SMALL), (1_500_000, LARGE), (2_000_000, LARGE)], 29 - 20),
        # The last label time of a time bin counts.
        ([(1_460_000, LARGE), (1_490_000, SMALL), (2_000_000, LARGE)], 19),
        ([(1_460_000, SMALL), (1_490_000, LARGE), (2_000_000, LARGE)], 29 - 20),
        ([(1_500_000, LARGE, 0, 0.0), (2_000_000, LARGE)], 19),  # marked as ignored
    ],
)
def test_a_recording_starts_before_its_first_label_that_counts(tmp_path, labels, first):
    write_recording(tmp_path, "drive", labels)
    assert first_bins(tmp_path) == {"drive": first}


def test_labels_of_classes_that_are_not_scored_do_not_count(tmp_path):
    write_recording(tmp_path, "drive", [(1_500_000, LARGE, 1, 1.0), (2_000_000, LARGE)])
    assert first_bins(tmp_path) == {"drive": 9}
    assert first_bins(tmp_path, classes=("car",)) == {"drive": 19}


@pytest.mark.parametrize(("name", "first"), [("rvt-1mpx", 40 - 5), ("s5-1mpx", 40 - 10)])
def test_boxes_of_1_mpx_are_measured_at_half_the_resolution(tmp_path, name, first):
    labels = [(1_500_000, (50, 30)), (2_000_000, (60, 60))]  # diagonals of 58 and 85
    write_recording(tmp_path, "drive", labels)
    rules = {"min_box_diag": 60.0, "min_box_side": 20.0}
    assert first_bins(tmp_path, PROTOCOLS[name], **rules) == {"drive": first}


def test_frames_are_counted_from_the_first_event(tmp_path):
    write_recording(tmp_path, "drive", [(2_000_000, LARGE)], start=1_600_000)
    assert first_bins(tmp_path) == {"drive": 32}
    write_recording(tmp_path, "drive", [(2_000_000, LARGE)], start=640_000)
    assert first_bins(tmp_path) == {"drive": 19}
    # A label before the first event is not scored.
    write_recording(tmp_path, "drive", [(1_000_000, LARGE), (2_900_000, LARGE)], start=1_600_000)
    assert first_bins(tmp_path) == {"drive": 57 - 20}


def test_frames_of_the_detector_are_counted_whatever_they_last(tmp_path):
    labels = [(490_000, LARGE), (530_000, SMALL), (2_000_000, LARGE)]
    write_recording(tmp_path, "drive", labels)
    assert first_bins(tmp_path, delta_t=25_000) == {"drive": 79 - 20}
    assert first_bins(tmp_path, delta_t=60_000) == {"drive": 33 - 20}


def test_a_recording_without_a_label_that_counts_is_not_played_and_named(tmp_path):
    write_recording(tmp_path, "early", [(400_000, LARGE)])
    write_recording(tmp_path, "late", [(1_500_000, LARGE)])
    started = start(tmp_path, GEN1)
    assert started.notes == (
        "not played, without a label that rvt-gen1 counts: 1 recording (early)",
    )
    assert first_bins(tmp_path) == {"late": 9}


def test_where_no_label_counts_nothing_is_played(tmp_path, detector):
    for name in "abcdefg":
        write_recording(tmp_path, name, [(400_000, LARGE)], end=500_000)
    loader, _, notes = start(tmp_path, GEN1)
    assert list(loader) == []
    assert notes[0].endswith(": 7 recordings (a, b, c, d, e, ...)")
    assert score(detector, tmp_path, GEN1).scores.num_frames == 0


def test_other_protocols_play_from_the_first_event(tmp_path):
    write_recording(tmp_path, "drive", [(2_000_000, LARGE)])
    for name in ("coco", "perot2020-gen1"):
        assert first_bins(tmp_path, PROTOCOLS[name]) == {"drive": 0}
    assert first_bins(tmp_path, protocol_of(None)) == {"drive": 0}


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    label=st.integers(500_001, 1_000_000),
    num_frames=st.integers(1, 12),
    begin=st.integers(0, 300_000),
)
def test_detections_are_those_of_the_recording_cut_at_its_start(
    detector, tmp_path_factory, label, num_frames, begin
):
    folder = tmp_path_factory.mktemp("whole")
    labels = [(label, LARGE), (1_100_000, LARGE)]
    extent = {"start": begin // 200 * 200, "end": 1_150_000}
    write_recording(folder, "drive", labels, **extent)
    first_bin = extent["start"] // DELTA_T
    frame = int(bins_of(np.array([label]), DELTA_T)[0]) - first_bin
    cut = (first_bin + max(frame - num_frames + 1, 0)) * DELTA_T
    alone = tmp_path_factory.mktemp("cut")
    write_recording(alone, "drive", labels, **extent, since=cut)

    ours = score(detector, folder, protocol_of(num_frames))
    theirs = score(detector, alone, protocol_of(None))
    whole = score(detector, folder, protocol_of(None))

    [found], [wanted] = ours.recordings, theirs.recordings
    assert found.detections["t"].min() > cut
    np.testing.assert_array_equal(found.detections["t"], wanted.detections["t"])
    for field in ("x", "y", "w", "h", "class_confidence"):
        np.testing.assert_allclose(
            found.detections[field], wanted.detections[field], rtol=1e-4, atol=1e-4
        )
    assert found.truth.tolist() == wanted.truth.tolist()
    assert found.labeled_times.tolist() == wanted.labeled_times.tolist()
    assert ours.scores.map == pytest.approx(theirs.scores.map)
    # No label that counts is lost, and each has the detections of its own time bin.
    assert ours.scores.num_truths == whole.scores.num_truths
    assert ours.scores.num_frames == whole.scores.num_frames


def test_memory_of_the_frames_before_the_start_is_missing(tmp_path, detector):
    write_recording(tmp_path, "drive", [(2_000_000, LARGE)])
    found = {
        length: score(detector, tmp_path, protocol_of(length)).recordings[0].detections
        for length in (1, 3, None)
    }
    last = {
        length: boxes["class_confidence"][boxes["t"] == 2_000_000].tolist()
        for length, boxes in found.items()
    }
    assert last[1] != last[3] != last[None]


def test_memory_is_emptied_from_the_start_on(tmp_path, detector):
    write_recording(tmp_path, "drive", [(2_000_000, LARGE), (2_250_000, LARGE)])
    parts = score(detector, tmp_path, protocol_of(5), reset_every=5).recordings[0].detections
    # The second part of five frames, alone.
    write_recording(tmp_path, "drive", [(2_250_000, LARGE)])
    alone = score(detector, tmp_path, protocol_of(5)).recordings[0].detections
    later = parts[parts["t"] > 2_000_000]
    np.testing.assert_array_equal(later["t"], alone["t"])
    np.testing.assert_allclose(later["class_confidence"], alone["class_confidence"], rtol=1e-4)


def test_ready_made_frames_start_before_their_first_label_too(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (50, 2, 32, 48)).astype(np.uint8)
    write_recording(tmp_path, "drive", [(400_000, LARGE), (1_500_000, SMALL), (2_000_000, LARGE)])
    (tmp_path / "test" / "drive_td.dat").unlink()
    with h5py.File(tmp_path / "test" / "drive.h5", "w") as file:
        data = file.create_dataset("data", data=frames)
        data.attrs["delta_t"] = np.uint32(DELTA_T)
        data.attrs["event_input_height"], data.attrs["event_input_width"] = SENSOR
    started = start(tmp_path, GEN1, preprocess=READY_MADE)
    assert [one.first_bin for one in started.played] == [19]
    played = torch.cat([batch["inputs"][:, 0] for batch in started.loader])
    np.testing.assert_allclose(played[:31], frames[19:] / np.float32(255), rtol=1e-6)
