"""`select_boxes` as ONNX operators: the selection inside an exported model."""

from typing import TYPE_CHECKING, Any

from evdet.detectors import CANDIDATES, THRESHOLDS
from evdet.frame_spec import SelectionThresholds

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["OPSET", "append_selection"]

OPSET = 18
"""Version of the operators; torch >= 2.6 writes it without a conversion."""

# Every step corresponds to one in models/postprocess.py. `best` and `chosen` are the candidates of
# a frame, best first; of equal values TopK puts the lower index first. NonMaxSuppression is given
# ranks in this order instead of scores, so that its own rule for ties has no effect, and a mask
# restores this order in its result. With `agnostic` all candidates are of one group.
_SELECTION = f"""
<ir_version: 8, opset_import: ["": {OPSET}]>
select (
    float[batch, channels, height, width] frame,
    float[batch, anchors, 4] candidate_boxes,
    float[batch, anchors, classes] candidate_scores,
    float score_thresh, float nms_thresh, int64 max_boxes, bool agnostic
) => (
    float[detections, 4] boxes, int64[detections] labels,
    float[detections] scores, int64[detections] batch_index
) <
    int64[1] select_flat = {{-1}}, int64[1] select_axis1 = {{1}}, int64[1] select_axis2 = {{2}},
    int64[2] select_lane_and_place = {{0, 2}}, int64 select_zero = {{0}}, int64 select_one = {{1}},
    int64 select_minus_one = {{-1}}, float select_0 = {{0}}, float select_half = {{0.5}},
    float select_no_score = {{-1}}
> {{
    select_all = Flatten <axis = 1> (candidate_scores)
    select_is_over = GreaterOrEqual (select_all, score_thresh)
    select_values = Where (select_is_over, select_all, select_no_score)
    select_num_all = Shape <start = 1> (select_all)
    select_most = Reshape (max_boxes, select_flat)
    select_num = Min (select_num_all, select_most)
    select_best, select_index = TopK (select_values, select_num)
    select_num_classes = Shape <start = 2> (candidate_scores)
    select_class = Mod (select_index, select_num_classes)
    select_anchor = Div (select_index, select_num_classes)
    select_anchor_rows = Unsqueeze (select_anchor, select_axis2)
    select_chosen = GatherND <batch_dims = 1> (candidate_boxes, select_anchor_rows)

    select_count = Squeeze (select_num)
    select_places = Range (select_count, select_zero, select_minus_one)
    select_ranks = Cast <to = 1> (select_places)
    select_is_valid = GreaterOrEqual (select_best, select_0)
    select_valid_ranks = Where (select_is_valid, select_ranks, select_0)
    select_rank_row = Unsqueeze (select_valid_ranks, select_axis1)
    select_group = Where (agnostic, select_zero, select_class)
    select_class_row = Unsqueeze (select_group, select_axis1)
    select_class_count = Squeeze (select_num_classes)
    select_classes = Range (select_zero, select_class_count, select_one)
    select_class_column = Unsqueeze (select_classes, select_axis1)
    select_is_of_class = Equal (select_class_row, select_class_column)
    select_ranks_of_class = Where (select_is_of_class, select_rank_row, select_0)
    select_kept = NonMaxSuppression (
        select_chosen, select_ranks_of_class, select_num, nms_thresh, select_half
    )

    select_kept_at = Gather <axis = 1> (select_kept, select_lane_and_place)
    select_num_kept = Shape <end = 1> (select_kept)
    select_ones = Expand (select_one, select_num_kept)
    select_zeros = Mul (select_index, select_zero)
    select_mask = ScatterND (select_zeros, select_kept_at, select_ones)
    select_found = NonZero (select_mask)
    select_rows = Transpose <perm = [1, 0]> (select_found)
    scores = GatherND (select_best, select_rows)
    select_found_class = GatherND (select_class, select_rows)
    labels = Add (select_found_class, select_one)
    batch_index = Gather <axis = 0> (select_found, select_zero)
    select_found_boxes = GatherND (select_chosen, select_rows)
    select_height = Shape <start = 2, end = 3> (frame)
    select_width = Shape <start = 3, end = 4> (frame)
    select_borders = Concat <axis = 0> (select_width, select_height, select_width, select_height)
    select_limits = Cast <to = 1> (select_borders)
    select_cut = Min (select_found_boxes, select_limits)
    boxes = Max (select_cut, select_0)
}}
"""


def append_selection(
    model: "ModelProto", thresholds: SelectionThresholds, *, fixed_thresholds: bool = False
) -> None:
    """Append the selection of the final boxes to a model, in place.

    Args:
        model: has the input `FRAME` and the outputs `CANDIDATES`; these become inner values, and
            `DETECTIONS` replace them.
        thresholds: the defaults of the optional inputs `THRESHOLDS`.
        fixed_thresholds: make them constants instead of inputs.
    """
    from onnx import helper, parser

    selection: Any = parser.parse_model(_SELECTION).graph
    graph: Any = model.graph
    for name in THRESHOLDS:
        value = next(entry for entry in selection.input if entry.name == name)
        kind = value.type.tensor_type.elem_type
        default = helper.make_tensor(_inner(name), kind, [], [getattr(thresholds, name)])
        if fixed_thresholds:
            graph.initializer.append(default)
            continue
        # Not an initializer that is an input, too: onnxruntime warns of each, and does not let it
        # be left out of programs in other languages.
        graph.input.append(
            helper.make_value_info(
                name, helper.make_optional_type_proto(helper.make_tensor_type_proto(kind, []))
            )
        )
        graph.node.extend(_given_or(name, default))
    for node in selection.node:
        inputs = [_inner(name) if name in THRESHOLDS else name for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
    graph.node.extend(selection.node)
    graph.initializer.extend(selection.initializer)
    kept = [output for output in graph.output if output.name not in CANDIDATES]
    del graph.output[:]
    graph.output.extend([*selection.output, *kept])


def _inner(threshold: str) -> str:
    return f"select_{threshold}"


def _given_or(name: str, default: Any) -> list[Any]:
    """The nodes that give the value of an optional input, or its default."""
    from onnx import helper

    kind = default.data_type
    given, usual = f"select_given_{name}", f"select_default_{name}"
    branches = {
        "then_branch": helper.make_graph(
            [helper.make_node("OptionalGetElement", [name], [given])],
            given,
            [],
            [helper.make_tensor_value_info(given, kind, [])],
        ),
        "else_branch": helper.make_graph(
            [helper.make_node("Constant", [], [usual], value=default)],
            usual,
            [],
            [helper.make_tensor_value_info(usual, kind, [])],
        ),
    }
    is_given = f"select_has_{name}"
    return [
        helper.make_node("OptionalHasElement", [name], [is_given]),
        helper.make_node("If", [is_given], [_inner(name)], **branches),
    ]
