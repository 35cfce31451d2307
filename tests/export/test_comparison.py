import numpy as np
import pytest

from evdet.export import compare_onnx, other_shape
from evdet.frame_spec import FrameSpec
from evdet.models.postprocess import select_boxes


def spec_of(preprocess, in_channels, **fields):
    return FrameSpec(
        preprocess=preprocess,
        in_channels=in_channels,
        **{"delta_t": 20_000, "height": 32, "width": 40, "class_names": ("a",), **fields},
    )


def test_the_same_is_within_the_tolerance(toy, toy_path, toy_windows):
    comparison = compare_onnx(toy, toy_path, toy_windows)

    assert comparison.problem is None
    assert comparison.shape == (2, 8, 12)
    assert comparison.num_windows == 5
    assert comparison.num_detections > 10
    assert max(comparison.scores, comparison.boxes, comparison.memory) < 1e-6
    assert "onnxruntime" in comparison.versions


def test_candidates_are_compared_where_the_model_selects_none(toy, make_toy, tmp_path, toy_windows):
    comparison = compare_onnx(toy, make_toy(tmp_path / "toy.onnx", raw_heads=True), toy_windows)

    assert comparison.problem is None
    assert comparison.num_detections is None
    assert comparison.scores < 1e-6


def test_memory_that_drifts_is_found_where_it_begins(toy, make_toy, tmp_path, toy_windows):
    path = make_toy(tmp_path / "toy.onnx", drift=0.01)
    comparison = compare_onnx(toy, path, toy_windows)

    assert comparison.problem.startswith("time bin 0: the values of memory sum differ by")
    # Carried on, it changes what is found later.
    assert comparison.scores > 1e-4
    assert compare_onnx(toy, path, toy_windows, tolerance=0.1).problem is None


@pytest.mark.parametrize(("place", "what"), [(0, "candidates' boxes"), (1, "candidates' scores")])
def test_other_candidates_are_found(toy, toy_path, toy_windows, monkeypatch, place, what):
    predict = toy.predict

    def changed(clip, memory=None):
        results = list(predict(clip, memory))
        results[place] = results[place] + 0.01
        return tuple(results)

    monkeypatch.setattr(toy, "predict", changed)
    assert what in compare_onnx(toy, toy_path, toy_windows).problem


def test_what_is_no_number_is_never_the_same(toy, toy_path, toy_windows):
    toy_windows[2][:] = np.nan
    comparison = compare_onnx(toy, toy_path, toy_windows)

    assert "time bin 2" in comparison.problem
    assert np.isnan(comparison.scores)


def test_another_selection_is_found(toy, toy_path, toy_windows, monkeypatch):
    def keep_all(*args):
        return select_boxes(*args[:-1], args[-1].but(nms_thresh=1.0))

    monkeypatch.setattr("evdet.export.comparison.select_boxes", keep_all)
    assert "torch selects other boxes" in compare_onnx(toy, toy_path, toy_windows).problem


def test_an_empty_stream_is_refused(toy, toy_path):
    with pytest.raises(ValueError, match="the stream is empty"):
        compare_onnx(toy, toy_path, [])


def test_another_shape_has_a_lane_more_and_no_stride_divides_it():
    windows = [np.arange(24, dtype=np.float32).reshape(1, 1, 4, 6)]
    assert next(other_shape(windows, ())).shape == (1, 1, 4, 6)
    assert next(other_shape(windows, ("batch",))).shape == (2, 1, 4, 6)
    [both] = other_shape(windows, ("batch", "height", "width"))
    assert both.shape == (2, 1, 16, 26)
    np.testing.assert_array_equal(both[1, 0, :4, :6], windows[0][0, 0, :, ::-1])
