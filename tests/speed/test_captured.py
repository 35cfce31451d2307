import pytest
import torch
from torch.testing import assert_close

from evdet.speed.captured import CapturedCall, CapturedStep, Replay


def replay_by_hand(play):
    """What a graph does, without one: the same function, into the same places."""
    outputs = play()

    def run():
        for place, value in zip(outputs, play(), strict=True):
            place.copy_(value)

    return Replay(run, outputs)


def captured(body, clip, memory):
    return CapturedCall(body, clip, memory, capture=replay_by_hand)


def add_up(clip, memory):
    """The sum of all frames so far, and of this one."""
    (total,) = memory
    new = total + clip[0]
    return (new.clone(), clip[0] * 1), (new,)


CLIP, MEMORY = torch.ones(1, 1, 1, 2, 2), (torch.zeros(1, 1, 2, 2),)


def test_a_detector_without_memory_can_be_captured():
    call = captured(lambda clip, memory: ((clip + 1,), ()), CLIP, ())
    (out,), memory = call(2 * CLIP, None)
    assert_close(out, 3 * CLIP)
    assert memory == ()


def test_memory_is_carried_on_in_its_place():
    call = captured(add_up, CLIP, MEMORY)
    place = None
    for number in range(1, 4):
        (total, frame), memory = call(CLIP * number, place)
        assert place is None or memory is place
        assert_close(frame, CLIP[0] * number)
        assert_close(total, CLIP[0] * number * (number + 1) / 2)
        assert_close(memory[0], total)
        place = memory


def test_no_memory_starts_anew():
    call = captured(add_up, CLIP, MEMORY)
    _, memory = call(CLIP, None)
    call(CLIP, memory)
    (total, _), _ = call(CLIP, None)
    assert_close(total, CLIP[0])


def test_a_memory_from_elsewhere_is_copied_in_and_left_alone():
    call = captured(add_up, CLIP, MEMORY)
    own = (torch.full((1, 1, 2, 2), 10.0),)
    (total, _), _ = call(CLIP, own)
    assert_close(total, torch.full((1, 1, 2, 2), 11.0))
    assert_close(own[0], torch.full((1, 1, 2, 2), 10.0))


def test_parts_of_the_memory_may_change_places():
    def swap(clip, memory):
        return (clip * 1,), (memory[1], memory[0])

    call = captured(swap, CLIP, (*MEMORY, *MEMORY))
    one, two = (torch.full((1, 1, 2, 2), value) for value in (1.0, 2.0))
    _, memory = call(CLIP, (one, two))
    assert_close(memory, (two, one))


def test_what_is_given_is_not_changed():
    call = captured(add_up, CLIP, MEMORY)
    clip = CLIP * 5
    call(clip, None)
    assert_close(clip, CLIP * 5)
    assert_close(MEMORY[0], torch.zeros(1, 1, 2, 2))


def test_a_clip_of_another_shape_is_refused():
    call = captured(add_up, CLIP, MEMORY)
    with pytest.raises(ValueError, match=r"captured for clips of shape \(1, 1, 1, 2, 2\), got"):
        call(torch.ones(1, 2, 1, 2, 2), None)


@pytest.mark.parametrize("as_memory", [lambda memory: memory, lambda memory: None])
def test_a_captured_step_detects_what_the_detector_does(any_detector, thresholds, clips, as_memory):
    expected_memory = memory = None
    num_boxes = 0
    with torch.inference_mode():
        step = CapturedStep(any_detector.predict, clips[0], thresholds, capture=replay_by_hand)
        for clip in clips:
            expected, expected_memory = any_detector.step(
                clip, expected_memory, thresholds=thresholds
            )
            found, memory = step(clip, memory)
            assert_same(found, expected)
            assert_close(memory, expected_memory)
            num_boxes += len(found[0][0]["boxes"])
            expected_memory, memory = as_memory(expected_memory), as_memory(memory)
    assert num_boxes > 0


@pytest.mark.gpu
def test_a_graph_detects_what_the_detector_does(any_detector, thresholds, clips):
    any_detector.cuda()
    expected_memory = memory = None
    with torch.inference_mode():
        step = CapturedStep(any_detector.predict, clips[0].cuda(), thresholds)
        for clip in clips:
            expected, expected_memory = any_detector.step(
                clip.cuda(), expected_memory, thresholds=thresholds
            )
            found, memory = step(clip.cuda(), memory)
            assert_same(found, expected)


def assert_same(found, expected):
    for lanes, expected_lanes in zip(found, expected, strict=True):
        for frame, expected_frame in zip(lanes, expected_lanes, strict=True):
            for name, value in frame.items():
                assert_close(value, expected_frame[name], atol=1e-4, rtol=1e-4)
