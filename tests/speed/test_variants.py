import copy
import os
import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

from evdet.speed.variants import DEFAULT_VARIANTS, EAGER, VariantError, in_half, prepare_variant


def assert_detects_the_same(variant, detector, thresholds, clips):
    expected_memory = memory = None
    with torch.no_grad():
        for clip in clips:
            expected, expected_memory = detector.step(clip, expected_memory, thresholds=thresholds)
            found, memory = variant.step(clip, memory)
            assert len(found[0][0]["boxes"]) > 0
            for name, value in found[0][0].items():
                assert_close(value, expected[0][0][name], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", [EAGER, "fold", "channels-last", "fold+channels-last"])
def test_a_variant_changes_nothing_but_the_speed(any_detector, thresholds, clips, name):
    before = {key: value.clone() for key, value in any_detector.state_dict().items()}
    variant = prepare_variant(name, any_detector, clips, thresholds)

    assert variant.name == name
    assert variant.difference.boxes < 1e-3
    assert variant.difference.scores < 1e-5
    assert variant.seconds > 0
    assert_detects_the_same(variant, any_detector, thresholds, clips)
    for key, value in any_detector.state_dict().items():
        assert torch.equal(value, before[key])


def test_the_order_of_the_weights_is_a_variant_even_where_the_configuration_chose_one(
    detector, thresholds, clips
):
    orders = []
    for weight in detector.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    for name in (EAGER, "channels-last"):
        variant = prepare_variant(name, detector, clips, thresholds)
        predict = variant.step.args[0]
        weight = predict.__self__.feature_extractor.stem[1].body[0][0].weight
        orders.append(weight.is_contiguous(memory_format=torch.channels_last))
    assert orders == [False, True]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without an accelerator")
@pytest.mark.parametrize("name", ["half", "fold+graphs"])
def test_what_needs_an_accelerator_says_so(detector, thresholds, clips, name):
    with pytest.raises(VariantError, match="needs an accelerator"):
        prepare_variant(name, detector, clips, thresholds)


@pytest.mark.parametrize("name", ["", "flod", "fold+fast", "onnx+fold", "eager+fold"])
def test_an_unknown_variant_is_named_with_those_there_are(detector, thresholds, clips, name):
    with pytest.raises(ValueError, match=r"unknown variant.*choose onnx, or.*fold, channels-last"):
        prepare_variant(name, detector, clips, thresholds)


def test_half_precision_stays_near(any_detector, clips):
    memory = half_memory = None
    half = in_half(copy.deepcopy(any_detector))
    with torch.no_grad():
        for clip in clips:
            boxes, scores, memory = any_detector.predict(clip, memory)
            half_boxes, half_scores, half_memory = half(clip, half_memory)
            assert half_boxes.dtype == half_scores.dtype == torch.float32
            assert {part.dtype for part in half_memory} == {torch.float16}
            # Which class of a candidate is the likeliest may change where two are.
            assert_close(half_scores.amax(-1), scores.amax(-1), atol=0.05, rtol=0)
            assert (half_boxes - boxes).abs().median() < 0.5


@pytest.mark.gpu
@pytest.mark.parametrize("name", [name for name in DEFAULT_VARIANTS if name != "onnx"])
def test_every_variant_can_be_pulled_on_an_accelerator(detector, thresholds, clips, name):
    on_device = [clip.cuda() for clip in clips]
    variant = prepare_variant(name, detector.cuda(), on_device, thresholds)
    assert variant.difference.scores < (0.05 if "half" in name else 1e-3)


@pytest.mark.slow
def test_an_export_detects_the_same(detector, thresholds, clips):
    pytest.importorskip("onnxruntime")
    variant = prepare_variant("onnx", detector, clips, thresholds)
    assert variant.difference.boxes < 1e-2
    assert variant.difference.scores < 1e-5
    assert_detects_the_same(variant, detector, thresholds, clips)


# In a process of its own: the checks of shapes in this one are more than a compiler can follow.
COMPILED = """
import itertools, torch
from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.speed.variants import VariantError, prepare_variant
from evdet.frame_spec import SelectionThresholds

detector = build_detector(DetectionConfig(
    dataset_path="nowhere", preprocess="histogram", in_channels=2, classes=("cat",), height=32,
    width=32, feature_extractor="VggLike", feature_base=2, feature_channels_out=4, num_levels=1,
    head_channels=4)).eval()
clips = list(torch.rand(3, 1, 1, 2, 32, 32))
thresholds = SelectionThresholds(score_thresh=0.0, nms_thresh=0.5, max_boxes=50)
try:
    variant = prepare_variant("fold+compile", detector, clips, thresholds)
except VariantError as error:
    print(error)
else:
    print(variant.difference.boxes < 1e-3 and variant.difference.scores < 1e-5)
"""


def run_compiled(**surroundings):
    done = subprocess.run(
        [sys.executable, "-c", COMPILED],
        env={**os.environ, "OMP_NUM_THREADS": "1", **surroundings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_compiled_detector_gives_the_same_or_says_what_is_missing():
    said = run_compiled()
    assert said == "True" or "compiler" in said


@pytest.mark.slow
def test_without_a_compiler_one_line_says_so(tmp_path):
    missing = {
        "CXX": "/nonexistent",
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
    }
    said = run_compiled(**missing)
    assert said.startswith("torch.compile fails: ")
    assert "compiler" in said
    assert "\n" not in said
