import numpy as np
import onnxruntime
import pytest
import torch

from evdet.cli import main
from evdet.detectors import ExportError, load_onnx, open_detector
from evdet.detectors.onnx_session import PROVIDERS
from evdet.frame_spec import SelectionThresholds
from toy_onnx import SPEC, toy_text


@pytest.fixture
def started(monkeypatch):
    """Stands in for an onnxruntime with every provider: records what it was asked for."""
    asked = []
    real = onnxruntime.InferenceSession

    class Session:
        def __init__(self, content, options, providers):
            asked.append((providers, options.enable_mem_pattern))
            self._names = [name for name, _ in providers]
            self._session = real(content, options, providers=["CPUExecutionProvider"])

        def get_providers(self):
            return self._names

        def __getattr__(self, name):
            return getattr(self._session, name)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(PROVIDERS.values()))
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return asked


def test_without_providers_a_model_runs_on_the_cpu(toy_path):
    for providers in ((), ["cpu"], ["CPUExecutionProvider"], [("cpu", {})]):
        detector = load_onnx(toy_path, providers=providers)
        assert detector.providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize(
    ("short", "name", "package"),
    [
        ("cuda", "CUDAExecutionProvider", "onnxruntime-gpu"),
        ("tensorrt", "TensorrtExecutionProvider", "onnxruntime-gpu"),
        ("openvino", "OpenVINOExecutionProvider", "onnxruntime-openvino"),
        ("directml", "DmlExecutionProvider", "onnxruntime-directml"),
        ("coreml", "CoreMLExecutionProvider", "onnxruntime, on macOS"),
    ],
)
def test_a_provider_that_is_missing_names_its_package(toy_path, monkeypatch, short, name, package):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for asked in (short, name, (name, {"device_id": 0}), short.upper()):
        with pytest.raises(ExportError, match=f"provider {short} is not part of") as refusal:
            load_onnx(toy_path, providers=[asked])
        assert f"pip install {package}" in str(refusal.value)
        assert "which has cpu" in str(refusal.value)


def test_an_unknown_provider_is_refused_with_the_list(toy_path):
    with pytest.raises(ExportError, match=r"'gpu' is not an execution provider.*cuda"):
        load_onnx(toy_path, providers=["gpu"])


def test_providers_are_passed_in_order_with_their_options_and_the_cpu_last(toy_path, started):
    detector = load_onnx(toy_path, providers=[("tensorrt", {"trt_fp16_enable": True}), "cuda"])
    ((asked, mem_pattern),) = started[:1]
    assert asked == [
        ("TensorrtExecutionProvider", {"trt_fp16_enable": True}),
        ("CUDAExecutionProvider", {}),
        ("CPUExecutionProvider", {}),
    ]
    assert mem_pattern
    assert detector.providers[0] == "TensorrtExecutionProvider"


def test_openvino_computes_in_32_bits_unless_told_otherwise(toy_path, started):
    load_onnx(toy_path, providers=["openvino"])
    load_onnx(toy_path, providers=[("openvino", {"load_config": "{}", "device_type": "GPU"})])
    assert "f32" in started[0][0][0][1]["load_config"]
    assert started[1][0][0][1] == {"load_config": "{}", "device_type": "GPU"}


def test_directml_plans_no_memory(toy_path, started):
    load_onnx(toy_path, providers=["directml"])
    assert started[0][1] is False


def test_a_provider_that_does_not_start_is_not_replaced_in_silence(toy_path, monkeypatch):
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(PROVIDERS.values()))
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda content, options, providers: real(
            content, options, providers=["CPUExecutionProvider"]
        ),
    )
    with pytest.raises(ExportError, match="cannot start CUDAExecutionProvider"):
        load_onnx(toy_path, providers=["cuda"])


def test_a_checkpoint_takes_no_provider(tmp_path, capsys):
    with pytest.raises(ValueError, match="--provider is of exported models"):
        open_detector("events-digits", providers=["cpu"])
    for words in (
        ["detect", "sample", "--checkpoint", "events-digits"],
        ["evaluate", "events-digits"],
    ):
        assert main([*words, "--provider", "cuda", "cpu"]) == 2
        assert "--provider is of exported models" in capsys.readouterr().err


def test_a_command_passes_its_providers(toy_path, capsys):
    assert main(["detect", "sample", "--checkpoint", str(toy_path), "--provider", "coreml"]) == 2
    assert "provider coreml is not part of the installed onnxruntime" in capsys.readouterr().err


@pytest.mark.slow
def test_openvino_agrees_with_the_cpu(toy_path):
    if "OpenVINOExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-openvino is not installed")
    models = load_onnx(toy_path), load_onnx(toy_path, providers=["openvino"])
    clip = torch.rand(20, 2, 2, 8, 12)
    thresholds = SelectionThresholds(score_thresh=0.0)
    (first, memory), (second, other) = (one.step(clip, thresholds=thresholds) for one in models)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(memory, other, strict=True))
    for lanes, others in zip(first, second, strict=True):
        for lane, same in zip(lanes, others, strict=True):
            assert torch.allclose(lane["boxes"], same["boxes"], atol=1e-2)
            assert torch.allclose(lane["scores"], same["scores"], atol=1e-4)


@pytest.fixture
def fixed(tmp_path):
    from onnx import parser

    from evdet.export.exporting import _sign
    from evdet.export.selection_graph import append_selection
    from toy_onnx import METADATA

    model = parser.parse_model(toy_text("height, width", 0.0))
    append_selection(model, SPEC.thresholds, fixed_thresholds=True)
    _sign(model, METADATA)
    path = tmp_path / "fixed.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_fixed_thresholds_give_the_same_boxes_and_higher_scores_alone(fixed, toy_path):
    clip, usual = torch.rand(6, 2, 2, 8, 12), SPEC.thresholds
    model, free = load_onnx(fixed), load_onnx(toy_path)
    assert model.has_fixed_thresholds
    assert not free.has_fixed_thresholds
    expected, _ = free.step(clip, thresholds=usual)
    assert_same(model.step(clip)[0], expected)
    higher = usual.but(score_thresh=max(0.7, usual.score_thresh))
    assert_same(model.step(clip, thresholds=higher)[0], free.step(clip, thresholds=higher)[0])
    for asked in ({"score_thresh": usual.score_thresh / 2}, {"nms_thresh": 0.123}):
        with pytest.raises(ExportError, match="fixed thresholds"):
            model.step(clip, thresholds=usual.but(**asked))


def test_thresholds_may_be_left_out_or_given_and_nothing_is_printed(toy_path, fixed, capfd):
    feed = {
        "frame": np.random.default_rng(0).random((1, 2, 8, 12), np.float32),
        "memory_sum": np.zeros((1, 1, 8, 12), np.float32),
    }
    session = onnxruntime.InferenceSession(toy_path, providers=["CPUExecutionProvider"])
    usual = session.run(["scores"], feed)[0]
    none = session.run(["scores"], feed | {"score_thresh": np.array(1.1, np.float32)})[0]
    assert len(usual) > len(none) == 0
    constant = onnxruntime.InferenceSession(fixed, providers=["CPUExecutionProvider"])
    assert np.array_equal(constant.run(["scores"], feed)[0], usual)
    # Not of the toy's own tensors.
    lines = [line for line in capfd.readouterr().err.splitlines() if "thresh" in line]
    assert lines == []


def assert_same(found, expected):
    for lanes, others in zip(found, expected, strict=True):
        for lane, other in zip(lanes, others, strict=True):
            for name in ("boxes", "labels", "scores"):
                assert torch.equal(lane[name], other[name])
