import contextlib
import copy
import dataclasses
import io
import itertools
import sys
from pathlib import Path
from typing import NamedTuple

import jaxtyping
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.detectors import ExportError, load_onnx
from evdet.export import compare_onnx, export_onnx
from evdet.export.tracing import memory_parts
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models import SSD, Anchors, BoxHead, DetectionLoss, Detector
from evdet.models.rvt import RVT, RVTPlan
from evdet.pipeline import detect
from evdet.samples import sample_recording
from evdet.synthetic import simulated_windows

SPEC = FrameSpec(
    preprocess="histogram",
    delta_t=50_000,
    height=40,
    width=56,
    in_channels=2,
    class_names=("cat", "dog"),
)


def make(feature_extractor="Vanilla", loss="softmax_focal_loss", num_classes=2, **fields):
    config = DetectionConfig(
        feature_extractor=feature_extractor,
        loss=loss,
        classes=tuple("abcdefghij"[:num_classes]),
        **{
            "feature_base": 2, "feature_channels_out": 4, "num_levels": 2, "head_channels": 4,
            "height": 40, "width": 56, **fields,
        },
    )  # fmt: skip
    return loud(build_detector(config))


def loud(detector):
    """A fresh head finds nothing; this one finds something everywhere, but not the same."""
    torch.manual_seed(0)
    last = detector.head.cls_head[-1]
    nn.init.zeros_(last.bias)
    nn.init.normal_(last.weight, std=3.0)
    nn.init.normal_(detector.head.box_head[-1].weight, std=0.1)
    return detector.eval()


def make_rvt(recurrent="lstm"):
    plan = RVTPlan(channels=(8, 8, 16, 16), head_channels=8, num_blocks=1, recurrent=recurrent)
    detector = RVT(plan, 2, 2, SPEC)
    for level in detector.head.levels:
        for layer in (level.objectness, level.class_logits):
            nn.init.normal_(layer.weight, std=3.0)
            nn.init.zeros_(layer.bias)
    return detector.eval()


class Forgetful(nn.Module):
    """A feature extractor without memory."""

    cout, levels, strides, memory_names = 4, 1, (8,), ()

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=8, padding=1)

    def step(self, clip, memory=None):
        return [self.conv(clip.flatten(0, 1))], ()


def make_forgetful():
    anchors = Anchors(1)
    head = BoxHead(4, anchors.num_anchors, 3, hidden_channels=4)
    criterion = DetectionLoss("softmax_focal_loss")
    return loud(SSD(Forgetful(), anchors, head, criterion, SPEC))


def windows_of(detector, lanes, height, width, *, count=4):
    rng = np.random.default_rng(height)
    shape = (lanes, detector.frame_spec.in_channels, height, width)
    return [rng.random(shape, dtype=np.float32) for _ in range(count)]


def assert_same_detections(ours, theirs):
    """The same boxes; scores that lie within rounding of each other may have swapped places."""
    for lanes, others in zip(ours, theirs, strict=True):
        for found, other in zip(lanes, others, strict=True):
            assert len(found["scores"]) == len(other["scores"])
            rows, other_rows = (
                np.column_stack([each["labels"], each["scores"].round(decimals=3), each["boxes"]])
                for each in (found, other)
            )
            order, other_order = (
                np.lexsort(each[:, ::-1].round(1).T) for each in (rows, other_rows)
            )
            np.testing.assert_allclose(rows[order], other_rows[other_order], atol=2e-2)


# --- what needs no exporter ---


def test_the_detector_must_say_what_its_frames_are(tmp_path):
    detector = make()
    detector.frame_spec = None
    with pytest.raises(ExportError, match="give it a frame_spec"):
        export_onnx(detector, tmp_path / "out.onnx")


def test_the_name_and_the_folder_are_looked_at_first(tmp_path):
    with pytest.raises(ExportError, match=r"out.txt does not end in \.onnx"):
        export_onnx(make(), tmp_path / "out.txt")
    with pytest.raises(ExportError, match=r"the folder .* does not exist"):
        export_onnx(make(), tmp_path / "nowhere" / "out.onnx")


@pytest.mark.parametrize("name", ["onnx", "onnxscript"])
def test_without_a_library_the_remedy_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=rf"{name} .*pip install 'evdet\[onnx\]'"):
        export_onnx(make(), tmp_path / "out.onnx")


def test_without_memory_there_is_nothing_to_describe():
    assert memory_parts(make_forgetful()) == ()


# --- what takes seconds ---


@pytest.fixture
def no_shape_checks():
    """The checks compare every size with others, and torch takes a size that is compared for one
    that stays."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.slow
@pytest.mark.parametrize("feature_extractor", ["Vanilla", "VanillaGRU", "VanillaS5", "VggLike"])
def test_memory_is_described_for_every_size(feature_extractor):
    detector = make(feature_extractor)
    parts = memory_parts(detector)
    with torch.no_grad():
        memory = detector.predict(torch.zeros(1, 2, 3, 41, 75))[2]

    assert tuple(part.name for part in parts) == detector.memory_names
    for part, tensor in zip(parts, memory, strict=True):
        expected = (2, part.channels, -(-41 // part.stride), -(-75 // part.stride))
        assert tensor.shape == expected


@pytest.mark.slow
def test_memory_of_padded_frames_follows_no_stride():
    assert {part.stride for part in memory_parts(make_rvt())} == {None}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("feature_extractor", "loss", "num_classes"),
    [
        ("Vanilla", "softmax_focal_loss", 2),
        ("VanillaGRU", "sigmoid_focal_loss", 1),
        ("VggLike", "softmax_ohem_loss", 10),
        ("VanillaS5", "softmax_focal_loss", 2),
    ],
)
def test_every_part_is_the_same_at_any_batch_and_size(
    tmp_path, no_shape_checks, feature_extractor, loss, num_classes
):
    detector = make(feature_extractor, loss, num_classes, channels_last=num_classes == 1)
    exported = export_onnx(detector, tmp_path / "out.onnx")
    model = load_onnx(exported.path)

    assert exported.free == ("batch", "height", "width")
    assert exported.num_bytes == exported.path.stat().st_size
    assert model.frame_spec == detector.frame_spec
    assert model.memory_names == detector.memory_names
    assert model.num_classes == detector.num_classes == num_classes
    assert model.frame_shape == (None, 3, None, None)
    rng = np.random.default_rng(0)
    sizes = [(1, 40, 56), (3, 16, 16), *rng.integers([1, 16, 16], [4, 120, 120], (4, 3)).tolist()]
    for shape in sizes:
        comparison = compare_onnx(detector, exported.path, windows_of(detector, *shape))
        assert comparison.problem is None, comparison
        assert comparison.num_detections > 0
    clip = torch.from_numpy(np.stack(windows_of(detector, 2, 50, 70)))
    thresholds = SelectionThresholds(score_thresh=0.4, nms_thresh=0.3, max_boxes=40)
    with torch.no_grad():
        expected, _ = detector.step(clip, thresholds=thresholds)
    assert_same_detections(model.step(clip, thresholds=thresholds)[0], expected)
    assert model.knows_time == detector.knows_time == (feature_extractor == "VanillaS5")
    durations = torch.rand(clip.shape[:2], generator=torch.manual_seed(0)) * 99_000 + 1000
    with torch.no_grad():
        expected, memory = detector.step(clip, durations=durations, thresholds=thresholds)
    found, carried = model.step(clip, durations=durations, thresholds=thresholds)
    assert_same_detections(found, expected)
    torch.testing.assert_close(carried, memory, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", ["lstm", "s5"])
def test_attention_in_windows_is_for_one_size_and_any_batch(tmp_path, no_shape_checks, recurrent):
    detector = make_rvt(recurrent)
    exported = export_onnx(detector, tmp_path / "out.onnx")
    model = load_onnx(exported.path)

    assert exported.free == ("batch",)
    assert model.knows_time == (recurrent == "s5")
    assert model.frame_shape == (None, 2, 40, 56)
    for lanes in (1, 3):
        comparison = compare_onnx(detector, exported.path, windows_of(detector, lanes, 40, 56))
        assert comparison.problem is None, comparison
        assert comparison.num_detections > 0
    with pytest.raises(ValueError, match="any x 2 x 40 x 56"):
        model.step(torch.zeros(1, 1, 2, 64, 64))


@pytest.mark.slow
def test_a_detector_without_memory_is_exported(tmp_path, no_shape_checks):
    detector = make_forgetful()
    exported = export_onnx(detector, tmp_path / "out.onnx")
    comparison = compare_onnx(detector, exported.path, windows_of(detector, 2, 33, 47))

    assert exported.free == ("batch", "height", "width")
    assert comparison.problem is None
    assert comparison.memory == 0


@pytest.mark.slow
def test_raw_heads_of_one_shape(tmp_path):
    detector = make()
    path = tmp_path / "out.onnx"
    exported = export_onnx(detector, path, raw_heads=True, fixed_shape=True)
    model = onnx.load(path)

    assert exported.free == ()
    assert load_onnx(path).frame_shape == (1, 3, 40, 56)
    outputs = [output.name for output in model.graph.output]
    assert outputs[:2] == ["candidate_boxes", "candidate_scores"]
    assert "NonMaxSuppression" not in {node.op_type for node in model.graph.node}
    assert compare_onnx(detector, path, windows_of(detector, 1, 40, 56)).problem is None
    clip = torch.from_numpy(np.stack(windows_of(detector, 1, 40, 56)))
    with torch.no_grad():
        expected, _ = detector.step(clip)
    assert_same_detections(load_onnx(path).step(clip)[0], expected)


class Written(NamedTuple):
    """An export, and what else came of it."""

    detector: Detector
    weights_before: dict[str, torch.Tensor]
    path: Path
    said: tuple[str, str]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    detector = make(color=False, height=128, width=128, in_channels=2, num_classes=10).train()
    detector.frame_spec = dataclasses.replace(
        detector.frame_spec,
        preprocess="histogram",
        thresholds=detector.frame_spec.thresholds.but(score_thresh=0.1),
    )
    before = copy.deepcopy(detector.state_dict())
    path = tmp_path_factory.mktemp("export") / "out.onnx"
    said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
        export_onnx(detector, path, fixed_shape=True)
    return Written(detector, before, path, tuple(text.getvalue() for text in said))


@pytest.mark.slow
def test_it_leaves_the_detector_alone_and_says_nothing(written):
    assert written.said == ("", "")
    assert written.detector.training
    for name, weight in written.detector.state_dict().items():
        assert torch.equal(weight, written.weights_before[name])


@pytest.mark.slow
def test_a_file_has_standard_operators_and_no_paths_of_the_writing_machine(written):
    model = onnx.load(written.path)

    assert {node.domain for node in model.graph.node} == {""}
    for thing in (model.graph, *model.graph.node):
        assert not thing.doc_string
        assert not thing.metadata_props
    assert [entry.key for entry in model.metadata_props] == ["evdet"]
    assert b"site-packages" not in written.path.read_bytes()


@pytest.mark.slow
def test_many_windows_of_a_stream_stay_the_same(written):
    windows = simulated_windows(written.detector.frame_spec, 25)
    comparison = compare_onnx(copy.deepcopy(written.detector).eval(), written.path, windows)

    assert comparison.problem is None
    assert comparison.num_windows == 25
    assert comparison.num_detections > 100


@pytest.mark.slow
def test_a_recording_gives_the_same_boxes_through_either(written):
    detector, model = copy.deepcopy(written.detector).eval(), load_onnx(written.path)
    num_boxes = 0
    both = zip(detect(sample_recording(), detector), detect(sample_recording(), model), strict=True)
    # Not for ever: sooner or later a score lies within rounding of the threshold.
    for ours, theirs in itertools.islice(both, 60):
        assert ours.t == theirs.t
        assert len(ours.boxes) == len(theirs.boxes)
        np.testing.assert_array_equal(ours.boxes["class_id"], theirs.boxes["class_id"])
        for name in ("x", "y", "w", "h", "class_confidence"):
            np.testing.assert_allclose(ours.boxes[name], theirs.boxes[name], atol=0.02)
        num_boxes += len(ours.boxes)
    assert num_boxes > 300
