import json
import sys

import numpy as np
import onnx
import pytest
import torch
from torch.testing import assert_close

from evdet.boxes import pairwise_iou
from evdet.detectors import ExportError, load_onnx
from evdet.detectors.onnx_metadata import METADATA_KEY
from evdet.frame_spec import SelectionThresholds
from evdet.models.postprocess import select_boxes, to_detections

THRESHOLDS = SelectionThresholds(score_thresh=0.3, nms_thresh=0.6, max_boxes=5)


def by_torch(toy, clip, memory=None, *, thresholds, durations=None):
    boxes, scores, memory = toy.predict(clip, memory, durations=durations)
    selection = select_boxes(boxes, scores, clip.shape[-2:], thresholds)
    return to_detections(selection, clip.shape[1]), memory


def assert_same_detections(first, second):
    for lanes, others in zip(first, second, strict=True):
        for found, other in zip(lanes, others, strict=True):
            assert found.keys() == other.keys()
            for name in found:
                assert_close(found[name], other[name])


def test_it_says_what_it_is(toy, toy_path):
    detector = load_onnx(toy_path)

    assert detector.frame_spec == toy.frame_spec
    assert detector.memory_names == ("sum",)
    assert detector.num_classes == 2
    assert detector.frame_shape == (None, 2, None, None)


@pytest.mark.parametrize("raw_heads", [False, True])
def test_a_step_is_that_of_torch(toy, make_toy, tmp_path, raw_heads):
    detector = load_onnx(make_toy(tmp_path / "toy.onnx", raw_heads=raw_heads))
    clip = torch.randn(4, 3, 2, 8, 12)
    found, (memory,) = detector.step(clip, thresholds=THRESHOLDS)
    expected, (expected_memory,) = by_torch(toy, clip, thresholds=THRESHOLDS)

    assert detector.raw_heads == raw_heads
    assert sum(len(lane["scores"]) for lanes in found for lane in lanes) > 20
    assert_same_detections(found, expected)
    assert_close(memory, expected_memory)


def test_a_model_that_knows_time_reads_the_duration_of_each_frame_of_each_lane(
    toy, make_toy, tmp_path
):
    detector = load_onnx(make_toy(tmp_path / "toy.onnx", timed=True))
    clip, durations = torch.randn(4, 3, 2, 8, 12), torch.rand(4, 3) * 50_000 + 100
    assert detector.knows_time
    for given in (durations, None):
        found, (memory,) = detector.step(clip, durations=given, thresholds=THRESHOLDS)
        expected, (expected_memory,) = by_torch(toy, clip, thresholds=THRESHOLDS, durations=given)
        assert_same_detections(found, expected)
        assert_close(memory, expected_memory)
    with pytest.raises(ValueError, match="more than 0 microseconds, got 0"):
        detector.step(clip, durations=durations * 0)


def test_a_model_that_does_not_know_time_ignores_durations(toy_path):
    detector, clip = load_onnx(toy_path), torch.randn(2, 3, 2, 8, 12)
    assert not detector.knows_time
    _, (memory,) = detector.step(clip, durations=torch.full((2, 3), 77.0))
    assert_close(memory, detector.step(clip)[1][0])


def test_a_duration_of_another_shape_is_not_that_of_the_network(make_toy, tmp_path):
    path = make_toy(tmp_path / "toy.onnx", timed=True)
    model = onnx.load(path)
    entry = next(entry for entry in model.graph.input if entry.name == "duration")
    entry.type.tensor_type.shape.dim.add().dim_value = 1
    onnx.save(model, path)
    with pytest.raises(
        ExportError, match=r"duration is tensor\(float\) of 2 dimensions|not an ONNX"
    ):
        load_onnx(path)


def test_nothing_found_is_empty_tensors(toy_path):
    found, _ = load_onnx(toy_path).step(
        torch.zeros(1, 2, 2, 8, 12), thresholds=SelectionThresholds(score_thresh=0.99)
    )

    for lane in found[0]:
        assert lane["boxes"].shape == (0, 4)
        assert lane["labels"].dtype == torch.int64
        assert lane["scores"].shape == (0,)


def test_two_half_clips_equal_one_clip(toy_path):
    detector = load_onnx(toy_path)
    clip = torch.randn(4, 2, 2, 8, 12)
    first, memory = detector.step(clip[:1], thresholds=THRESHOLDS)
    second, memory = detector.step(clip[1:], memory, thresholds=THRESHOLDS)
    whole, expected = detector.step(clip, thresholds=THRESHOLDS)

    assert_same_detections(first + second, whole)
    assert_close(memory, expected)


def test_lanes_do_not_see_each_other(toy_path):
    detector = load_onnx(toy_path)
    clip = torch.randn(2, 3, 2, 8, 12)
    whole, _ = detector.step(clip, thresholds=THRESHOLDS)
    alone, _ = detector.step(clip[:, 1:2], thresholds=THRESHOLDS)

    assert_same_detections([lanes[1:2] for lanes in whole], alone)


def test_frames_of_bytes_and_memory_with_gradients_are_taken(toy, toy_path):
    clip = torch.randint(0, 5, (2, 1, 2, 8, 12), dtype=torch.uint8)
    memory = (torch.rand(1, 1, 8, 12, requires_grad=True),)
    found, _ = load_onnx(toy_path).step(clip, memory, thresholds=THRESHOLDS)

    assert_same_detections(found, by_torch(toy, clip.float(), memory, thresholds=THRESHOLDS)[0])


def test_a_model_of_one_size_says_what_it_takes(make_toy, tmp_path):
    detector = load_onnx(make_toy(tmp_path / "toy.onnx", size="8, 12"))
    detector.step(torch.zeros(1, 1, 2, 8, 12))

    with pytest.raises(ValueError, match=r"any x 2 x 8 x 12, got 1 x 2 x 9 x 12"):
        detector.step(torch.zeros(1, 1, 2, 9, 12))


def test_memory_of_other_frames_is_refused(toy_path):
    detector = load_onnx(toy_path)
    _, memory = detector.step(torch.zeros(1, 1, 2, 8, 12))
    for clip, wrong in ((torch.zeros(1, 1, 2, 9, 12), memory), (torch.zeros(1, 1, 2, 8, 12), ())):
        with pytest.raises(ValueError, match="start with None where lanes or size change"):
            detector.step(clip, wrong)


def test_the_memory_of_a_model_of_one_size_may_have_any_shape(make_toy, tmp_path):
    path = make_toy(tmp_path / "toy.onnx", size="8, 12")
    rewrite(path, lambda said: said["memory"][0].update(stride=None))

    assert load_onnx(path).empty_memory(3, 8, 12)[0].shape == (3, 1, 8, 12)


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path):
    with pytest.raises(ExportError, match=r"no.onnx does not exist"):
        load_onnx(tmp_path / "no.onnx")
    with pytest.raises(ExportError, match="is a folder"):
        load_onnx(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_one_line(toy_path, share):
    content = toy_path.read_bytes()
    toy_path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(ExportError) as error:
        load_onnx(toy_path)
    assert str(error.value).startswith(("toy.onnx is not an ONNX model", str(toy_path)))
    assert "\n" not in str(error.value)


def test_a_model_of_something_else_is_refused(toy_path):
    model = onnx.load(toy_path)
    del model.metadata_props[:]
    onnx.save(model, toy_path)

    with pytest.raises(ExportError, match="was not written by `evdet export`"):
        load_onnx(toy_path)


def rewrite(path, change):
    """Change what a model says of itself."""
    model = onnx.load(path)
    said = json.loads(model.metadata_props[0].value)
    change(said)
    assert model.metadata_props[0].key == METADATA_KEY
    model.metadata_props[0].value = json.dumps(said)
    onnx.save(model, path)


def test_a_model_of_a_later_evdet_is_refused(toy_path):
    rewrite(toy_path, lambda said: said.update(format=3, evdet_version="9.9"))

    with pytest.raises(ExportError, match=r"written by evdet 9\.9.*update evdet"):
        load_onnx(toy_path)


def test_a_model_of_version_0_1_0_is_read(toy_path):
    def as_written_then(said):
        said["format"] = 1
        spec = said["frame_spec"]
        del spec["thresholds"]["agnostic"]
        spec.update(spec.pop("thresholds"), noise_window=spec.pop("background_filter"))

    wanted = load_onnx(toy_path).frame_spec
    rewrite(toy_path, as_written_then)

    assert load_onnx(toy_path).frame_spec == wanted


def as_initializers(model):
    """The model as earlier versions wrote it: its thresholds are inputs with a default value."""
    graph = model.graph
    defaults = {}
    for node in [node for node in graph.node if node.op_type in ("OptionalHasElement", "If")]:
        graph.node.remove(node)
        if node.op_type == "If":
            usual = (
                next(a.g for a in node.attribute if a.name == "else_branch").node[0].attribute[0].t
            )
            usual.name = node.output[0].removeprefix("select_")
            defaults[node.output[0]] = usual
    for node in graph.node:
        node.input[:] = [defaults[i].name if i in defaults else i for i in node.input]
    for default in defaults.values():
        graph.initializer.append(default)
        graph.input.remove(next(entry for entry in graph.input if entry.name == default.name))
        graph.input.append(onnx.helper.make_tensor_value_info(default.name, default.data_type, []))
    return model


def test_the_thresholds_of_earlier_files_can_be_given(toy_path):
    clip = torch.rand(6, 2, 2, 8, 12)
    new = load_onnx(toy_path)
    onnx.save(as_initializers(onnx.load(toy_path)), toy_path)
    old = load_onnx(toy_path)
    for score in (0.1, 0.6):
        thresholds = SelectionThresholds(score_thresh=score)
        expected, _ = new.step(clip, thresholds=thresholds)
        assert_same_detections(old.step(clip, thresholds=thresholds)[0], expected)


def without_agnostic(path):
    """The model as evdet 0.1.0 wrote it: it suppresses class by class only."""
    model = as_initializers(onnx.load(path))
    node = next(node for node in model.graph.node if "agnostic" in node.input)
    model.graph.node.remove(node)
    for other in model.graph.node:
        other.input[:] = ["select_class" if i == node.output[0] else i for i in other.input]
    for part in (model.graph.input, model.graph.initializer):
        part.remove(next(entry for entry in part if entry.name == "agnostic"))
    onnx.save(model, path)


def test_a_model_that_suppresses_by_class_only_is_suppressed_across_classes_afterwards(toy_path):
    clip, thresholds = torch.rand(6, 2, 2, 8, 12), SelectionThresholds(score_thresh=0.1)
    by_class, _ = load_onnx(toy_path).step(clip, thresholds=thresholds)
    without_agnostic(toy_path)
    old = load_onnx(toy_path)

    assert num_boxes(old.step(clip, thresholds=thresholds)[0]) == num_boxes(by_class)
    found, _ = old.step(clip, thresholds=thresholds.but(agnostic=True))

    assert 0 < num_boxes(found) < num_boxes(by_class)
    for lanes in found:
        for lane in lanes:
            overlaps = pairwise_iou(lane["boxes"], lane["boxes"]).fill_diagonal_(0)
            assert overlaps.max() <= thresholds.nms_thresh
            assert lane["scores"].tolist() == sorted(lane["scores"].tolist(), reverse=True)


def num_boxes(clip):
    return sum(len(lane["scores"]) for lanes in clip for lane in lanes)


@pytest.mark.parametrize("name", ["format", "memory", "frame_spec", "num_classes"])
def test_damaged_metadata_are_one_line(toy_path, name):
    rewrite(toy_path, lambda said: said.pop(name))

    with pytest.raises(ExportError, match=r"toy\.onnx has damaged metadata"):
        load_onnx(toy_path)


def test_threads_can_be_chosen(toy_path):
    load_onnx(toy_path, num_threads=1).step(torch.zeros(1, 1, 2, 8, 12))

    with pytest.raises(ValueError, match="num_threads must be 0 or more, got -1"):
        load_onnx(toy_path, num_threads=-1)


def test_without_onnxruntime_the_remedy_is_named(toy_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ExportError, match=r"onnxruntime .*pip install 'evdet\[onnx\]'"):
        load_onnx(toy_path)


def test_windows_run_on_arrays(toy, toy_path):
    detector = load_onnx(toy_path)
    frame = np.random.default_rng(0).standard_normal((3, 2, 8, 12)).astype(np.float32)
    found, state = detector.run(frame, detector.empty_memory(3, 8, 12), thresholds=THRESHOLDS)
    [lanes], memory = by_torch(toy, torch.from_numpy(frame)[None], thresholds=THRESHOLDS)

    assert_close(torch.from_numpy(found.boxes), torch.cat([lane["boxes"] for lane in lanes]))
    assert found.lanes.tolist() == [b for b, lane in enumerate(lanes) for _ in lane["scores"]]
    assert_close(torch.from_numpy(state[0]), memory[0])


REPLACEMENTS = (..., None, True, -1, 0, 3, 2.5, 1 << 70, "x", "", [], {}, [None], [[1]], {"a": 1})


def places_in(content, place=()):
    """The path of every value, containers included."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*place, key)
        if isinstance(value, (dict, list)):
            yield from places_in(value, (*place, key))


def alter(content, place, value):
    *above, last = place
    for key in above:
        content = content[key]
    if value is ...:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize("value", REPLACEMENTS, ids=repr)
def test_no_altered_value_of_the_metadata_ends_in_a_traceback(toy_path, value):
    path = toy_path
    original = path.read_bytes()
    said = json.loads(onnx.load(path).metadata_props[0].value)
    refusals = []
    for place in places_in(said):
        path.write_bytes(original)
        rewrite(path, lambda content, place=place: alter(content, place, value))
        try:
            load_onnx(path).step(torch.zeros(1, 1, 2, 8, 12))
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 10
    assert all("\n" not in one and len(one) < 400 for one in refusals)


def test_metadata_nested_without_end_are_one_line(toy_path):
    model = onnx.load(toy_path)
    model.metadata_props[0].value = "[" * 20_000
    onnx.save(model, toy_path)
    with pytest.raises(ExportError, match=r"toy\.onnx has damaged metadata"):
        load_onnx(toy_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said["memory"][0].update(name="other"), "no input memory_other"),
        (lambda said: said["memory"][0].update(channels=2), "memory_sum has 1 channels, not 2"),
        (lambda said: said.update(memory=[]), "input memory_sum is not described"),
        (lambda said: said.update(memory=said["memory"] * 2), "have the same name"),
        (lambda said: said.update(raw_heads=True), "no output candidate_boxes"),
        (lambda said: said["frame_spec"].update(in_channels=3), "frame has 2 channels, not 3"),
    ],
)
def test_metadata_of_another_network_are_refused(toy_path, change, message):
    rewrite(toy_path, change)
    with pytest.raises(ExportError, match=message):
        load_onnx(toy_path)


def test_a_memory_of_another_stride_is_refused(make_toy, tmp_path):
    path = make_toy(tmp_path / "toy.onnx", size="8, 12")
    rewrite(path, lambda said: said["memory"][0].update(stride=2))
    with pytest.raises(ExportError, match="memory sum has 8 cells for 8 pixels at 2"):
        load_onnx(path)
