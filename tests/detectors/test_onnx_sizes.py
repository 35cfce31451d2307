"""Models that ask for giant tensors are refused before onnxruntime opens them."""

import re

import onnx
import pytest
from onnx import parser

from evdet.detectors.onnx_detector import load_onnx
from evdet.detectors.onnx_errors import ExportError
from evdet.detectors.onnx_sizes import check_sizes

HEAD = '<ir_version: 8, opset_import: ["": 18]>'
# 40,000 x 40,000 numbers of 32 bits.
GIANTS = {
    "ConstantOfShape": "giant = ConstantOfShape (sides)",
    "Expand": "giant = Expand (one, sides)",
    "Tile": "row = Expand (one, side) giant = Tile (row, sides)",
    "Pad": "row = Expand (one, side) giant = Pad (row, pads)",
    "Resize": "row = Expand (one, side) giant = Resize (row, , , sides)",
    "Range": "giant = Range (zero, many, step)",
    "a frame": "giant = Expand (frame, sides4)",
    "what is computed": "whole = Mul (sides, twice) giant = ConstantOfShape (whole)",
    "EyeLike": "giant = EyeLike (line) line = Expand (one, sides)",
}


def model_of(body):
    text = f"""{HEAD}
    giants (float[batch, 2, height, width] frame) => (float[n, m] total) <
        int64[2] sides = {{40000, 40000}}, int64[2] side = {{1, 1}}, int64[2] twice = {{1, 2}},
        int64[4] sides4 = {{1, 2, 40000, 40000}}, int64[4] pads = {{0, 0, 40000, 40000}},
        float[1, 1] one = {{1}}, int64 zero = {{0}}, int64 step = {{1}},
        int64 many = {{4000000000}}
    > {{ {body} total = Identity (giant) }}"""
    return parser.parse_model(text)


def refusal(model):
    with pytest.raises(ExportError) as raised:
        check_sizes(model.SerializeToString(), "a.onnx")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_model_of_small_tensors_passes(toy_path):
    check_sizes(toy_path.read_bytes(), "toy.onnx")
    check_sizes(model_of("giant = Expand (one, twice)").SerializeToString(), "a.onnx")


@pytest.mark.parametrize("kind", GIANTS)
def test_a_giant_tensor_is_refused(kind):
    message = refusal(model_of(GIANTS[kind]))
    assert re.search(r"a\.onnx would make tensors of [\d,]{13,} bytes \(at \w+\)", message)


def test_constants_are_added_up():
    # 800 MB each.
    lines = [f"c{i} = ConstantOfShape (size)" for i in range(2)]
    model = model_of("giant = Identity (one) " + " ".join(lines))
    size = onnx.helper.make_tensor("size", onnx.TensorProto.INT64, [1], [200_000_000])
    model.graph.initializer.append(size)
    assert "1,600,000,004 bytes" in refusal(model)


def test_giants_in_branches_are_found():
    inner = model_of(GIANTS["Expand"]).graph
    del inner.input[:]
    node = onnx.helper.make_node("If", ["yes"], ["giant"], then_branch=inner, else_branch=inner)
    model = model_of("giant = Identity (one)")
    del model.graph.node[0]
    model.graph.node.insert(0, node)
    yes = onnx.helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True])
    model.graph.initializer.append(yes)
    assert "at If" in refusal(model)


def test_giants_in_functions_are_found():
    text = f"""{HEAD[:-1]}, functions: 1>""".replace(", functions: 1", "")
    model = parser.parse_model(
        text.replace('["": 18]', '["": 18, "own": 1]')
        + """
        calls (float[n] frame) => (float[m, k] total) <int64[2] sides = {40000, 40000}>
        { total = own.fill (sides) }
        <domain: "own", opset_import: ["": 18]>
        fill (shape) => (full) { full = ConstantOfShape (shape) }"""
    )
    assert "at ConstantOfShape" in refusal(model)


def test_weights_are_not_looked_at():
    """Large tensors that the file has are no tensors that it makes."""
    model = model_of("giant = Identity (one)")
    weights = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1000], [0.5] * 1000)
    model.graph.initializer.append(weights)
    check_sizes(model.SerializeToString(), "a.onnx")


def test_a_detector_with_a_giant_constant_is_not_opened(make_toy, tmp_path):
    path = make_toy(tmp_path / "toy.onnx")
    model = onnx.load(path)
    giant = parser.parse_model(
        HEAD + " g (float x) => (float y) <int64[2] sides = {60000, 60000}> "
        "{ full = ConstantOfShape (sides) zero = ReduceMax <keepdims: int = 0> (full) "
        "y = Add (x, zero) }"
    ).graph
    model.graph.initializer.extend(giant.initializer)
    for at, node in enumerate(giant.node[:2]):
        model.graph.node.insert(at, node)
    faded = next(node for node in model.graph.node if "drift" in node.input)
    faded.input[list(faded.input).index("drift")] = "zero"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ExportError, match=r"toy\.onnx would make tensors of 14,400,000,000 bytes"):
        load_onnx(path)


def test_what_is_no_model_is_left_to_onnxruntime():
    check_sizes(b"no model", "a.onnx")
