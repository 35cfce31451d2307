import itertools

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from evdet.events import EVENT_DTYPE
from evdet.events.simulation.sensor import SensorModel, simulate_frames, simulate_step

H, W = 5, 7
DARK = SensorModel().dark_intensity
IDEAL = SensorModel(threshold_on=0.1, threshold_off=0.1).without_noise()
NOISY = SensorModel(
    threshold_on=0.15, threshold_off=0.2, leak_rate_hz=40.0, shot_noise_hz=60.0, refractory_us=300
)


def plain(brightness, height=H, width=W):
    """A frame of that brightness, the logarithm of the intensity."""
    return np.full((height, width), np.exp(brightness) - DARK, np.float32)


def film(seed, num_frames=12, *, noise=0.3, height=H, width=W):
    """Frames whose pixels wander; some rest for a while."""
    rng = np.random.default_rng(seed)
    steps = noise * rng.standard_normal((num_frames, height, width))
    steps[rng.random(steps.shape) < 0.5] = 0
    intensities = np.exp(np.cumsum(steps, axis=0) - 1.5)
    times = 100 + np.cumsum(rng.integers(200, 3000, num_frames))
    return intensities.astype(np.float32), times


def test_the_first_frame_gives_no_events():
    events, memory = simulate_step(NOISY, plain(-1), 1234)
    assert (len(events), events.dtype) == (0, EVENT_DTYPE)
    assert (memory.t, memory.size) == (1234, (H, W))


def test_no_frames_are_no_events():
    _, memory = simulate_step(IDEAL, plain(-1), 0)
    events, after = simulate_frames(IDEAL, np.empty((0, H, W), np.float32), [], memory)
    assert len(events) == 0
    assert after is memory


@given(st.floats(0, 1, width=32), st.integers(1, 10**9))
def test_constant_light_without_noise_gives_no_events(intensity, duration):
    frame = np.full((H, W), intensity, np.float32)
    _, memory = simulate_step(IDEAL, frame, 0)
    assert len(simulate_step(IDEAL, frame, duration, memory)[0]) == 0


@given(st.integers(1, 30), st.booleans())
def test_a_step_of_k_thresholds_is_k_events_evenly_spread(k, rises):
    first, second = (-3.5, -3.5 + 0.1 * k) if rises else (-3.5 + 0.1 * k, -3.5)
    _, memory = simulate_step(IDEAL, plain(first), 5000)
    events, _ = simulate_step(IDEAL, plain(second), 5000 + 1000 * k, memory)

    assert len(events) == k * H * W
    assert (events["p"] == rises).all()
    expected = np.repeat(5000 + 1000 * np.arange(1, k + 1), H * W)
    assert np.abs(events["t"] - expected).max() <= 1
    assert sorted(zip(events["y"], events["x"], strict=True)) == sorted(
        (y, x) for y in range(H) for x in range(W) for _ in range(k)
    )


def test_what_is_left_below_a_threshold_is_remembered():
    _, memory = simulate_step(IDEAL, plain(-1), 0)
    counts = []
    for k in range(1, 11):
        events, memory = simulate_step(IDEAL, plain(-1 + 0.04 * k), 1000 * k, memory)
        counts.append(len(events) // (H * W))
    assert counts == [0, 0, 1, 0, 1, 0, 0, 1, 0, 1]


@given(st.integers(0, 1000))
def test_reversed_contrast_swaps_the_polarities(seed):
    frames, times = film(seed)
    events, _ = simulate_frames(IDEAL, frames, times)
    reverse = np.exp(-3 - np.log(frames.astype(np.float64) + DARK)) - DARK
    assume((reverse >= 0).all())
    mirrored, _ = simulate_frames(IDEAL, reverse.astype(np.float32), times)
    assert len(events) == len(mirrored)
    events, mirrored = (e[np.lexsort((e["t"], e["x"], e["y"]))] for e in (events, mirrored))
    for name in ("x", "y"):
        np.testing.assert_array_equal(events[name], mirrored[name])
    np.testing.assert_array_equal(events["p"], 1 - mirrored["p"])
    assert np.abs(events["t"] - mirrored["t"]).max(initial=0) <= 1


@given(st.integers(0, 1000), st.lists(st.integers(1, 11), max_size=4))
def test_chunk_by_chunk_gives_what_one_call_gives(seed, cuts):
    frames, times = film(seed)
    whole, last = simulate_frames(NOISY, frames, times)
    parts, memory = [], None
    edges = [0, *sorted(set(cuts)), len(frames)]
    for start, end in itertools.pairwise(edges):
        events, memory = simulate_frames(NOISY, frames[start:end], times[start:end], memory)
        parts.append(events)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(memory.state, last.state)
    assert memory.num_noise == last.num_noise


@given(st.integers(0, 1000))
def test_pixels_that_are_said_to_rest_are_skipped_and_lose_nothing(seed):
    frames, times = film(seed)
    frames[:, 3:] = frames[0, 3:]
    frames[:, :, :2] = frames[0, :, :2]
    changed = np.tile(np.array([[[0, 2, 3, 5], [0, 4, 3, W]]], np.int32), (len(frames), 1, 1))
    whole, _ = simulate_frames(NOISY, frames, times)
    quick, _ = simulate_frames(NOISY, frames, times, changed=changed)
    np.testing.assert_array_equal(quick, whole)


def test_events_are_in_order_after_the_last_frame_and_not_after_this_one():
    frames, times = film(0, 40, height=20, width=20)
    memory = None
    latest = -1
    for frame, t in zip(frames, times, strict=True):
        start = t if memory is None else memory.t
        events, memory = simulate_step(NOISY, frame, int(t), memory)
        if len(events):
            assert (np.diff(events["t"]) >= 0).all()
            assert start < events["t"][0]
            assert events["t"][0] >= latest
            latest = events["t"][-1]
            assert latest <= t


def test_memory_and_frames_are_left_as_they_were():
    frames, times = film(1)
    _, memory = simulate_frames(NOISY, frames[:6], times[:6])
    before = [array.copy() for array in (frames, memory.state, memory.intensity)]
    one, _ = simulate_frames(NOISY, frames[6:], times[6:], memory)
    two, _ = simulate_frames(NOISY, frames[6:], times[6:], memory)
    np.testing.assert_array_equal(one, two)
    for array, old in zip((frames, memory.state, memory.intensity), before, strict=True):
        np.testing.assert_array_equal(array, old)


@given(st.integers(0, 5000), st.integers(0, 1000))
def test_no_pixel_fires_while_it_is_blind(refractory, seed):
    model = SensorModel(
        threshold_on=0.05, threshold_off=0.05, refractory_us=refractory, leak_rate_hz=100.0,
        shot_noise_hz=500.0,
    )  # fmt: skip
    frames, times = film(seed)
    events, _ = simulate_frames(model, frames, times)
    assert len(events) > 20
    for pixel in np.unique(events["y"].astype(int) * W + events["x"]):
        own = events["t"][events["y"].astype(int) * W + events["x"] == pixel]
        assert (np.diff(own) >= refractory).all()


def test_a_change_while_a_pixel_is_blind_is_lost():
    model = SensorModel(
        threshold_on=0.1, threshold_off=0.1, refractory_us=10_000, mismatch=0.0, leak_rate_hz=0.0,
        shot_noise_hz=0.0,
    )  # fmt: skip
    levels = [-2, -1.9, -0.5, -0.5, -0.41, -0.39]
    events, _ = simulate_frames(
        model, np.stack([plain(v, 1, 1) for v in levels]), [0, 1000, 2000, 20_000, 21_000, 22_000]
    )
    assert events["t"].tolist() == pytest.approx([1000, 21_500], abs=1)


def test_leak_events_are_on_and_as_many_as_stated():
    model = SensorModel(leak_rate_hz=2.0, shot_noise_hz=0.0, mismatch=0.02, refractory_us=0)
    _, memory = simulate_step(model, plain(-1, 60, 60), 0)
    events, _ = simulate_step(model, plain(-1, 60, 60), 5_000_000, memory)
    assert events["p"].all()
    assert len(events) / (5 * 3600) == pytest.approx(2, rel=0.03)
    # They do not come in bursts: thresholds and phases differ.
    assert np.histogram(events["t"], 50)[0].std() < 0.1 * len(events) / 50


@pytest.mark.parametrize("intensity", [0, 0.5, 1, 3])
def test_shot_noise_is_a_poisson_process_that_fades_with_the_light(intensity):
    model = SensorModel(
        leak_rate_hz=0.0, shot_noise_hz=4.0, shot_noise_bright=0.25, refractory_us=0, mismatch=0.0
    )
    frame = np.full((50, 80), intensity, np.float32)
    _, memory = simulate_step(model, frame, 0)
    events, _ = simulate_step(model, frame, 3_000_000, memory)

    expected = 4 * (1 - 0.75 * min(intensity, 1)) * 50 * 80 * 3
    assert abs(len(events) - expected) < 4 * np.sqrt(expected)
    assert abs(events["p"].sum() - expected / 2) < 4 * np.sqrt(expected / 2)
    for name, cells in (("x", 80), ("y", 50), ("t", 60)):
        counts = np.histogram(events[name], cells)[0]
        assert counts.var() / counts.mean() == pytest.approx(1, abs=4 * np.sqrt(2 / cells))
    waits = np.diff(events["t"])
    assert waits.std() / waits.mean() == pytest.approx(1, abs=0.05)


def test_another_seed_is_another_sensor_and_the_same_seed_the_same():
    frames, times = film(3)
    first, again, other = (
        simulate_frames(SensorModel(seed=seed, shot_noise_hz=100.0), frames, times)[0]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or (first != other).any()


def test_thresholds_differ_from_pixel_to_pixel_as_stated():
    model = SensorModel(threshold_on=0.3, threshold_off=0.2, mismatch=0.04)
    _, memory = simulate_step(model, plain(-1, 60, 60), 0)
    off, on = memory.thresholds
    assert on.mean() == pytest.approx(0.3, abs=0.003)
    assert off.mean() == pytest.approx(0.2, abs=0.003)
    assert on.std() == pytest.approx(0.04, rel=0.05)


def test_times_may_be_as_late_as_a_clock_of_this_century():
    start = 1_676_562_141_437_616
    _, memory = simulate_step(IDEAL, plain(-1), start)
    events, _ = simulate_step(IDEAL, plain(0), start + 1000, memory)
    assert np.abs(np.unique(events["t"]) - start - 100 * np.arange(1, 11)).max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold_on": 0.0}, "threshold_on must be at least 0.01, got 0.0"),
        ({"threshold_off": float("nan")}, "threshold_off must be at least 0.01, got nan"),
        ({"mismatch": -1.0}, "mismatch must be 0 or more, got -1.0"),
        ({"refractory_us": -1}, "refractory_us must be 0 or more"),
        ({"shot_noise_hz": float("inf")}, "shot_noise_hz must be 0 or more, got inf"),
        ({"shot_noise_bright": 2.0}, "shot_noise_bright must be between 0 and 1, got 2.0"),
        ({"dark_intensity": 0.0}, "dark_intensity must be above 0"),
    ],
)
def test_a_sensor_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SensorModel(**change)


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_an_intensity_that_cannot_be_is_refused(wrong):
    frame = plain(-1)
    bad = frame.copy()
    bad[2, 3] = wrong
    with pytest.raises(ValueError, match="negative or not a number"):
        simulate_step(IDEAL, bad, 0)
    _, memory = simulate_step(IDEAL, frame, 0)
    with pytest.raises(ValueError, match="frame at 7 us has an intensity that is negative"):
        simulate_step(IDEAL, bad, 7, memory)


def test_frames_that_do_not_follow_are_refused():
    _, memory = simulate_step(IDEAL, plain(-1), 10)
    with pytest.raises(ValueError, match="a frame at 10 us follows one at 10 us"):
        simulate_step(IDEAL, plain(-1), 10, memory)
    with pytest.raises(ValueError, match=r"the frames are 3x2 .*, the sensor is 7x5"):
        simulate_step(IDEAL, plain(-1, 2, 3), 20, memory)
    with pytest.raises(ValueError, match="the first call needs at least one frame"):
        simulate_frames(IDEAL, np.empty((0, H, W), np.float32), [])
    with pytest.raises(ValueError, match="1 frames have 2 times: give one for each"):
        simulate_frames(IDEAL, plain(-1)[None], [20, 30], memory)
    outside = np.array([[[0, 0, H, W + 1]]], np.int32)
    with pytest.raises(ValueError, match="a rectangle lies outside the sensor"):
        simulate_frames(IDEAL, plain(-1)[None], [20], memory, changed=outside)
