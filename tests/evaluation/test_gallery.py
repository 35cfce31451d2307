import numpy as np
import pytest
import torch

from evdet.data import ClipInfo
from evdet.evaluation import gallery
from evdet.evaluation.gallery import Gallery
from evdet.evaluation.shown import activity_of, select_shown

SIZE = (24, 32)
BOX = [4.0, 4.0, 16.0, 16.0]


def detections(*boxes):
    """Detections from (x1, y1, x2, y2, label, score)."""
    rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)
    return {"boxes": rows[:, :4], "labels": rows[:, 4].long(), "scores": rows[:, 5]}


def batch_of(truths, *, first_frame=0, events=1.0, index=0):
    """One lane; a frame for each truth, with events in the box."""
    inputs = torch.zeros(len(truths), 1, 2, *SIZE)
    inputs[:, :, :, 4:16, 4:16] = events
    return {
        "inputs": inputs,
        "labels": [[torch.tensor(truth, dtype=torch.float32).reshape(-1, 5)] for truth in truths],
        "mask_keep_memory": torch.ones(1, 1, 1, 1),
        "frame_is_labeled": torch.ones(len(truths), 1, dtype=torch.bool),
        "video_infos": [ClipInfo("drive", index, first_frame, 50_000)],
    }


def show(frame):
    return np.repeat((frame[0].numpy()[..., None] * 100).astype(np.uint8), 3, axis=2)


def moments_of(truths, found, **fields):
    shown = Gallery(["background", "car", "bus"], show, 0.6)
    batch = batch_of(truths, **fields)
    for t, one in enumerate(found):
        shown.add(batch, [[each] for each in found], t, 0, first_bin=10)
        assert one is found[t]
    return shown.moments()


def test_an_empty_gallery_has_no_pictures():
    moments = Gallery(["background"], show, 0.6).moments()
    assert moments == {"strip": [], "best": [], "typical": [], "failures": []}


def test_a_caption_says_which_and_why():
    truth = [[*BOX, 1], [18, 4, 30, 16, 2]]
    found = [
        detections((*BOX, 1, 0.9), (18, 4, 30, 16, 2, 0.8)),
        detections((*BOX, 2, 0.9), (0, 17, 8, 23, 1, 0.7)),
    ]
    moments = moments_of([truth, truth], found)

    assert [(one.heading, one.caption) for one in moments["best"]] == [
        ("Best: found 2 of 2 objects", "drive at 0.55 s")
    ]
    assert [(one.heading, one.caption) for one in moments["failures"]] == [
        ("Failure: missed 1 of 2 objects, 1 of the wrong class, 1 false alarm", "drive at 0.60 s")
    ]
    assert moments["best"][0].image.shape == (3 * SIZE[0], 3 * SIZE[1], 3)


def test_an_object_at_rest_is_called_so():
    moments = moments_of([[[*BOX, 1]]], [detections((*BOX, 1, 0.9))], events=0.0)

    assert moments["best"][0].heading == "Best: found 1 of 1 object, at rest, without events"


def test_the_strip_shows_one_recording_over_time():
    moments = moments_of([[[*BOX, 1]]] * 9, [detections((*BOX, 1, 0.9))] * 9)

    captions = [one.caption for one in moments["strip"]]
    assert captions == [f"drive at {t} s" for t in ("0.55", "0.65", "0.80", "0.95")]


def test_the_strip_shows_no_empty_scene_where_others_are():
    truths = [[], [[*BOX, 1]], [], [[*BOX, 1]]]
    found = [detections(*([(*BOX, 1, 0.9)] if truth else [])) for truth in truths]

    assert len(moments_of(truths, found)["strip"]) == 2


def test_a_recording_without_objects_has_a_strip():
    (moment,) = moments_of([[]], [detections()])["strip"]
    assert moment.heading == "No objects, nothing found"


def test_a_long_evaluation_keeps_frames_of_all_of_it(monkeypatch):
    monkeypatch.setattr(gallery, "_MAX_FRAMES", 16)
    shown = Gallery(["background", "car"], show, 0.6)
    for video in range(40):
        batch = batch_of([[[*BOX, 1]]] * 4, index=video)
        for t in range(4):
            shown.add(batch, [[detections((*BOX, 1, 0.9))]] * 4, t, 0)

    videos = {video for video, _ in shown._kept}
    assert 8 <= len(shown._kept) <= 16
    assert min(videos) < 10
    assert max(videos) >= 30


def test_a_picture_has_one_label_for_an_object():
    crowd = detections(*((*BOX, label, 0.5 + label / 100) for label in range(1, 20)))
    low = detections((*BOX, 1, 0.49))

    assert select_shown(crowd, 0.6)["labels"].tolist() == [19]
    assert select_shown(low, 0.6)["scores"].tolist() == []


@pytest.mark.parametrize(("truth", "share"), [([[*BOX, 1]], 1.0), ([[0, 0, 4, 4, 1]], 0.0)])
def test_activity_is_the_share_of_pixels_with_events_in_the_boxes(truth, share):
    batch = batch_of([truth])
    assert activity_of(batch["inputs"][0, 0], batch["labels"][0][0]) == share


def test_a_box_outside_the_frame_has_the_activity_of_the_frame():
    batch = batch_of([[[-9, -9, -1, -1, 1]]])
    expected = 144 / (SIZE[0] * SIZE[1])
    assert activity_of(batch["inputs"][0, 0], batch["labels"][0][0]) == pytest.approx(expected)
