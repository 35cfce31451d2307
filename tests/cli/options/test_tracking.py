import pytest

from evdet.cli.options import TrackingOptions, chosen_start_thresh
from evdet.tracking import START_THRESH


def test_boxes_are_not_tracked_unless_asked_for():
    assert TrackingOptions().open_tracker(50_000, None) is None


def test_boxes_that_were_asked_for_may_start_tracks():
    assert chosen_start_thresh(None, None) == START_THRESH
    assert chosen_start_thresh(None, 0.2) == 0.2
    assert chosen_start_thresh(0.7, 0.2) == 0.7


def test_an_option_of_a_tracker_needs_a_tracker():
    with pytest.raises(ValueError, match="--track-iou-thresh needs --track"):
        TrackingOptions(track_iou_thresh=0.3).check()
