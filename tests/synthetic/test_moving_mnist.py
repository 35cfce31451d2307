from itertools import islice

import numpy as np
import pytest
import torch

from evdet.data.stream_loader import StreamLoader
from evdet.synthetic.moving_mnist import INK_THRESHOLD, MovingMNIST, make_moving_mnist

T, H, W = 5, 48, 64
SMALL = {"height": H, "width": W, "tbins": T, "max_frames_per_video": 30}


def video(videos, index=0, *, epoch=0, first_clip=0):
    """All frames (T, 3, H, W) of a video, as bytes, and the boxes of each."""
    clips = list(videos.clips(epoch, index, first_clip))
    return (
        np.concatenate([clip.inputs.numpy() for clip in clips]),
        [boxes for clip in clips for boxes in clip.labels],
    )


def boxes_around_ink(frame):
    """Slowly: look at every pixel. A pixel is as bright as its brightest channel."""
    inked = [
        (x, y)
        for y in range(frame.shape[1])
        for x in range(frame.shape[2])
        if max(frame[:, y, x]) >= INK_THRESHOLD
    ]
    columns, rows = zip(*inked, strict=True)
    return [min(columns), min(rows), max(columns) + 1, max(rows) + 1]


def longer_sides(boxes):
    return np.array([max(box[2] - box[0], box[3] - box[1]) for [box] in boxes])


def boxes_of_one_digit(index, num_frames=200):
    videos = MovingMNIST(
        **{**SMALL, "max_frames_per_video": num_frames}, max_objects=1, split="test"
    )
    return video(videos, index)[1]


def same_batches(first, second):
    return len(first) == len(second) and all(
        torch.equal(one["inputs"], other["inputs"])
        and torch.equal(one["mask_keep_memory"], other["mask_keep_memory"])
        and one["video_infos"] == other["video_infos"]
        and all(
            torch.equal(*boxes)
            for lanes in zip(one["labels"], other["labels"], strict=True)
            for boxes in zip(*lanes, strict=True)
        )
        for one, other in zip(first, second, strict=True)
    )


def test_the_tutorials_call_gives_the_tutorials_batches():
    batch_size, tbins = 4, 20
    height, width = 128, 128
    loader = make_moving_mnist(train=True, height=height, width=width, tbins=tbins, num_workers=1, batch_size=batch_size, max_frames_per_video=80, max_frames_per_epoch=8000)  # fmt: skip # noqa: E501

    batches = list(islice(loader, 8))

    assert len(loader) * tbins * batch_size == 8000
    masks = [batch["mask_keep_memory"].view(-1).tolist() for batch in batches]
    assert masks == [[keep] * 4 for keep in (0, 1, 1, 1, 0, 1, 1, 1)]
    for batch in batches:
        assert batch["inputs"].shape == (tbins, batch_size, 3, height, width)
        assert batch["inputs"].dtype == torch.float32
        assert 0.5 < batch["inputs"].max() <= 1
        assert batch["inputs"].min() == 0
        assert batch["frame_is_labeled"].all()
        labels = torch.cat([boxes for lanes in batch["labels"] for boxes in lanes])
        assert ((labels[:, 4] >= 1) & (labels[:, 4] <= 10)).all()
    picture = loader.get_vis_func()(batches[0]["inputs"][0, 0])
    assert (picture.shape, picture.dtype) == ((height, width, 3), np.uint8)


@pytest.mark.parametrize("color", [True, False])
def test_the_box_of_a_digit_is_tight_on_its_visible_ink(color):
    videos = MovingMNIST(**SMALL, max_objects=1, color=color)
    for index in range(2):
        frames, boxes = video(videos, index)
        for frame, frame_boxes in zip(frames, boxes, strict=True):
            assert frame_boxes[:, :4].tolist() == [boxes_around_ink(frame)]


def test_ink_that_overlaps_stays_visible_and_inside_the_boxes():
    videos = MovingMNIST(**SMALL, max_objects=4)
    most_digits, overlaps = 0, 0
    for index in range(10):
        for frame, boxes in zip(*video(videos, index), strict=True):
            inked = frame.max(axis=0) >= INK_THRESHOLD
            boxed = np.zeros((H, W), int)
            for x1, y1, x2, y2 in boxes[:, :4].astype(int):
                boxed[y1:y2, x1:x2] += 1
                edges = (inked[y1, x1:x2], inked[y2 - 1, x1:x2], inked[y1:y2, x1])
                assert all(edge.any() for edge in (*edges, inked[y1:y2, x2 - 1]))
            assert not inked[boxed == 0].any()
            overlaps += (boxed > 1).any()
            most_digits = max(most_digits, len(boxes))
    assert most_digits == 4
    assert overlaps > 10


def test_boxes_lie_inside_the_frame_and_reach_its_borders():
    boxes = np.concatenate([np.concatenate(boxes_of_one_digit(index)) for index in range(8)])
    x1, y1, x2, y2, _ = boxes.T
    assert (x1.min(), y1.min(), x2.max(), y2.max()) == (0, 0, W, H)


def test_digits_are_rendered_at_fractions_of_a_pixel():
    """The centre of the ink moves steadily although boxes move by whole pixels."""
    frames, _ = video(MovingMNIST(max_objects=1, color=False, tbins=40), 3)
    ink = frames[:, 0].astype(float)
    x = (ink.sum(axis=1) @ np.arange(128)) / ink.sum(axis=(1, 2))
    assert np.ptp(x) > 10
    assert np.quantile(np.abs(np.diff(x, 2)), 0.9) < 0.1  # all but when it stops or bounces


def test_digits_grow_and_shrink_smoothly_within_the_stated_sizes():
    sides = [longer_sides(boxes_of_one_digit(index)) for index in range(6)]
    for side in sides:
        assert side.max() > 1.2 * side.min()
        assert np.abs(np.diff(side)).max() <= 2  # a pixel on either side
    # Blur adds a pixel at the most, and a threshold takes some away.
    assert np.concatenate(sides).min() >= H / 6 - 2
    assert np.concatenate(sides).max() <= H / 2 + 2


@pytest.mark.parametrize(("smallest", "largest"), [(0.25, 0.75), (0.4, 0.4), (0.1, 0.9)])
def test_the_sizes_of_digits_are_shares_of_the_frame(smallest, largest):
    videos = MovingMNIST(
        **{**SMALL, "max_frames_per_video": 200},
        max_objects=1,
        min_digit_share=smallest,
        max_digit_share=largest,
    )
    sides = [longer_sides(video(videos, index)[1]) for index in range(8)]
    assert H * smallest - 2 <= min(side.min() for side in sides) <= H * 1.3 * smallest + 2
    assert all(side.min() <= H * 2 * smallest + 2 for side in sides)
    assert H * 0.7 * largest - 2 <= max(side.max() for side in sides) <= H * largest + 2


def test_large_digits_stay_inside_the_frame_and_their_boxes_tight():
    videos = MovingMNIST(**SMALL, max_objects=1, min_digit_share=0.5, max_digit_share=0.95)
    for index in range(2):
        frames, boxes = video(videos, index)
        for frame, frame_boxes in zip(frames, boxes, strict=True):
            assert frame_boxes[:, :4].tolist() == [boxes_around_ink(frame)]


def test_digits_stop_for_a_while_and_go_on():
    boxes = np.stack([box for [box] in boxes_of_one_digit(0)])
    still = (np.diff(boxes, axis=0) == 0).all(axis=1)
    ends = np.flatnonzero(np.diff(np.r_[0, still, 0]))
    lengths = ends[1::2] - ends[::2]
    assert 5 <= lengths.max() <= 21
    assert still.mean() < 0.5


def test_color_is_an_option_and_never_dark():
    colored, _ = video(MovingMNIST(**SMALL))
    white, _ = video(MovingMNIST(**SMALL, color=False))

    assert (white == white[:, :1]).all()
    assert not (colored == colored[:, :1]).all()
    for index in range(5):
        frames, _ = video(MovingMNIST(max_objects=1), index)
        brightest = frames.max(axis=(2, 3))
        assert brightest.max(axis=1).min() > 220  # one channel is at its full
        assert brightest.min() > 0.15 * 255  # and none is missing


def test_some_digits_are_grey_where_the_share_says_so():
    options = {**SMALL, "max_objects": 1}
    mixed = MovingMNIST(**options, grey_share=0.5)
    peaks = []
    for index in range(30):
        frames, _ = video(mixed, index)
        if (frames == frames[:, :1]).all():
            peaks.append(frames.max())
    assert 8 <= len(peaks) <= 22
    assert min(peaks) < 150 < 220 < max(peaks)
    grey, _ = video(MovingMNIST(**options, grey_share=1.0), 0)
    assert (grey == grey[:, :1]).all()


def test_a_video_can_be_started_at_any_clip():
    videos = MovingMNIST(**SMALL)
    frames, boxes = video(videos, 5)
    for first_clip in range(6):
        later_frames, later_boxes = video(videos, 5, first_clip=first_clip)
        np.testing.assert_array_equal(frames[first_clip * T :], later_frames)
        assert all(map(np.array_equal, boxes[first_clip * T :], later_boxes))
        assert len(later_boxes) == len(boxes) - first_clip * T


def test_training_plays_new_videos_every_epoch_and_evaluation_the_same():
    for split, changes in (("train", True), ("val", False), ("test", False)):
        videos = MovingMNIST(**SMALL, split=split)
        first, _ = video(videos, 2, epoch=0)
        second, _ = video(videos, 2, epoch=1)
        assert (first != second).any() == changes


def test_seed_split_and_number_make_a_video():
    def frames(index=0, **options):
        return video(MovingMNIST(**SMALL, **options), index)[0]

    assert (frames() == frames()).all()
    for other in (frames(1), frames(seed=1), frames(split="val"), frames(split="test")):
        assert (frames() != other).any()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # 4 workers on 2 cores
@pytest.mark.parametrize("num_workers", [1, 4])
def test_workers_change_nothing(num_workers):
    def batches(num_workers):
        loader = make_moving_mnist(
            True, H, W, T, num_workers, max_frames_per_video=10, max_frames_per_epoch=100
        )
        return list(loader)

    assert same_batches(batches(0), batches(num_workers))


@pytest.mark.parametrize("world_size", [2, 4])
def test_any_number_of_processes_plays_the_same_videos(world_size):
    def clips(rank, world_size):
        videos = MovingMNIST(**SMALL, max_frames_per_epoch=240)
        loader = StreamLoader(videos, batch_size=2, rank=rank, world_size=world_size)
        return {
            info: batch["inputs"][:, lane].numpy().tobytes()
            for batch in loader
            for lane, info in enumerate(batch["video_infos"])
            if info.index >= 0
        }

    parts = [clips(rank, world_size) for rank in range(world_size)]
    assert sum(map(len, parts)) == 240 // T
    assert {info: clip for part in parts for info, clip in part.items()} == clips(0, 1)


def test_whole_clips_are_played_and_frames_counted():
    videos = MovingMNIST(**{**SMALL, "max_frames_per_video": 14}, max_frames_per_epoch=59)
    assert videos.clip_counts(0) == [2] * 5
    infos = [clip.info for clip in videos.clips(3, 4, 0)]
    assert [(info.index, info.first_frame) for info in infos] == [(4, 0), (4, 5)]


def test_there_is_at_least_one_video():
    assert MovingMNIST(max_frames_per_epoch=1).clip_counts(0) == [5]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tbins": 61}, r"max_frames_per_video \(60\) is smaller than tbins \(61\)"),
        ({"height": 31}, "frames of 31x128 .* too small: below 32 pixels"),
        ({"tbins": 0}, "tbins must be at least 1, got 0"),
        ({"max_objects": 0}, "max_objects must be at least 1, got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"grey_share": 1.5}, r"grey_share must be between 0 and 1, got 1\.5"),
        ({"min_digit_share": 0.0}, r"min_digit_share must be above 0, .* got 0\.0 and 0\.5"),
        ({"min_digit_share": 0.6}, r"max_digit_share between it and 0\.95, got 0\.6 and 0\.5"),
        ({"max_digit_share": 1.0}, r"max_digit_share between it and 0\.95, got .* and 1\.0"),
        ({"max_digit_share": float("nan")}, "max_digit_share between it and"),
        ({"split": "dev"}, "one of train, val, test, got 'dev'"),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(wrong, message):
    with pytest.raises(ValueError, match=message) as raised:
        MovingMNIST(**wrong)
    assert "\n" not in str(raised.value)


def test_only_the_digits_that_are_asked_for_play_and_labels_follow_their_order():
    # Of one video the picture is the same, and the label is the place among the digits.
    forwards = MovingMNIST(**SMALL, digits=(3, 7), max_objects=2)
    backwards = MovingMNIST(**SMALL, digits=(7, 3), max_objects=2)
    seen = set()
    for index in range(8):
        pictures, boxes = video(forwards, index)
        others, relabelled = video(backwards, index)
        np.testing.assert_array_equal(pictures, others)
        for one, other in zip(boxes, relabelled, strict=True):
            np.testing.assert_array_equal(one[:, 4] + other[:, 4], 3)
            seen |= set(one[:, 4])
    assert seen == {1, 2}


@pytest.mark.parametrize("digits", [(), (3, 3), (10,), (-1, 2)])
def test_digits_that_cannot_play_are_refused(digits):
    with pytest.raises(ValueError, match="digits must be different numbers from 0 to 9"):
        MovingMNIST(**SMALL, digits=digits)
