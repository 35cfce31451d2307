import torch
from hypothesis import given, strategies as st

from evdet.models.ssd.matcher import BACKGROUND, IGNORED, MATCHED, match

# Few different values: equal overlaps, and overlaps of exactly a threshold, are common.
OVERLAP = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.4, 0.5, 0.6, 0.9])
OVERLAPS = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(
        st.lists(
            st.lists(OVERLAP, min_size=shape[2], max_size=shape[2]),
            min_size=shape[1],
            max_size=shape[1],
        ),
        min_size=shape[0],
        max_size=shape[0],
    )
)


def match_one(*objects):
    """States and objects of the anchors of one frame; rows are objects, columns anchors."""
    matched, state = match(torch.tensor([list(objects)]))
    return state[0].tolist(), matched[0].tolist()


def by_definition(objects):
    """One frame in plain Python; None where an anchor has no object."""
    states, owners = [], []
    for anchor in range(len(objects[0])):
        claims = [
            (row[anchor], -number)
            for number, row in enumerate(objects)
            if row[anchor] > 0 and (row[anchor] >= 0.5 or row[anchor] == max(row))
        ]
        highest = max(row[anchor] for row in objects)
        states.append(MATCHED if claims else BACKGROUND if highest < 0.3 else IGNORED)
        owners.append(-max(claims)[1] if claims else None)
    return states, owners


def test_a_frame_without_objects_is_all_background():
    matched, state = match(torch.zeros(2, 0, 5))
    assert matched.shape == state.shape == (2, 5)
    assert not state.any()


def test_a_frame_without_anchors_is_nothing():
    assert match(torch.zeros(2, 0, 0))[1].shape == (2, 0)


def test_the_overlap_decides_between_object_nothing_and_background():
    state, _ = match_one([0.9, 0.5, 0.49, 0.3, 0.29, 0.0])
    assert state == [MATCHED, MATCHED, IGNORED, IGNORED, BACKGROUND, BACKGROUND]


def test_every_object_takes_its_best_anchors_however_bad():
    state, _ = match_one([0.1, 0.2, 0.2, 0.0])
    assert state == [BACKGROUND, MATCHED, MATCHED, BACKGROUND]


def test_an_object_that_touches_no_anchor_and_padding_take_none():
    assert match_one([0.0, 0.0])[0] == [BACKGROUND, BACKGROUND]


def test_of_two_objects_the_one_that_overlaps_more_gets_the_anchor():
    assert match_one([0.6, 0.0], [0.8, 0.0])[1][0] == 1
    # Object 0 loses the only anchor that it touches.
    assert match_one([0.2, 0.0], [0.7, 0.6])[1] == [1, 1]
    assert match_one([0.7, 0.1], [0.7, 0.1])[1][0] == 0


def test_an_object_that_does_not_claim_an_anchor_does_not_get_it():
    # Object 0 overlaps anchor 0 more, but has a better one; for object 1 it is the best.
    state, matched = match_one([0.4, 0.45], [0.35, 0.0])
    assert state == [MATCHED, MATCHED]
    assert matched == [1, 0]


@given(OVERLAPS)
def test_all_frames_at_once_are_each_frame_by_definition(frames):
    matched, state = match(torch.tensor(frames))
    for frame, states, owners in zip(frames, state.tolist(), matched.tolist(), strict=True):
        expected_states, expected_owners = by_definition(frame)
        assert states == expected_states
        found = [o if s == MATCHED else None for o, s in zip(owners, states, strict=True)]
        assert found == expected_owners
