import numpy as np
import pytest
import torch
from torch.testing import assert_close

from evdet.build import build_detector, build_loader
from evdet.config import DetectionConfig
from evdet.evaluation import SelectionThresholds, detect_batches, draw_batch, evaluate
from evdet.models import Detector

CONFIG = DetectionConfig(
    classes=tuple("0123456789"),
    feature_base=2, feature_channels_out=4, num_levels=2, head_channels=4,
    height=32, width=48, num_tbins=2, batch_size=2, max_frames_per_video=6,
    max_frames_per_epoch=24, test_frames=24, num_workers=0,
)  # fmt: skip
THRESHOLDS = SelectionThresholds()


@pytest.fixture
def detector():
    detector = build_detector(CONFIG).eval()
    # A fresh head finds nothing; this one finds something everywhere.
    torch.nn.init.zeros_(detector.head.cls_head[-1].bias)
    torch.nn.init.normal_(detector.head.cls_head[-1].weight, std=20.0)
    return detector


class Oracle(Detector):
    """Finds exactly what the labels say: it is given the batches beforehand."""

    def __init__(self, batches):
        torch.nn.Module.__init__(self)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.answers = iter(batches)

    def step(self, clip, memory, **thresholds):
        labels = next(self.answers)["labels"]
        found = [
            [
                {"boxes": f[:, :4], "labels": f[:, 4].long(), "scores": f[:, 0] * 0 + 0.9}
                for f in lane
            ]
            for lane in labels
        ]
        return found, (torch.zeros(clip.shape[1], 1, 1, 1),)


def run(detector, loader):
    return evaluate(
        detector, loader, CONFIG.classes, show_frame=loader.get_vis_func(), thresholds=THRESHOLDS
    )


def test_nothing_to_evaluate_gives_no_numbers_and_no_pictures(detector):
    loader = build_loader(CONFIG, "test")
    result = evaluate(
        detector, [], CONFIG.classes, show_frame=loader.get_vis_func(), thresholds=THRESHOLDS
    )
    assert np.isnan(result.scores.map)
    assert result.strip == result.failures == []


def test_a_detector_that_is_always_right_scores_one_and_never_fails():
    loader = build_loader(CONFIG, "test")
    oracle = Oracle(list(build_loader(CONFIG, "test")))
    result = evaluate(
        oracle, loader, CONFIG.classes, show_frame=loader.get_vis_func(), thresholds=THRESHOLDS
    )
    assert result.scores.map == pytest.approx(1.0)
    assert result.scores.num_frames == 24
    assert result.confusion.sum() == np.trace(result.confusion)
    assert result.failures == []


def test_pictures_say_what_is_wrong(detector):
    result = run(detector, build_loader(CONFIG, "test"))
    caption, image = result.failures[0]
    assert caption.startswith("video ")
    assert "missed" in caption or "nothing is" in caption
    assert image.shape == (3 * 32, 3 * 48, 3)
    assert len(result.strip) == 6
    videos = [caption.split(",")[0] for caption, _ in result.failures]
    assert len(videos) == len(set(videos))


def test_memory_is_carried_within_a_video_and_cleared_between_videos(detector):
    batches = list(build_loader(CONFIG, "test"))
    streamed = [found for _, found in detect_batches(detector, batches, THRESHOLDS)]

    # Clip 3 starts a new video in both lanes: alone it gives the same.
    [(_, alone)] = detect_batches(detector, batches[3:4], THRESHOLDS)
    assert_close(streamed[3][0][0]["scores"], alone[0][0]["scores"])
    # Clip 1 goes on: alone it lacks its memory.
    [(_, cut_off)] = detect_batches(detector, batches[1:2], THRESHOLDS)
    a, b = streamed[1][0][0]["scores"], cut_off[0][0]["scores"]
    assert len(a) != len(b) or not torch.allclose(a, b)


def test_gradients_are_neither_kept_nor_switched_off_for_the_caller(detector):
    for _, found in detect_batches(detector, build_loader(CONFIG, "test"), THRESHOLDS):
        assert torch.is_grad_enabled()
        assert not found[0][0]["scores"].requires_grad


def test_a_batch_is_drawn_one_picture_a_time_bin(detector):
    loader = build_loader(CONFIG, "test")
    batch, found = next(detect_batches(detector, loader, THRESHOLDS))
    label_map = ["background", *CONFIG.classes]
    pictures = list(draw_batch(batch, found, label_map, loader.get_vis_func(), factor=2))
    assert len(pictures) == 2
    assert pictures[0].shape[1] >= 2 * 48
