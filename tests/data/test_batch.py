import numpy as np
import torch
from torch.testing import assert_close

from evdet.data.batch import Clip, ClipInfo, make_batch

SHAPE = (2, 1, 1, 2)  # T, C, H, W


def clip_of(inputs, *, first_frame=0, boxes=((), ()), labeled=(True, True)):
    return Clip(
        inputs=inputs,
        labels=[np.array(frame, np.float32).reshape(-1, 5) for frame in boxes],
        frame_is_labeled=np.array(labeled),
        info=ClipInfo("a", 7, first_frame, 1000),
    )


def test_a_batch_of_dry_lanes_is_black_and_not_labelled():
    batch = make_batch([None, None], SHAPE)

    assert batch["inputs"].shape == (2, 2, 1, 1, 2)
    assert not batch["inputs"].any()
    assert not batch["frame_is_labeled"].any()
    assert not batch["mask_keep_memory"].any()
    assert [[len(boxes) for boxes in frame] for frame in batch["labels"]] == [[0, 0], [0, 0]]
    assert [info.index for info in batch["video_infos"]] == [-1, -1]


def test_lanes_stand_side_by_side():
    first = clip_of(
        torch.tensor([0, 255, 51, 102], dtype=torch.uint8).reshape(SHAPE),
        boxes=([[1, 2, 3, 4, 5]], ()),
    )
    second = clip_of(torch.full(SHAPE, 0.25), first_frame=2, labeled=(True, False))

    batch = make_batch([first, second, None], SHAPE)

    assert batch["inputs"].dtype == torch.float32
    assert_close(batch["inputs"][:, 0].flatten(), torch.tensor([0, 1, 0.2, 0.4]))
    assert_close(batch["inputs"][:, 1], torch.full(SHAPE, 0.25))
    assert batch["mask_keep_memory"].tolist() == [[[[0.0]]], [[[1.0]]], [[[0.0]]]]
    assert batch["frame_is_labeled"].tolist() == [[True, True, False], [True, False, False]]
    assert batch["labels"][0][0].tolist() == [[1, 2, 3, 4, 5]]
    assert batch["labels"][1][0].shape == (0, 5)
    assert batch["video_infos"][:2] == [first.info, second.info]


def test_bytes_can_be_counts():
    counts = clip_of(torch.tensor([0, 1, 9, 10], dtype=torch.uint8).reshape(SHAPE))
    batch = make_batch([counts._replace(byte_divisor=1)], SHAPE)
    assert batch["inputs"].flatten().tolist() == [0, 1, 9, 10]


def test_bytes_stay_bytes_for_whoever_moves_them():
    shades = clip_of(torch.tensor([0, 255, 51, 102], dtype=torch.uint8).reshape(SHAPE))
    batch = make_batch([shades, None], SHAPE, keep_bytes=True)
    assert batch["inputs"].dtype == torch.uint8
    assert batch["inputs"][:, 0].flatten().tolist() == [0, 255, 51, 102]
    assert not batch["inputs"][:, 1].any()
    assert batch["byte_divisor"] == 255


def test_bytes_beside_numbers_become_numbers():
    shades = clip_of(torch.full(SHAPE, 51, dtype=torch.uint8))
    numbers = clip_of(torch.full(SHAPE, 0.25))
    batch = make_batch([shades, numbers], SHAPE, keep_bytes=True)
    assert_close(batch["inputs"][0, :, 0, 0, 0], torch.tensor([0.2, 0.25]))
    assert "byte_divisor" not in batch
    assert "byte_divisor" not in make_batch([None], SHAPE, keep_bytes=True)
