import numpy as np
import pytest
import torch

from evdet.data import ClipInfo
from evdet.evaluation.lane_grid import LaneGrid, _grid_of

NOTHING = {
    "boxes": torch.zeros(0, 4),
    "labels": torch.zeros(0, dtype=torch.long),
    "scores": torch.zeros(0),
}
SIZE = 8


def batch_of(*lanes, num_bins=3):
    """Lanes of grey frames from their (index, padding); -1 is an exhausted lane."""
    inputs = torch.zeros(num_bins, len(lanes), 1, SIZE, SIZE)
    infos = []
    for b, (index, padding) in enumerate(lanes):
        inputs[: num_bins - padding if index >= 0 else 0, b] = 0.2 * (b + 1)
        infos.append(ClipInfo(f"v{index}", index, 0, 50_000, num_padding=padding))
    return {
        "inputs": inputs,
        "labels": [[torch.zeros(0, 5) for _ in lanes] for _ in range(num_bins)],
        "mask_keep_memory": torch.ones(len(lanes), 1, 1, 1),
        "frame_is_labeled": torch.ones(num_bins, len(lanes), dtype=torch.bool),
        "video_infos": infos,
    }


def found_in(batch):
    num_bins, num_lanes = batch["inputs"].shape[:2]
    return [[NOTHING] * num_lanes for _ in range(num_bins)]


def grid():
    def show(frame):
        return np.repeat((frame[0].numpy()[..., None] * 250).astype(np.uint8), 3, axis=2)

    return LaneGrid(["background"], show, nms_thresh=0.6, factor=2)


def test_a_batch_in_which_no_lane_plays_has_no_pictures():
    batch = batch_of((-1, 0), (-1, 0))

    assert list(grid().draw(batch, found_in(batch))) == []
    assert grid().draw_moments(batch, found_in(batch)) is None


def test_exhausted_lanes_have_no_tiles():
    batch = batch_of((0, 0), (-1, 0), (1, 0), (-1, 0))
    pictures = list(grid().draw(batch, found_in(batch)))

    assert len(pictures) == 3
    assert pictures[0].shape == (2 * SIZE, 2 * 2 * SIZE + 2, 3)
    assert (pictures[0] > 0).all()


def test_a_recording_that_has_ended_keeps_its_last_picture():
    batch = batch_of((0, 2), (1, 0))
    first, second, last = grid().draw(batch, found_in(batch))
    ended = second[:, : 2 * SIZE]

    assert (first[:, : 2 * SIZE] == 50).all()
    assert (ended[:, -1] == int(50 * 0.45)).all()  # on the left is a caption
    assert (last[:, 2 * SIZE + 2 :] == 100).all()


def test_pictures_end_with_the_last_recording():
    one = grid()
    batch, over = batch_of((0, 2), (1, 1)), batch_of((-1, 0), (-1, 0))

    assert len(list(one.draw(batch, found_in(batch)))) == 2
    assert list(one.draw(over, found_in(over))) == []


def test_a_picture_of_moments_takes_the_frame_with_most_events():
    batch = batch_of((0, 0))
    batch["inputs"][0] = batch["inputs"][2] = 0

    assert (grid().draw_moments(batch, found_in(batch)) == 50).all()


@pytest.mark.parametrize(
    ("lanes", "ratio", "expected"),
    [
        (0, 1.0, (0, 1)),
        (1, 1.0, (1, 1)),
        (2, 1.0, (2, 2)),
        (3, 1.0, (3, 3)),
        (4, 1.0, (4, 2)),
        (5, 1.0, (4, 2)),
        (7, 1.0, (6, 3)),
        (8, 1.0, (8, 4)),
        (4, 16 / 9, (4, 2)),
    ],
)
def test_a_grid_is_full(lanes, ratio, expected):
    assert _grid_of(lanes, ratio) == expected


@pytest.mark.parametrize("lanes", range(1, 65))
def test_a_grid_of_any_number_of_lanes_is_full_and_drops_few(lanes):
    number, columns = _grid_of(lanes, 4 / 3)
    assert number % columns == 0
    assert number >= 0.7 * lanes or lanes < 4
