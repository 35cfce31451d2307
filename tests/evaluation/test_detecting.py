import pytest
import torch
from hypothesis import given, strategies as st

from evdet.data import ClipInfo
from evdet.evaluation import detect_batches, rename_classes
from evdet.frame_spec import SelectionThresholds


def found_of(labels, **more):
    labels = torch.tensor(labels, dtype=torch.int64)
    boxes = torch.arange(4.0 * len(labels)).reshape(-1, 4)
    return {"boxes": boxes, "labels": labels, "scores": torch.ones(len(labels)), **more}


def test_the_same_classes_leave_detections_as_they_are():
    found = [[found_of([1, 2])]]
    assert rename_classes(found, ("a", "b"), ("a", "b")) is found


def test_classes_are_matched_by_name_and_others_left_out():
    along = torch.tensor([0.1, 0.2, 0.3, 0.4])
    found = [[found_of([]), found_of([1, 2, 3, 2], class_scores=along)]]
    [[empty, renamed]] = rename_classes(found, ("car", "bus", "dog"), ("dog", "car"))
    assert len(empty["labels"]) == len(empty["boxes"]) == 0
    assert renamed["labels"].tolist() == [2, 1]
    assert renamed["boxes"][:, 0].tolist() == [0, 8]
    assert torch.equal(renamed["class_scores"], along[[0, 2]])


class Counting:
    """Its scores are the frames that its memory holds, this one included."""

    frame_spec = None

    def step(self, clip, memory=None, *, thresholds):
        held = torch.zeros(clip.shape[1], 1, 1, 1) if memory is None else memory[0]
        found = []
        for _ in clip:
            held = held + 1
            found.append([{"scores": lane.flatten()} for lane in held])
        return found, (held,)


def batches_of(lanes, num_tbins):
    """Lanes are lists of recordings' numbers of frames."""
    clips = [
        [(index, first) for index, count in enumerate(lane) for first in range(0, count, num_tbins)]
        for lane in lanes
    ]
    for k in range(max(map(len, clips))):
        now = [lane[k] if k < len(lane) else (-1, 0) for lane in clips]
        yield {
            "inputs": torch.zeros(num_tbins, len(lanes), 1, 1, 1),
            "mask_keep_memory": torch.tensor([float(first > 0) for _, first in now])[
                :, None, None, None
            ],
            "video_infos": [ClipInfo("", index, first, 1) for index, first in now],
        }


def held_by(lanes, num_tbins, every):
    """The frames in memory at (lane, recording, frame)."""
    held = {}
    batches = batches_of(lanes, num_tbins)
    for batch, found in detect_batches(
        Counting(), batches, SelectionThresholds(), reset_every=every
    ):
        assert len(found) == num_tbins
        for lane, info in enumerate(batch["video_infos"]):
            for t in range(num_tbins if info.index >= 0 else 0):
                frame = info.first_frame + t
                if frame < lanes[lane][info.index]:
                    held[lane, info.index, frame] = int(found[t][lane]["scores"].item())
    return held


LANES = st.lists(st.lists(st.integers(1, 30), max_size=3), min_size=1, max_size=3).filter(any)


@given(LANES, st.integers(1, 9), st.one_of(st.none(), st.integers(1, 25)))
def test_memory_is_emptied_every_n_frames_of_each_recording_however_it_is_cut(
    lanes, num_tbins, every
):
    held = held_by(lanes, num_tbins, every)
    assert len(held) == sum(map(sum, lanes))
    for (_, _, frame), count in held.items():
        assert count == (frame if every is None else frame % every) + 1


def test_memory_that_is_emptied_less_than_once_a_frame_is_refused():
    with pytest.raises(ValueError, match="reset_every must be at least 1, got 0"):
        held_by([[3]], 2, 0)
