import dataclasses

import pytest

from evdet.frame_spec import FrameSpec, SelectionThresholds

SPEC = FrameSpec(preprocess="histogram", delta_t=1000, height=2, width=3, in_channels=2)


def test_a_spec_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPEC.height = 4


def test_a_spec_at_another_time_bin_differs_in_nothing_else():
    assert SPEC.at(None) is SPEC
    assert SPEC.at(1000) is SPEC
    assert SPEC.at(500) == dataclasses.replace(SPEC, delta_t=500, trained_delta_t=1000)
    assert SPEC.at(500).at(250) == SPEC.at(250)
    assert SPEC.at(500).at(1000) == SPEC


def test_counts_of_another_time_bin_are_scaled_by_the_root_of_the_ratio():
    assert SPEC.count_scale(1000) == 1
    for spec in (SPEC, SPEC.at(500)):
        assert spec.count_scale(250) == 2
        assert spec.count_scale(4000) == 0.5


def test_the_time_bin_of_the_training_is_a_duration():
    with pytest.raises(ValueError, match="trained_delta_t must be 0 or more microseconds, got -1"):
        dataclasses.replace(SPEC, trained_delta_t=-1)


@pytest.mark.parametrize("name", ["delta_t", "height", "width", "in_channels"])
def test_sizes_and_time_bins_are_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        dataclasses.replace(SPEC, **{name: 0})


def test_a_background_filter_is_a_duration():
    assert dataclasses.replace(SPEC, background_filter=0).background_filter == 0
    with pytest.raises(ValueError, match="background_filter must be 0 or more microseconds"):
        dataclasses.replace(SPEC, background_filter=-1)


def test_thresholds_but_for_what_is_given():
    usual = SelectionThresholds(score_thresh=0.1, nms_thresh=0.4, max_boxes=7)

    assert usual.but() == usual
    assert usual.but(score_thresh=1.0) == SelectionThresholds(
        score_thresh=1.0, nms_thresh=0.4, max_boxes=7
    )
    assert usual.but(nms_thresh=0.0, max_boxes=1) == SelectionThresholds(
        score_thresh=0.1, nms_thresh=0.0, max_boxes=1
    )


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
@pytest.mark.parametrize("name", ["score_thresh", "nms_thresh"])
def test_thresholds_are_shares(name, value):
    with pytest.raises(ValueError, match=f"{name} must be from 0 to 1"):
        SelectionThresholds(**{name: value})


def test_at_least_one_candidate_enters_suppression():
    with pytest.raises(ValueError, match="max_boxes must be at least 1, got 0"):
        SelectionThresholds(max_boxes=0)
