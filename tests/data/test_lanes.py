from hypothesis import given, strategies as st

from evdet.data.lanes import assign_lanes

COUNTS = st.lists(st.integers(0, 30), max_size=40)
NUM_LANES = st.integers(1, 12)
SEED = st.integers(0, 2**40)


def loads_of(plan, counts):
    return [sum(counts[index] for index in lane) for lane in plan.lanes]


def test_no_videos_make_no_batches():
    plan = assign_lanes([], 2, seed=0, epoch=0)
    assert (plan.lanes, plan.num_batches) == (((), ()), 0)


def test_the_longest_video_has_a_lane_to_itself():
    plan = assign_lanes([1, 2, 6, 1, 2], 2, seed=0, epoch=0, shuffle=False)
    assert plan.lanes == ((2,), (0, 1, 3, 4))
    assert plan.num_batches == 6


@given(COUNTS, NUM_LANES, SEED, st.integers(0, 99), st.booleans())
def test_every_video_with_clips_is_played_once(counts, num_lanes, seed, epoch, shuffle):
    plan = assign_lanes(counts, num_lanes, seed=seed, epoch=epoch, shuffle=shuffle)

    played = sorted(index for lane in plan.lanes for index in lane)
    assert played == [index for index, count in enumerate(counts) if count > 0]
    assert len(plan.lanes) == num_lanes


@given(COUNTS, NUM_LANES, SEED)
def test_no_lane_is_ahead_of_another_by_more_than_one_video(counts, num_lanes, seed):
    plan = assign_lanes(counts, num_lanes, seed=seed, epoch=0)

    loads = loads_of(plan, counts)
    assert max(loads) - min(loads) <= max(counts, default=0)
    assert plan.num_batches == max(loads)


@given(COUNTS, NUM_LANES, SEED)
def test_the_plan_is_a_function_of_its_arguments(counts, num_lanes, seed):
    first = assign_lanes(counts, num_lanes, seed=seed, epoch=3)
    assert first == assign_lanes(counts, num_lanes, seed=seed, epoch=3)


def test_another_seed_or_epoch_makes_another_order():
    def dealt(seed, epoch):
        return assign_lanes([1] * 50, 2, seed=seed, epoch=epoch).lanes

    assert dealt(0, 0) != dealt(0, 1)
    assert dealt(0, 0) != dealt(1, 0)


@given(COUNTS, NUM_LANES)
def test_without_shuffling_a_lane_plays_in_the_order_given(counts, num_lanes):
    plan = assign_lanes(counts, num_lanes, seed=0, epoch=0, shuffle=False)
    assert all(list(lane) == sorted(lane) for lane in plan.lanes)
