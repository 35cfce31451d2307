from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.data.augment.augmentation import Augmentation, AugmentRules
from evdet.data.batch import ClipInfo
from evdet.data.clips import (
    BinFrame,
    BinGrid,
    FrameSource,
    LabeledRecording,
    check_rules,
    label_bins,
    make_clip,
)
from evdet.events.dtypes import SensorSize
from evdet.labels.binning import LabeledTimes
from evdet.labels.box_rules import BoxRules
from evdet.labels.classes import choose_classes

SIZE = SensorSize(height=10, width=20)
CHOICE = choose_classes({0: "car", 1: "bus"})
INFO = ClipInfo("a", 3, 6, 100)


def labels_at(*times, empty=(), rules=None, choice=CHOICE, first_bin=0, num_bins=5):
    boxes = np.zeros(len(times), BOX_DTYPE)
    for row, t in enumerate(times):
        boxes[row] = (t, 2, 3, 4, 5, row % 2 + 1, 0, 1)
    labeled = LabeledTimes(boxes, np.array(empty, np.int64))
    return label_bins(
        labeled,
        choice,
        rules or BoxRules(),
        SIZE,
        BinGrid(first_bin, num_bins, 100),
    )


@dataclass
class Source:
    """Frames of ones."""

    videos: tuple = ()
    clip_shape: tuple = (2, 1, 5, 20)
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float32))
    byte_divisor: int = 1
    delta_t: int = 100
    has_events: bool = True
    broken: tuple = ()

    def frames(self, index, first, stop, *, augmentation, since=None):
        yield from (BinFrame(np.ones((1, 5, 20), np.float32)) for _ in range(first, stop))


def test_without_labels_no_bin_is_labelled():
    labels, counts = labels_at()
    assert not labels.is_labeled.any()
    assert labels.of(0)[0].shape == (0, 5)
    assert counts == {}


def test_a_recording_without_bins_leaves_all_boxes_outside():
    labels, counts = labels_at(100, num_bins=0)
    assert labels.of(0)[1] is False
    assert counts == {"outside the recording": 1}


def test_boxes_stand_in_the_bin_that_their_time_ends():
    labels, counts = labels_at(250, 300, 301, 999, first_bin=2, num_bins=3)
    assert labels.is_labeled.tolist() == [True, True, False]
    assert labels.of(0)[0].tolist() == [[2, 3, 6, 8, 2]]
    assert labels.of(1)[0].tolist() == [[2, 3, 6, 8, 1]]
    assert counts == {"superseded": 1, "outside the recording": 1}


@pytest.mark.parametrize("number", [-1, 5])
def test_a_bin_outside_the_recording_is_not_labelled(number):
    boxes, is_labeled = labels_at(100, 500)[0].of(number)
    assert len(boxes) == 0
    assert not is_labeled


def test_a_bin_whose_boxes_are_all_left_out_stays_labelled():
    labels, counts = labels_at(100, 200, empty=[300], choice=choose_classes({0: "car"}))
    assert labels.is_labeled.tolist() == [True, True, True, False, False]
    assert [len(labels.of(k)[0]) for k in range(5)] == [1, 0, 0, 0, 0]
    assert counts == {"class id 1 not in the label map": 1}

    labels, counts = labels_at(100, rules=BoxRules(min_box_diag=50.0))
    assert labels.is_labeled[0]
    assert counts == {"diagonal too short": 1}


@given(st.lists(st.integers(0, 1200), max_size=20), st.integers(0, 5), st.integers(0, 6))
def test_every_box_is_used_superseded_or_outside(times, first_bin, num_bins):
    times = sorted(times)
    labels, counts = labels_at(*times, first_bin=first_bin, num_bins=num_bins)
    used = sum(len(labels.of(k)[0]) for k in range(num_bins))
    assert used == len(labels.boxes)
    assert len(times) == used + counts.get("superseded", 0) + counts.get("outside the recording", 0)


def clip_of(bins, numbers, *, augmentation=None, **changes):
    video = LabeledRecording("a", Path("a.dat"), SIZE, 0, labels_at(100, 200, empty=[300])[0])
    source = Source(**changes)
    assert isinstance(source, FrameSource)
    augmentation = augmentation or Augmentation()
    return make_clip(source, video, bins, numbers, augmentation=augmentation, info=INFO)


def test_a_clip_scales_boxes_to_its_frames():
    ones = np.ones((1, 5, 20), np.float32)
    clip = clip_of([BinFrame(ones), BinFrame(ones)], [0, 2])
    assert clip.inputs.min() == 1
    assert clip.labels[0].tolist() == [[2, 1.5, 6, 4, 1]]
    assert clip.labels[1].shape == (0, 5)
    assert clip.frame_is_labeled.tolist() == [True, True]
    assert clip.info == INFO


def test_augmentation_moves_the_boxes_before_they_are_scaled():
    ones = np.ones((1, 5, 20), np.float32)
    clip = clip_of([BinFrame(ones)] * 2, [0, 1], augmentation=Augmentation(flip=True))
    assert clip.labels[0].tolist() == [[14, 1.5, 18, 4, 1]]


def test_empty_frames_are_black_and_not_labelled():
    ones = np.ones((1, 5, 20), np.float32)
    clip = clip_of([BinFrame(None, "broken at byte 3"), BinFrame(ones)], [0, 1])
    assert not clip.inputs[0].any()
    assert clip.frame_is_labeled.tolist() == [False, True]
    assert len(clip.labels[0]) == 0
    assert clip.info == INFO._replace(error="broken at byte 3")


def test_a_clip_adds_up_what_was_left_out_and_keeps_the_type_of_its_frames():
    noisy = BinFrame(np.ones((1, 5, 20), np.uint8), "", {"noise": 2})
    clip = clip_of([noisy, noisy], [0, 1], dtype=np.dtype(np.uint8), byte_divisor=7)
    assert clip.counts == {"noise": 4}
    assert clip.inputs.numpy().dtype == np.uint8
    assert clip.byte_divisor == 7
    silent = clip_of([BinFrame(None)] * 2, [0, 1], dtype=np.dtype(np.uint8))
    assert silent.inputs.numpy().dtype == np.uint8


def test_ready_made_frames_refuse_what_needs_events():
    source = Source(has_events=False)
    check_rules(AugmentRules(flip_prob=1.0, drop_prob=1.0), source, is_stream=True)
    for name in ("noise_prob", "swap_prob", "reverse_prob"):
        with pytest.raises(ValueError, match=f"{name} is 0.5, but ready-made frames"):
            check_rules(AugmentRules(**{name: 0.5}), source, is_stream=False)
