import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from evdet.cli import main
from evdet.detectors import ExportError, load_onnx
from evdet.export import compare_drift, quantize_onnx
from evdet.export.exporting import _sign
from evdet.export.quantizing import _recurrent_nodes
from evdet.export.selection_graph import append_selection
from toy_onnx import METADATA, SPEC

# Two channels -> features; features and memory -> new memory; new memory -> scores.
MODEL = """
<ir_version: 10, opset_import: ["": 18]>
net (float[batch, 2, height, width] frame, float[batch, 1, height, width] memory_sum) => (
    float[batch, anchors, 4] candidate_boxes, float[batch, anchors, 2] candidate_scores,
    float[batch, 1, height, width] next_memory_sum
) <float[1, 4, 4] corners = {0,0,4,4, 1,1,5,5, 2,2,6,6, 3,3,7,7}, int64[2] sides = {2, 3},
   int64[3] as_scores = {0, 4, 2}, float zero = {0}> {
    [stem] features = Conv <pads = [1, 1, 1, 1]> (frame, stem_weight)
    [gate] given = Conv <pads = [1, 1, 1, 1]> (features, gate_weight)
    [state] kept = Conv <pads = [1, 1, 1, 1]> (memory_sum, state_weight)
    [add] sum = Add (given, kept)
    [new] next_memory_sum = Tanh (sum)
    [head] logits = Conv <pads = [1, 1, 1, 1]> (next_memory_sum, head_weight)
    [mean] level = ReduceMean <keepdims = 0> (logits, sides)
    [view] rows = Reshape (level, as_scores)
    [score] candidate_scores = Sigmoid (rows)
    [shift] shift = ReduceMean <keepdims = 0> (rows)
    [zero] none = Mul (shift, zero)
    [boxes] candidate_boxes = Add (corners, none)
}
"""
SHAPES = {"stem": (4, 2, 3, 3), "gate": (1, 4, 3, 3), "state": (1, 1, 3, 3), "head": (8, 1, 3, 3)}


@pytest.fixture
def model():
    model = parser.parse_model(MODEL)
    random = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        values = random.normal(0, 0.4, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, f"{name}_weight"))
    append_selection(model, SPEC.thresholds)
    _sign(model, METADATA)
    return model


@pytest.fixture
def source(model, tmp_path):
    onnx.save(model, tmp_path / "float32.onnx")
    return tmp_path / "float32.onnx"


@pytest.fixture
def frames():
    random = np.random.default_rng(1)
    return [random.random((1, 2, 8, 12), np.float32) for _ in range(20)]


def test_nothing_to_calibrate_with_is_refused(source, tmp_path):
    with pytest.raises(ExportError, match="no time bin"):
        quantize_onnx(source, tmp_path / "int8.onnx", [])
    assert not (tmp_path / "int8.onnx").exists()


def test_what_writes_the_memory_stays_in_float(model):
    found = _recurrent_nodes(model, ["sum"])
    assert {"gate", "state", "add", "new"} <= found
    assert not found & {"stem", "head", "mean", "score"}


def test_a_quantised_model_is_near_float_and_runs_as_any_other(source, tmp_path, frames):
    made = quantize_onnx(source, tmp_path / "int8.onnx", frames)
    assert (made.num_quantized, made.num_float) == (2, 2)
    stored = onnx.load(made.path)
    types = {entry.name: entry.data_type for entry in stored.graph.initializer}
    assert types["state_weight"] == types["gate_weight"] == onnx.TensorProto.FLOAT
    assert "stem_weight" not in types or types["stem_weight"] != onnx.TensorProto.FLOAT

    models = load_onnx(source), load_onnx(made.path)
    assert models[1].frame_spec == models[0].frame_spec
    assert models[1].memory_names == ("sum",)
    *_, last = compare_drift(*models, frames * 30, every=200, score_thresh=0.0)
    assert last.time_bin == 600
    assert 0 < last.memory < 0.05
    assert last.found > 0.9


def test_a_model_does_not_drift_from_itself(source, frames):
    models = load_onnx(source), load_onnx(source)
    entries = list(compare_drift(*models, frames, every=8, score_thresh=0.0))
    assert [entry.time_bin for entry in entries] == [8, 16, 20]
    assert all(entry.memory == 0 and entry.found == 1 for entry in entries)
    assert list(compare_drift(*models, [])) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--int8"], "--int8 and --calibrate belong together"),
        (["--calibrate", "sample"], "--int8 and --calibrate belong together"),
        (["--raw-heads", "--fixed-thresholds"], "--raw-heads leaves thresholds out"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_any_work(tmp_path, capsys, words, reason):
    assert main(["export", "events-digits", str(tmp_path / "a.onnx"), *words]) == 2
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
