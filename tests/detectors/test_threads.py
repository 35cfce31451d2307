import pytest
import torch

from evdet.detectors import load_onnx, open_detector, thread_count, use_threads


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def detector():
    return open_detector("events-digits")


def test_a_given_number_is_used_even_if_the_environment_states_another(detector, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    assert use_threads(detector, 2) == 2
    assert torch.get_num_threads() == 2


def test_a_small_detector_computes_on_one_thread(detector):
    torch.set_num_threads(2)

    assert use_threads(detector) == 1
    assert torch.get_num_threads() == 1


def test_a_negative_number_is_refused(detector):
    with pytest.raises(ValueError, match="num_threads must be 0 or more, got -1"):
        use_threads(detector, -1)


def test_more_threads_than_cores_are_one_warning(detector, monkeypatch, caplog):
    monkeypatch.setattr("evdet.detectors.threads.num_cores", lambda: 2)

    use_threads(detector, 3)

    assert [record.message for record in caplog.records] == [
        "3 threads on 2 cores wait for one another: fewer are faster"
    ]


def test_opencv_has_the_same_number(detector):
    from evdet.opencv import cv2

    before = cv2.getNumThreads()
    try:
        use_threads(detector, 2)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def test_an_exported_model_keeps_its_number_and_torch_has_the_same(toy_path):
    detector = open_detector(toy_path, num_threads=2)

    assert detector.num_threads == 2
    assert use_threads(detector) == 2
    assert torch.get_num_threads() == 2


def test_a_small_exported_model_computes_on_one_thread(toy_path):
    assert load_onnx(toy_path).num_threads == 1


def test_a_large_exported_model_computes_on_several(toy_path, monkeypatch):
    monkeypatch.setattr(thread_count, "_OPERATIONS", 1e-3)
    monkeypatch.setattr(thread_count, "num_cores", lambda: 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)

    detector = load_onnx(toy_path)

    assert detector.num_threads == 2
    detector.step(torch.zeros(1, 1, 2, 8, 12))
