import dataclasses
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch

from evdet.draw import encode_png
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.speed.stages import STAGES, time_batches, time_stages
from evdet.speed.time_bins import TimeBins, open_time_bins
from evdet.tracking import Tracker


def test_every_stage_is_measured_in_order(any_detector, time_bins, thresholds):
    times = time_stages(any_detector, time_bins, thresholds, num_tbins=3, warm_up=1)

    assert tuple(times.stages) == STAGES[:-1]
    assert all(stage.best > 0 for stage in times.stages.values())
    assert times.window.best > times.stages["read"].best
    assert times.events == 0


def test_the_counts_are_those_of_the_windows_in_the_middle(detector, time_bins, thresholds, clips):
    times = time_stages(detector, time_bins, thresholds, num_tbins=3, warm_up=1)

    memory, candidates, boxes = None, [], []
    with torch.no_grad():
        for clip in clips:
            _, scores, after = detector.predict(clip, memory)
            out, memory = detector.step(clip, memory, thresholds=thresholds)
            candidates.append(int((scores >= thresholds.score_thresh).sum()))
            boxes.append(len(out[0][0]["boxes"]))
            torch.testing.assert_close(after, memory)
    assert min(boxes) > 0
    assert times.candidates == np.median(candidates[1:])
    assert times.boxes == np.median(boxes[1:])


def test_events_are_counted(detector, tmp_path, thresholds):
    path = tmp_path / "events.dat"
    write_dat(path, [np.zeros(5, EVENT_DTYPE)], SensorSize(32, 32))
    time_bins = open_time_bins(path, detector.frame_spec)
    assert time_stages(detector, time_bins, thresholds, num_tbins=2, warm_up=0).events == 5


def test_images_have_no_events(make, tmp_path, thresholds):
    detector = make(preprocess="none", in_channels=3)
    for number in range(3):
        picture = np.full((32, 32, 3), 50 * number, np.uint8)
        (tmp_path / f"{number}.png").write_bytes(encode_png(picture))
    time_bins = open_time_bins(tmp_path, detector.frame_spec)
    times = time_stages(detector, time_bins, thresholds, num_tbins=4, warm_up=0)
    assert times.events == 0
    assert times.stages["read"].best > 0


def test_a_tracker_reads_the_boxes_of_every_window_once(detector, time_bins, thresholds):
    tracker = create_autospec(Tracker, instance=True)
    times = time_stages(detector, time_bins, thresholds, num_tbins=3, warm_up=1, tracker=tracker)

    assert tuple(times.stages) == STAGES
    given = [call.args for call in tracker.update.call_args_list]
    assert [t for t, _ in given] == [50_000, 100_000, 150_000, 200_000]
    assert all(len(boxes) > 0 and (boxes["t"] == t).all() for t, boxes in given)


def test_no_batches_no_rates(detector, time_bins, thresholds):
    assert time_batches(detector, time_bins, thresholds, ()) == {}


def test_lanes_show_the_windows_in_turn(detector, thresholds, clips):
    seen = []

    def play():
        for clip in [*clips, *clips]:
            seen.append(len(seen))
            yield clip

    source = TimeBins("noise", 50_000, play, lambda clip: clip)
    rates = time_batches(detector, source, thresholds, (1, 3))

    assert list(rates) == [1, 3]
    assert all(rate > 0 for rate in rates.values())
    assert seen == [0, 1, 2]


@pytest.mark.gpu
def test_stages_are_measured_on_an_accelerator(detector, time_bins, thresholds):
    on_device = dataclasses.replace(time_bins, represent=lambda clip: clip.cuda())
    times = time_stages(detector.cuda(), on_device, thresholds, num_tbins=3, warm_up=1)
    assert times.stages["network"].best > 0
