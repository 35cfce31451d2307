import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from evdet.boxes import BOX_DTYPE
from evdet.build import build_detector, build_loader
from evdet.config import DetectionConfig
from evdet.data.folder import open_folder
from evdet.evaluation import (
    LaneGrid,
    detect_batches,
    evaluate,
    to_played,
)
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.frame_spec import SelectionThresholds
from evdet.metrics import PROTOCOLS, FrameResults, average_precision
from evdet.models import SSD

CONFIG = DetectionConfig(
    classes=tuple("0123456789"),
    feature_base=2, feature_channels_out=4, num_levels=2, head_channels=4,
    height=32, width=48, num_tbins=2, batch_size=2, max_frames_per_video=6,
    max_frames_per_epoch=24, test_frames=24, num_workers=0,
)  # fmt: skip
THRESHOLDS = SelectionThresholds()


@pytest.fixture
def detector():
    detector = build_detector(CONFIG).eval()
    # A fresh head finds nothing; this one finds something everywhere.
    torch.nn.init.zeros_(detector.head.cls_head[-1].bias)
    torch.nn.init.normal_(detector.head.cls_head[-1].weight, std=20.0)
    return detector


class Oracle(SSD):
    """Finds what the labels say, perhaps a bit beside it: it is given the batches beforehand."""

    def __init__(self, batches, shift=0.0):
        torch.nn.Module.__init__(self)
        self.frame_spec = None
        self.shift = shift
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.answers = iter(batches)

    def step(self, clip, memory, *, thresholds):
        labels = next(self.answers)["labels"]
        found = [[self.find(frame) for frame in lanes] for lanes in labels]
        return found, (torch.zeros(clip.shape[1], 1, 1, 1),)

    def find(self, truth):
        boxes, labels = truth[:, :4] + self.shift, truth[:, 4].long()
        return {"boxes": boxes, "labels": labels, "scores": torch.full((len(truth),), 0.9)}


def run(detector, loader):
    return evaluate(
        detector, loader, CONFIG.classes, show_frame=loader.get_vis_func(), thresholds=THRESHOLDS
    )


def test_nothing_to_evaluate_gives_no_numbers_and_no_pictures(detector):
    loader = build_loader(CONFIG, "test")
    result = evaluate(
        detector, [], CONFIG.classes, show_frame=loader.get_vis_func(), thresholds=THRESHOLDS
    )
    assert np.isnan(result.scores.map)
    assert result.strip == result.failures == []


def test_a_detector_that_is_always_right_scores_one_and_never_fails():
    loader = build_loader(CONFIG, "test")
    oracle = Oracle(list(build_loader(CONFIG, "test")))
    result = evaluate(
        oracle, loader, CONFIG.classes, show_frame=loader.get_vis_func(), thresholds=THRESHOLDS
    )
    assert result.scores.map == pytest.approx(1.0)
    assert result.scores.num_frames == 24
    assert result.confusion.sum() == np.trace(result.confusion)
    assert result.failures == []


def test_pictures_say_what_is_wrong(detector):
    result = run(detector, build_loader(CONFIG, "test"))
    heading, caption, image = result.failures[0]
    assert heading.startswith("Failure: ")
    assert "missed" in heading or "wrong class" in heading or "false alarm" in heading
    assert caption.endswith(" s")
    assert image.shape == (3 * 32, 3 * 48, 3)
    assert len(result.strip) == 4
    videos = [moment.caption.split(" at ")[0] for moment in result.failures]
    assert len(videos) == len(set(videos))


def test_memory_is_carried_within_a_video_and_cleared_between_videos(detector):
    batches = list(build_loader(CONFIG, "test"))
    streamed = [found for _, found in detect_batches(detector, batches, THRESHOLDS)]

    # Clip 3 starts a new video in both lanes: alone it gives the same.
    [(_, alone)] = detect_batches(detector, batches[3:4], THRESHOLDS)
    assert_close(streamed[3][0][0]["scores"], alone[0][0]["scores"])
    # Clip 1 goes on: alone it lacks its memory.
    [(_, cut_off)] = detect_batches(detector, batches[1:2], THRESHOLDS)
    a, b = streamed[1][0][0]["scores"], cut_off[0][0]["scores"]
    assert len(a) != len(b) or not torch.allclose(a, b)


@pytest.mark.parametrize("reset_every", [2, 3])
def test_memory_that_is_emptied_gives_what_parts_of_the_recordings_give_alone(
    detector, reset_every
):
    batches = list(build_loader(CONFIG, "test"))
    results = detect_batches(detector, batches, THRESHOLDS, reset_every=reset_every)
    played = [frame for _, found in results for frame in found]
    frames = torch.cat([batch["inputs"] for batch in batches])
    for first in range(0, len(frames), reset_every):
        with torch.no_grad():
            part = frames[first : first + reset_every]
            alone, _ = detector.step(part, None, thresholds=THRESHOLDS)
        assert_close(played[first : first + reset_every], alone)


@pytest.mark.parametrize(
    ("protocol", "reset_every", "deviations"),
    [
        ("coco", None, []),
        ("coco", 7, ["memory emptied every 7 frames"]),
        ("s5-gen1", 21, []),
        ("s5-gen1", None, ["memory carried: s5-gen1 empties it every 21 frames"]),
        ("s5-1mpx", 21, ["memory emptied every 21 frames: s5-1mpx empties it every 10 frames"]),
    ],
)
def test_a_memory_that_is_not_the_protocols_is_a_deviation(
    detector, protocol, reset_every, deviations
):
    batches = build_loader(CONFIG, "test")
    rules = evaluate(
        detector, [], CONFIG.classes, show_frame=batches.get_vis_func(), thresholds=THRESHOLDS,
        protocol=PROTOCOLS[protocol], reset_every=reset_every,
    ).scores.rules  # fmt: skip
    assert rules["reset_every"] == reset_every
    assert [text for text in rules["deviations"] if "memory" in text] == deviations


def test_gradients_are_neither_kept_nor_switched_off_for_the_caller(detector):
    for _, found in detect_batches(detector, build_loader(CONFIG, "test"), THRESHOLDS):
        assert torch.is_grad_enabled()
        assert not found[0][0]["scores"].requires_grad


def test_a_batch_is_drawn_one_picture_a_time_bin(detector):
    loader = build_loader(CONFIG, "test")
    batch, found = next(detect_batches(detector, loader, THRESHOLDS))
    label_map = ["background", *CONFIG.classes]
    grid = LaneGrid(label_map, loader.get_vis_func(), nms_thresh=0.6)
    pictures = list(grid.draw(batch, found))
    assert len(pictures) == 2
    assert pictures[0].shape[1] >= 2 * 48


SENSOR = SensorSize(height=64, width=96)
# Frames of half the sensor's size.
ON_RECORDINGS = dataclasses.replace(
    CONFIG, dataset_path="", classes=("car", "bus"), preprocess="histogram", in_channels=2,
    delta_t=50_000,
)  # fmt: skip


@pytest.fixture
def recordings(tmp_path):
    """Two test recordings of 1.2 s, which start in another bin than the first, and their config."""
    (tmp_path / "test").mkdir()
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps({0: "bus", 1: "car"}))
    rng = np.random.default_rng(0)
    for name, start in (("a", 110_000), ("b", 0)):
        events = np.zeros(3000, EVENT_DTYPE)
        events["t"] = np.sort(rng.integers(start, 1_200_000, len(events)))
        events["x"] = rng.integers(0, SENSOR.width, len(events))
        events["y"] = rng.integers(0, SENSOR.height, len(events))
        write_dat(tmp_path / "test" / f"{name}_td.dat", [events], SENSOR)
        # Two objects at two times, a small one, and one that another label of the bin replaces.
        boxes = np.zeros(6, [*BOX_DTYPE.descr, ("still_us", "<i8")])
        boxes["t"] = [400_000, 400_000, 990_000, 1_000_000, 1_000_000, 1_000_000]
        boxes["x"], boxes["y"] = [4, 50, 4, 6, 52, 80], [4, 8, 4, 4, 8, 40]
        boxes["w"], boxes["h"] = [40, 30, 40, 40, 30, 6], [36, 40, 36, 36, 40, 6]
        boxes["class_id"] = [0, 1, 0, 0, 1, 1]
        boxes["still_us"] = np.arange(6) * 1000
        np.save(tmp_path / "test" / f"{name}_bbox.npy", boxes)
    return dataclasses.replace(ON_RECORDINGS, dataset_path=str(tmp_path))


def run_on_recordings(config, detector, protocol, **options):
    loader = build_loader(config, "test")
    played = to_played(
        loader.streams.source.videos,
        open_folder(Path(config.dataset_path)),
        "test",
        classes=config.classes,
    )
    return evaluate(
        detector,
        loader,
        config.class_names,
        show_frame=loader.get_vis_func(),
        thresholds=THRESHOLDS,
        protocol=protocol,
        played=played,
        **options,
    )


def oracle_of(config):
    return Oracle(list(build_loader(config, "test")))


@pytest.mark.parametrize(
    ("name", "size", "num_frames", "num_truths"),
    # Without the small object, and without what lies in the first half second.
    [("coco", (32, 48), 4, 10), ("rvt-gen1", SENSOR, 2, 4), ("rvt-1mpx", (32, 48), 2, 0)],
)
def test_on_recordings_an_oracle_is_right_by_every_protocol_of_single_frames(
    recordings, name, size, num_frames, num_truths
):
    protocol = dataclasses.replace(PROTOCOLS[name], classes=())
    result = run_on_recordings(recordings, oracle_of(recordings), protocol)
    assert result.size == size
    assert result.num_frames == 4
    if name == "rvt-1mpx":  # at half the resolution these boxes have diagonals under 30
        assert result.scores.num_frames == num_truths
        return
    assert result.scores.map == pytest.approx(1)
    assert (result.scores.num_frames, result.scores.num_truths) == (num_frames, num_truths)


def test_labels_keep_their_times_and_fields_and_detections_lie_at_the_ends_of_bins(recordings):
    result = run_on_recordings(
        recordings, oracle_of(recordings), PROTOCOLS["coco"], counts_events=True
    )
    first = {one.name: one for one in result.recordings}["a"]
    assert first.truth["t"].tolist() == [400_000] * 2 + [990_000] + [1_000_000] * 3
    assert first.truth["still_us"].tolist() == [0, 1000, 2000, 3000, 4000, 5000]
    assert first.truth["num_events"].min() >= 0
    assert first.truth["num_events"].sum() > 0
    # car is the first class of the training, though the second on disk.
    assert first.truth["class_id"].tolist() == [2, 1, 2, 2, 1, 1]
    assert np.unique(first.detections["t"]).tolist() == [400_000, 1_000_000]
    assert first.labeled_times.tolist() == [400_000, 990_000, 1_000_000]


def test_coco_on_recordings_is_average_precision_over_the_frames_of_the_batches(recordings):
    batches = list(build_loader(recordings, "test"))
    result = run_on_recordings(recordings, Oracle(batches, shift=2.0), PROTOCOLS["coco"])
    frames = FrameResults()
    for batch, found in detect_batches(Oracle(batches, shift=2.0), batches, THRESHOLDS):
        for t, b in batch["frame_is_labeled"].nonzero().tolist():
            info = batch["video_infos"][b]
            frames.add((info.index, info.first_frame + t), batch["labels"][t][b], found[t][b])
    expected = average_precision(frames.truths, frames.detections, recordings.class_names)
    assert 0 < expected.map < expected.map50
    assert {**result.scores.as_dict(), "rules": {}} == expected.as_dict()


def test_a_detector_of_other_classes_is_scored_on_those_it_shares(recordings):
    config = dataclasses.replace(recordings, classes=("bus",))
    oracle = oracle_of(recordings)  # finds car and bus
    result = run_on_recordings(
        config,
        oracle,
        PROTOCOLS["coco"],
        detector_classes=("car", "bus"),
        deviations=["other classes"],
    )
    assert result.scores.map == pytest.approx(1)
    assert result.scores.num_truths == result.scores.num_detections == 4
    assert result.confusion.tolist() == [[0, 0], [0, 4]]
    assert result.scores.rules["deviations"] == ["other classes"]
