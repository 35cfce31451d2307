import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.events.dtypes import SensorSize
from evdet.labels.box_rules import BoxRules, apply_rules, is_outside

SIZE = SensorSize(height=100, width=200)
SIDE = st.floats(-300, 300, width=32)


def boxes_of(*xywh):
    boxes = np.zeros(len(xywh), BOX_DTYPE)
    for box, sides in zip(boxes, xywh, strict=True):
        box["x"], box["y"], box["w"], box["h"] = sides
    return boxes


def sides(boxes):
    return [tuple(float(box[name]) for name in ("x", "y", "w", "h")) for box in boxes]


def test_no_boxes_are_no_boxes():
    kept, counts = apply_rules(boxes_of(), BoxRules(), SIZE)

    assert len(kept) == 0
    assert counts == {}


def test_boxes_inside_stay_as_they_are():
    inside = boxes_of((0, 0, 200, 100), (10.1, 20.2, 30.3, 40.4))

    kept, counts = apply_rules(inside, BoxRules(), SIZE)

    np.testing.assert_array_equal(kept, inside)
    assert counts == {}


def test_a_box_partly_outside_is_clipped_and_counted():
    kept, counts = apply_rules(boxes_of((-5, 90, 20, 30)), BoxRules(), SIZE)

    assert sides(kept) == [(0, 90, 15, 10)]
    assert counts == {"clipped": 1}


@pytest.mark.parametrize("box", [(200, 5, 9, 9), (-9, 5, 9, 9), (5, 100, 9, 9), (5, -20, 9, 9)])
def test_a_box_wholly_outside_is_dropped(box):
    kept, counts = apply_rules(boxes_of(box), BoxRules(), SIZE)

    assert len(kept) == 0
    assert counts == {"outside the sensor": 1}


def test_without_clipping_boxes_may_reach_outside():
    outside = boxes_of((-5, 0, 20, 20), (300, 0, 5, 5))

    kept, counts = apply_rules(outside, BoxRules(clip=False), SIZE)

    np.testing.assert_array_equal(kept, outside)
    assert counts == {}


def test_boxes_that_no_loss_can_use_are_always_dropped():
    bad = boxes_of((0, 0, np.nan, 5), (np.inf, 0, 5, 5), (0, 0, 0, 5), (0, 0, 5, -1))

    kept, counts = apply_rules(bad, BoxRules(clip=False), SIZE)

    assert len(kept) == 0
    assert counts == {"not finite": 2, "without area": 2}


def test_small_boxes_are_dropped_by_side_and_by_diagonal():
    rules = BoxRules(min_box_side=10.0, min_box_diag=30.0)
    kept, counts = apply_rules(boxes_of((0, 0, 9, 90), (0, 0, 20, 20), (0, 0, 30, 30)), rules, SIZE)

    assert sides(kept) == [(0, 0, 30, 30)]
    assert counts == {"side too short": 1, "diagonal too short": 1}


def test_a_box_is_measured_after_clipping():
    _, counts = apply_rules(boxes_of((190, 0, 100, 50)), BoxRules(min_box_side=20.0), SIZE)

    assert counts == {"clipped": 1, "side too short": 1}


def test_boxes_as_wide_as_the_frame_are_dropped_by_option():
    wide = boxes_of((0, 0, 199, 5), (0, 0, 180, 5))

    assert len(apply_rules(wide, BoxRules(), SIZE)[0]) == 2
    kept, counts = apply_rules(wide, BoxRules(max_box_share=0.9), SIZE)
    assert sides(kept) == [(0, 0, 180, 5)]
    assert counts == {"too wide": 1}


@given(st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE)), st.floats(0, 50), st.floats(0, 50))
def test_kept_and_dropped_boxes_add_up_and_obey_the_rules(rows, side, diag):
    rules = BoxRules(min_box_side=side, min_box_diag=diag, max_box_share=0.8)

    kept, counts = apply_rules(boxes_of(*rows), rules, SIZE)

    assert len(kept) + sum(n for reason, n in counts.items() if reason != "clipped") == len(rows)
    assert (kept["w"] > 0).all()
    assert (kept["h"] > 0).all()
    assert (np.minimum(kept["w"], kept["h"]) >= side).all()
    assert (kept["x"] >= 0).all()
    assert (kept["x"].astype(float) + kept["w"] <= 200 + 1e-4).all()
    assert not is_outside(kept, SIZE).any()


@given(st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE)))
def test_the_rules_drop_nothing_the_second_time(rows):
    once, _ = apply_rules(boxes_of(*rows), BoxRules(), SIZE)
    twice, counts = apply_rules(once, BoxRules(), SIZE)

    assert set(counts) <= {"clipped"}  # by less than a float32 tells
    np.testing.assert_allclose(sides(twice), sides(once), atol=1e-4)


def test_the_callers_boxes_stay_as_they_were():
    boxes = boxes_of((-5, 0, 20, 20), (0, 0, -1, 5))
    before = boxes.copy()
    apply_rules(boxes, BoxRules(min_box_diag=3.0), SIZE)
    np.testing.assert_array_equal(boxes, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_box_diag": -1.0}, "min_box_diag must be 0 or more pixels, got -1"),
        ({"min_box_side": float("nan")}, "min_box_side must be 0 or more pixels, got nan"),
        ({"max_box_share": 0.0}, r"max_box_share must be in \(0, 1\], got 0.0"),
        ({"max_box_share": 90.0}, "share of the sensor's width"),
    ],
)
def test_silly_rules_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BoxRules(**options)
