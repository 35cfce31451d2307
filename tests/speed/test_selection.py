import dataclasses

import torch
from torch.testing import assert_close

from evdet.models.postprocess import SelectionThresholds
from evdet.speed.selection import select


def test_nothing_over_the_threshold_is_nothing():
    limits = SelectionThresholds(score_thresh=0.5, nms_thresh=0.5, max_boxes=10)
    clip = torch.zeros(1, 2, 3, 8, 8)
    found = select(torch.zeros(2, 4, 4), torch.zeros(2, 4, 3), clip, limits)
    assert [[len(lane["boxes"]) for lane in lanes] for lanes in found] == [[0, 0]]


def test_it_is_what_the_detector_does(any_detector, thresholds, clips):
    clip = torch.cat(clips[:2], dim=1)
    with torch.no_grad():
        boxes, scores, _ = any_detector.predict(clip)
        expected, _ = any_detector.step(clip, **dataclasses.asdict(thresholds))
    found = select(boxes, scores, clip, thresholds)
    for lane in range(2):
        for name, value in found[0][lane].items():
            assert_close(value, expected[0][lane][name])
