import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from onnx import parser
from onnxruntime import InferenceSession

from evdet.detectors.onnx_metadata import DETECTIONS
from evdet.export.selection_graph import append_selection
from evdet.frame_spec import SelectionThresholds
from evdet.models.postprocess import select_boxes, to_detections

SIZE = (70, 80)
DEFAULTS = SelectionThresholds(score_thresh=0.25, nms_thresh=0.5, max_boxes=7)
GIVEN = """
<ir_version: 8, opset_import: ["": 18]>
given (
    float[batch, 1, height, width] frame, float[batch, anchors, 4] boxes_in,
    float[batch, anchors, classes] scores_in
) => (
    float[batch, anchors, 4] candidate_boxes, float[batch, anchors, classes] candidate_scores
) {
    candidate_boxes = Identity (boxes_in)
    candidate_scores = Identity (scores_in)
}
"""


@pytest.fixture(scope="module")
def session():
    model = parser.parse_model(GIVEN)
    append_selection(model, DEFAULTS)
    return InferenceSession(model.SerializeToString())


def run(session, boxes, scores, **thresholds):
    frame = np.zeros((len(boxes), 1, *SIZE), np.float32)
    feed = {"frame": frame, "boxes_in": boxes.numpy(), "scores_in": scores.numpy()}
    for name, value in thresholds.items():
        kind = {"max_boxes": np.int64, "agnostic": np.bool_}.get(name, np.float32)
        feed[name] = np.array(value, kind)
    return dict(zip(DETECTIONS, session.run(DETECTIONS, feed), strict=True))


def assert_same(session, boxes, scores, **thresholds):
    found = run(session, boxes, scores, **thresholds)
    selection = select_boxes(boxes, scores, SIZE, DEFAULTS.but(**thresholds))
    [lanes] = to_detections(selection, len(boxes))
    np.testing.assert_array_equal(
        found["batch_index"],
        np.repeat(np.arange(len(lanes)), [len(lane["scores"]) for lane in lanes]),
    )
    for name in ("boxes", "labels", "scores"):
        expected = torch.cat([lane[name] for lane in lanes]).numpy()
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype


def random_boxes(generator, num_lanes, num_anchors, *, is_rounded):
    boxes = torch.rand(num_lanes, num_anchors, 4, generator=generator) * 100 - 10
    boxes[..., 2:] = (
        boxes[..., :2] + torch.rand(num_lanes, num_anchors, 2, generator=generator) * 60
    )
    return boxes.round() if is_rounded else boxes


def test_nothing_found_is_empty_arrays(session):
    found = run(session, torch.zeros(2, 5, 4), torch.zeros(2, 5, 3))

    assert found["boxes"].shape == (0, 4)
    for name in ("labels", "scores", "batch_index"):
        assert found[name].shape == (0,)


@given(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.integers(1, 60),
    st.sampled_from([1, 2, 10]),
    st.booleans(),
    st.sampled_from([0.0, 0.05, 0.5, 0.9]),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.sampled_from([1, 5, 30, 500]),
    st.booleans(),
)
def test_it_is_what_torch_selects(
    session,
    seed,
    lanes,
    anchors,
    classes,
    is_rounded,
    score_thresh,
    nms_thresh,
    max_boxes,
    agnostic,
):
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(generator, lanes, anchors, is_rounded=is_rounded)
    # Few different scores: ties are common.
    scores = torch.randint(0, 8, (lanes, anchors, classes), generator=generator) / 8

    assert_same(
        session,
        boxes,
        scores,
        score_thresh=score_thresh,
        nms_thresh=nms_thresh,
        max_boxes=max_boxes,
        agnostic=agnostic,
    )


def test_thresholds_that_are_left_out_have_their_defaults(session):
    generator = torch.Generator().manual_seed(0)
    boxes = random_boxes(generator, 2, 40, is_rounded=False)
    scores = torch.rand(2, 40, 2, generator=generator)

    assert_same(session, boxes, scores)
    assert_same(session, boxes, scores, score_thresh=0.9)


def test_of_equal_scores_the_lower_anchor_wins_then_the_lower_class(session):
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 9], [40, 40, 50, 50]]])
    scores = torch.full((1, 3, 2), 0.5)
    found = run(session, boxes, scores)

    np.testing.assert_array_equal(found["labels"], [1, 2, 1, 2])
    np.testing.assert_array_equal(found["boxes"][:, 3], [10, 10, 50, 50])
    assert_same(session, boxes, scores)


def test_a_score_on_the_threshold_stays_and_a_score_that_is_no_number_goes(session):
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]]])
    scores = torch.tensor([[[0.25], [float("nan")], [0.2]]])

    assert run(session, boxes, scores)["scores"].tolist() == [0.25]
    assert_same(session, boxes, scores)


def test_an_overlap_on_the_threshold_stays(session):
    # Intersection over union is 1/2, exactly.
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 20]]])
    scores = torch.tensor([[[0.9], [0.8]]])

    assert len(run(session, boxes, scores)["scores"]) == 2
    assert len(run(session, boxes, scores, nms_thresh=0.49)["scores"]) == 1


def test_boxes_end_at_the_border_of_the_frame_after_their_overlaps_are_known(session):
    boxes = torch.tensor([[[-20.0, -5, 10, 10], [0, 0, 10, 10], [70, 60, 200, 300]]])
    scores = torch.tensor([[[0.9], [0.8], [0.7]]])
    found = run(session, boxes, scores)

    np.testing.assert_array_equal(
        found["boxes"], [[0, 0, 10, 10], [0, 0, 10, 10], [70, 60, 80, 70]]
    )
