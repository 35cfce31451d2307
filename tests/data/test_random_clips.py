from collections import Counter

import numpy as np
import pytest
import torch

from evdet.data.augment.augmentation import Augmentation, AugmentRules
from evdet.data.random_clips import RandomClips
from evdet.data.recording_frames import RecordingFrames
from evdet.data.stream_loader import StreamLoader, Streams
from evdet.frame_spec import FrameSpec

T = 3
SPEC = FrameSpec(preprocess="histogram", delta_t=1000, height=24, width=32, in_channels=2)


def open_clips(maker, **options):
    source = maker.open_recordings(num_tbins=T)
    return RandomClips(source=source, **options)


def clip_ending_at(clips, name, end, epoch=0):
    """The clip whose last labelled frame has the box of this height."""
    for index in range(len(clips.clip_counts(epoch))):
        (clip,) = clips.clips(epoch, index, 0)
        boxes = clip.labels[-1]
        if clip.info.name == name and len(boxes) and boxes[0, 3] - boxes[0, 1] == end:
            return clip
    raise LookupError(end)


def frames_of(clips, which, first, stop):
    frames = clips.source.frames(which, first, stop, augmentation=Augmentation())
    empty = np.zeros(clips.clip_shape[1:], np.float32)
    return np.stack([empty if f.frame is None else f.frame for f in frames])


def test_no_labels_are_no_clips():
    clips = RandomClips(source=RecordingFrames(videos=[], spec=SPEC), num_clips=5)
    assert isinstance(clips, Streams)
    assert clips.clip_counts(0) == []


def test_every_labelled_bin_ends_one_clip_of_an_epoch(maker):
    maker.add("a", 0, 19_999, [5000, 5001, 12_000])
    maker.add("b", 3000, 9999, [4000, 9000])
    clips = open_clips(maker)
    assert clips.clip_counts(0) == [1] * 5

    ends = Counter()
    for index in range(5):
        (clip,) = clips.clips(0, index, 0)
        assert clip.frame_is_labeled[-1]
        assert clip.info[1:] == (index, 0, maker.delta_t, "", 0)
        ends[clip.info.name, clip.labels[-1][0, 3] - 2] += 1
    assert ends == {("a", 1): 1, ("a", 2): 1, ("a", 3): 1, ("b", 1): 1, ("b", 2): 1}


def test_a_clip_has_the_frames_up_to_its_label_and_all_labels_between(maker):
    maker.add("a", 0, 19_999, [4000, 5000, 12_000])
    clips = open_clips(maker)
    clip = clip_ending_at(clips, "a", 2)
    np.testing.assert_array_equal(clip.inputs, frames_of(clips, 0, 2, 5))
    assert clip.frame_is_labeled.tolist() == [False, True, True]
    assert [len(boxes) for boxes in clip.labels] == [0, 1, 1]


def test_a_clip_that_starts_before_its_recording_starts_silent(maker):
    maker.add("a", 7000, 19_999, [8000])
    (clip,) = open_clips(maker).clips(0, 0, 0)
    assert not clip.inputs[:2].any()
    assert clip.inputs[2].any()
    assert clip.frame_is_labeled.tolist() == [False, False, True]


def test_a_clip_played_backwards_ends_with_its_label(maker):
    maker.add("a", 0, 19_999, [5000, 6000, 12_000], rate=1)
    forwards = open_clips(maker)
    backwards = open_clips(maker, augment=AugmentRules(reverse_prob=1.0))
    clip = clip_ending_at(backwards, "a", 1)

    # 5 ms lies between bins 4 and 5, so bins 5, 6, 7 lead back to it; 6 ms is met on the way.
    swapped = frames_of(forwards, 0, 5, 8)[::-1, ::-1]
    np.testing.assert_array_equal(clip.inputs, swapped)
    assert clip.frame_is_labeled.tolist() == [False, True, True]
    assert clip.labels[1][0, 3] == 4


def test_the_last_bin_of_a_recording_is_not_played_backwards(maker):
    maker.add("a", 0, 5999, [6000])
    (plain,) = open_clips(maker).clips(0, 0, 0)
    (clip,) = open_clips(maker, augment=AugmentRules(reverse_prob=1.0)).clips(0, 0, 0)
    assert torch.equal(clip.inputs, plain.inputs)
    assert clip.frame_is_labeled[-1]


def test_epochs_draw_in_another_order_and_all_before_any_twice(maker):
    maker.add("a", 0, 19_999, range(1000, 20_001, 1000))
    clips = open_clips(maker, num_clips=50)

    def heights(epoch, indices):
        return [next(clips.clips(epoch, i, 0)).labels[-1][0, 3] for i in indices]

    first, second = heights(0, range(20)), heights(0, range(20, 40))
    assert len(set(first)) == len(set(second)) == 20
    assert first != second
    assert heights(1, range(20)) != first
    assert heights(0, range(20)) == first
    assert clips.clip_counts(0) == [1] * 50


def test_each_clip_is_augmented_anew(maker):
    maker.add("a", 0, 19_999, [5000])
    clips = open_clips(maker, num_clips=40, augment=AugmentRules(flip_prob=0.5))
    left = [next(clips.clips(0, i, 0)).labels[-1][0, 0] for i in range(40)]
    assert set(left) == {4, 20}
    assert left == [next(clips.clips(0, i, 0)).labels[-1][0, 0] for i in range(40)]


def test_every_clip_starts_from_empty_memory_with_any_number_of_workers(maker):
    maker.add("a", 0, 19_999, range(1000, 20_001, 1000))
    clips = open_clips(maker, augment=AugmentRules(flip_prob=0.5, reverse_prob=0.5))
    alone = list(StreamLoader(clips, batch_size=2))
    helped = list(StreamLoader(clips, batch_size=2, num_workers=2))
    assert len(alone) == len(helped) == 10
    for batch, other in zip(alone, helped, strict=True):
        assert not batch["mask_keep_memory"].any()
        assert torch.equal(batch["inputs"], other["inputs"])
        assert batch["video_infos"] == other["video_infos"]


def test_a_clip_that_touches_damage_is_silent_from_there(maker):
    path = maker.add("a", 0, 19_999, [9000, 15_000])
    maker.damage(path, 13_300)
    clips = open_clips(maker)
    by_error = {}
    for index in range(2):
        (clip,) = clips.clips(0, index, 0)
        by_error[bool(clip.info.error)] = clip
    assert by_error[False].frame_is_labeled[-1]
    assert not by_error[True].frame_is_labeled.any()
    assert by_error[True].inputs[0].any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_clips": -1}, "num_clips must be 0 or more, got -1"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_a_number_out_of_range_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        RandomClips(source=RecordingFrames(videos=[], spec=SPEC), **wrong)
