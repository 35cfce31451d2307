import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from evdet.metrics import FrameResults, average_precision, merge

NAMES = ("a", "b", "c")


def random_frame(rng):
    def boxes(count):
        corner = rng.integers(0, 3, (count, 2)) * 20
        return np.concatenate([corner, corner + 30], axis=1).astype(np.float32)

    truth = boxes(rng.integers(0, 3))
    found = boxes(rng.integers(0, 6))
    # Two scores: nearly everything is tied.
    detection = {
        "boxes": found,
        "labels": rng.integers(1, 4, len(found)),
        "scores": rng.choice(np.array([0.25, 0.75], np.float32), len(found)),
    }
    labels = rng.integers(1, 4, (len(truth), 1))
    return np.concatenate([truth, labels], axis=1).astype(np.float32), detection


def random_frames(seed, count):
    rng = np.random.default_rng(seed)
    return {(int(i) // 4, int(i) % 4): random_frame(rng) for i in range(count)}


def results_of(frames, keys):
    results = FrameResults()
    for key in keys:
        results.add(key, *frames[key])
    return results


def score(results):
    return average_precision(results.truths, results.detections, NAMES).as_dict()


NOTHING = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, np.int64), "scores": np.zeros(0)}


def test_empty_results_merge_and_score():
    merged = merge([FrameResults(), FrameResults()])

    assert len(merged) == len(merge([])) == 0
    assert score(merged)["num_frames"] == 0


def test_a_frame_annotated_as_empty_is_a_frame():
    results = FrameResults()
    results.add((0, 0), torch.zeros(0, 5), NOTHING)

    assert len(results) == 1
    assert results.truths[0].shape == (0, 5)
    assert results.detections[0]["boxes"].shape == (0, 4)


@given(st.data(), st.integers(0, 2**32 - 1), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_two_processes_score_as_one(data, seed, count):
    frames = random_frames(seed, count)
    together = score(results_of(frames, frames))

    order = data.draw(st.permutations(sorted(frames)))
    cut = data.draw(st.integers(0, count))
    halves = [results_of(frames, order[:cut]), results_of(frames, order[cut:])]

    assert score(merge(halves)) == together
    assert score(merge(reversed(halves))) == together


def test_frames_are_listed_by_key_whatever_order_they_came_in():
    frames = random_frames(0, 7)
    results = results_of(frames, reversed(list(frames)))

    assert results.keys == sorted(frames)
    for (truth, detection), kept, found in zip(
        frames.values(), results.truths, results.detections, strict=True
    ):
        np.testing.assert_array_equal(kept, truth)
        for name in ("boxes", "labels", "scores"):
            np.testing.assert_array_equal(found[name], detection[name])


def test_half_precision_on_tensors_is_kept_exactly():
    results = FrameResults()
    scores = torch.tensor([0.3], dtype=torch.bfloat16)
    detection = {"boxes": torch.ones(1, 4), "labels": torch.ones(1).long(), "scores": scores}
    results.add((0, 0), torch.zeros(0, 5), detection)

    assert results.detections[0]["scores"][0] == scores.float().item()


def test_what_is_kept_does_not_follow_the_callers_arrays():
    truth = np.array([[0, 0, 9, 9, 1]], np.float32)
    results = FrameResults()
    results.add((0, 0), truth, NOTHING)
    truth[:] = 0

    assert results.truths[0][0, 4] == 1


def test_results_survive_pickling_and_merging_leaves_the_parts_alone():
    frames = random_frames(1, 6)
    part = results_of(frames, frames)
    other = FrameResults()
    other.add((9, 0), np.zeros((0, 5)), NOTHING)

    copy = pickle.loads(pickle.dumps(part))
    assert len(merge([copy, other])) == 7
    assert (len(copy), len(other)) == (6, 1)
    assert score(copy) == score(part)


def test_a_frame_is_scored_once():
    results = FrameResults()
    results.add((2, 3), np.zeros((0, 5)), NOTHING)

    with pytest.raises(ValueError, match=r"frame \(2, 3\) \(video, frame\)"):
        results.add((2, 3), np.zeros((0, 5)), NOTHING)
    with pytest.raises(ValueError, match=r"1 frames were scored by two.*\(2, 3\)"):
        merge([results, results])


def test_an_exhausted_lane_has_no_frames():
    with pytest.raises(ValueError, match="exhausted lane"):
        FrameResults().add((-1, 0), np.zeros((0, 5)), NOTHING)
