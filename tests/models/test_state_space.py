"""S5 remembers: streams, durations, and the numbers of the published code."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.testing import assert_close

from evdet.models.state_space import S5, S5Block, hippo_eigenvalues
from models.rvt.published_numbers import remade_weight

PUBLISHED = {
    "s5.eigenvalues": "s5.seq.Lambda",
    "s5.input_weight": "s5.seq.B",
    "s5.output_weight": "s5.seq.C",
    "s5.skip": "s5.seq.D",
    "s5.log_step": "s5.seq.log_step",
    "norm.weight": "attn_norm.weight",
    "norm.bias": "attn_norm.bias",
    "gate_norm.weight": "ff_norm.weight",
    "gate_norm.bias": "ff_norm.bias",
    "expand.weight": "ff_enc.weight",
    "mix.weight": "ff_dec.weight",
}


def clip_of(time=6, lanes=2, channels=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(time, lanes, 2, 3, channels, generator=generator, dtype=torch.float64)


def scales_of(clip, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 0.2 + 3 * torch.rand(clip.shape[:2], generator=generator, dtype=torch.float64)


@pytest.fixture
def block():
    return S5Block(8).double()


def test_the_memory_of_one_frame_is_enough_to_continue(block):
    clip = clip_of()
    scales = scales_of(clip)
    whole, expected = block.step(clip, step_scale=scales)
    outputs, memory = [], None
    for frame, scale in zip(clip.split(1), scales.split(1), strict=True):
        output, memory = block.step(frame, memory, step_scale=scale)
        outputs.append(output)
    assert_close(torch.cat(outputs), whole, rtol=1e-10, atol=1e-12)
    assert_close(memory, expected, rtol=1e-10, atol=1e-12)


@given(st.integers(0, 6), st.booleans())
@settings(max_examples=14)
def test_a_stream_cut_anywhere_is_the_whole(cut, is_single):
    torch.manual_seed(0)
    block = S5Block(8).to(torch.float32 if is_single else torch.float64)
    clip = clip_of().to(block.mix.weight.dtype)
    scales = scales_of(clip)
    whole, expected = block.step(clip, step_scale=scales)
    first, memory = (
        (clip[:0], None) if cut == 0 else block.step(clip[:cut], step_scale=scales[:cut])
    )
    second = clip[:0]
    if cut < len(clip):
        second, memory = block.step(clip[cut:], memory, step_scale=scales[cut:])
    tolerance = 1e-4 if is_single else 1e-10
    assert_close(torch.cat([first, second]), whole, rtol=tolerance, atol=tolerance)
    assert_close(memory, expected, rtol=tolerance, atol=tolerance)


def test_the_memory_changes_the_output(block):
    clip = clip_of()
    memory = tuple(torch.ones(2, 8, 2, 3, dtype=torch.float64) for _ in range(2))
    assert (block.step(clip, memory)[0] - block.step(clip)[0]).abs().max() > 0.01


def test_lanes_and_cells_do_not_see_each_other(block):
    clip = clip_of()
    changed = clip.clone()
    changed[:, 1] += 1
    changed[:, 0, 1, 2] -= 1
    difference = (block.step(changed)[0] - block.step(clip)[0]).abs().amax(dim=(0, -1))
    assert difference[0].flatten()[:-1].max() == 0
    assert difference[0, 1, 2] > 0
    assert difference[1].min() > 0


def test_a_lane_that_is_reset_is_a_new_one(block):
    _, memory = block.step(clip_of())
    clip = clip_of(seed=5)
    reset = tuple(part * torch.tensor([1.0, 0.0])[:, None, None, None] for part in memory)
    assert_close(block.step(clip, reset)[0][:, 1], block.step(clip)[0][:, 1])


def test_no_scale_is_a_scale_of_one(block):
    clip = clip_of()
    ones = torch.ones(clip.shape[:2], dtype=torch.float64)
    assert_close(block.step(clip, step_scale=ones), block.step(clip))


def test_a_pace_of_one_changes_nothing_and_a_pace_is_a_duration_of_its_cell(block):
    clip = clip_of()
    assert_close(block.step(clip, pace=torch.ones_like(clip)), block.step(clip))
    scales = scales_of(clip)
    as_pace = scales[..., None, None, None].expand_as(clip)
    assert_close(block.step(clip, pace=as_pace), block.step(clip, step_scale=scales))
    both = block.step(clip, pace=as_pace, step_scale=scales)
    assert_close(both, block.step(clip, step_scale=scales**2))


def test_where_time_does_not_pass_a_state_stays(block):
    _, memory = block.step(clip_of())
    clip = clip_of(seed=5)
    pace = torch.ones_like(clip)
    pace[:, :, 1, :, ::2] = 0
    _, after = block.step(clip, memory, pace=pace)
    for now, before in zip(after, memory, strict=True):
        stays = (now - before).abs() == 0
        assert stays[:, ::2, 1].all()
        assert not stays[:, 1::2].any()
        assert not stays[:, :, 0].any()


@given(st.floats(0.25, 20))
@settings(max_examples=10)
def test_a_constant_input_ends_at_one_state_whatever_the_duration(scale):
    torch.manual_seed(0)
    layer = S5(8).double()
    with torch.no_grad():
        layer.log_step.fill_(np.log(0.5))
        layer.eigenvalues[:, 1] = torch.linspace(-2, 2, 8)
    clip = torch.ones(600, 1, 1, 1, 8, dtype=torch.float64)
    _, (real, imaginary) = layer.step(clip, step_scale=torch.full((600, 1), scale).double())
    weight = torch.view_as_complex(layer.input_weight.detach())
    expected = -weight.sum(dim=1) / torch.view_as_complex(layer.eigenvalues.detach())
    found = torch.complex(real, imaginary).flatten().detach()
    assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_two_halves_of_a_frame_are_nearly_the_frame():
    torch.manual_seed(0)
    layer = S5(16).double()
    frame = clip_of(1, 1, 16)
    halves = torch.cat([frame, frame])
    _, (real, _) = layer.step(frame)
    _, (twice, _) = layer.step(halves, step_scale=torch.full((2, 1), 0.5).double())
    error = (twice - real).abs() / real.abs().max()
    assert error.median() < 1e-3


@given(st.floats(1e-3, 1e3))
@settings(max_examples=20)
def test_states_that_decay_do_so_at_any_duration(scale):
    torch.manual_seed(0)
    layer = S5(32).double()
    (real, imaginary), _ = layer._discretize(torch.full((1, 1), scale).double(), None)
    assert torch.hypot(real, imaginary).max() < 1


def test_the_recurrence_is_that_of_complex_numbers():
    torch.manual_seed(3)
    layer = S5(8).double()
    clip, scales = clip_of(), scales_of(clip_of())
    outputs, memory = layer.step(clip, step_scale=scales)
    value, weight, out = (
        torch.view_as_complex(part.detach())
        for part in (layer.eigenvalues, layer.input_weight, layer.output_weight)
    )
    state = torch.zeros(2, 2, 3, 8, dtype=torch.complex128)
    for frame, scale, output in zip(clip, scales, outputs, strict=True):
        step = scale[:, None, None, None] * layer.log_step.detach().exp()
        k = 1 / (1 - step / 2 * value)
        state = k * (1 + step / 2 * value) * state + k * step * (frame.to(weight.dtype) @ weight.T)
        expected = (state @ out.T).real + layer.skip * frame
        assert_close(output, expected, rtol=1e-10, atol=1e-12)
    assert_close(memory[1].permute(0, 2, 3, 1), state.imag, rtol=1e-10, atol=1e-12)


def test_the_first_states_are_those_of_hippo(event_data):
    golden = np.load(event_data / "s5_golden" / "s5_block.npz")
    values, vectors = hippo_eigenvalues(32)
    np.testing.assert_allclose(values.real, golden["hippo_real"], atol=1e-5)
    np.testing.assert_allclose(values.imag, golden["hippo_imag"], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(vectors @ vectors.conj().T, np.eye(32), atol=1e-10)


@pytest.mark.parametrize(("channels", "share"), [(48, 0.16), (96, 0.26)])
def test_states_too_fast_for_their_step_have_no_output_at_first(channels, share):
    torch.manual_seed(0)
    layers = [S5(channels) for _ in range(20)]
    silent = torch.stack([(layer.output_weight == 0).all(dim=0).all(dim=-1) for layer in layers])
    assert silent.float().mean() == pytest.approx(share, abs=0.03)


@pytest.fixture
def golden_block(event_data):
    """The block of the golden numbers, its input and a start state."""
    block = S5Block(32)
    weights = block.state_dict()
    assert weights.keys() == PUBLISHED.keys()
    listed = (event_data / "s5_golden" / "s5_block_keys.txt").read_text()
    for name, weight in weights.items():
        assert f"block.{PUBLISHED[name]}" in listed
        weight.copy_(remade_weight(f"block.{PUBLISHED[name]}", tuple(weight.shape), 31))
    rng = np.random.default_rng(31)
    x = rng.standard_normal((6, 12, 32)).astype(np.float32)
    z = rng.standard_normal((6, 32, 2)).astype(np.float32)
    scales = rng.uniform(0.25, 3, (6, 12)).astype(np.float32)
    # (sequence, time, channel) -> (time, lane, 1, 1, channel).
    clip = torch.from_numpy(x).transpose(0, 1)[:, :, None, None]
    start = tuple(torch.from_numpy(z[..., part])[:, :, None, None] for part in range(2))
    golden = np.load(event_data / "s5_golden" / "s5_block.npz")
    assert x.sum() == pytest.approx(float(golden["x_sum"]), rel=1e-4)
    np.testing.assert_array_equal(golden["scales"], scales)
    return block, clip, start, torch.from_numpy(scales).T, golden


def by_sequence(outputs):
    return outputs[:, :, 0, 0].transpose(0, 1).detach().numpy()


def near(found, expected, tolerance=1e-5):
    expected = np.asarray(expected)
    if np.iscomplexobj(expected):
        expected = np.stack([expected.real, expected.imag], axis=-1)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def states(memory):
    return torch.stack(memory, dim=-1)[:, :, 0, 0].detach().numpy()


@pytest.mark.parametrize("kind", ["", "half_step_", "double_step_", "mixed_step_"])
def test_outputs_and_states_are_those_of_the_published_code(golden_block, kind):
    block, clip, _, scales, golden = golden_block
    scale = {
        "": None,
        "half_step_": torch.full_like(scales, 0.5),
        "double_step_": torch.full_like(scales, 2.0),
        "mixed_step_": scales,
    }[kind]
    outputs, memory = block.s5.step(block.norm(clip), step_scale=scale)
    near(by_sequence(outputs), golden[f"{kind}y"])
    near(states(memory), golden[f"{kind}state"])


def test_the_block_is_that_of_the_published_code(golden_block):
    block, clip, _, _, golden = golden_block
    outputs, memory = block.step(clip)
    near(by_sequence(outputs), golden["block"])
    near(states(memory), golden["block_state"])


def test_a_start_state_counts_as_the_equations_say(golden_block):
    block, clip, start, _, golden = golden_block
    outputs, memory = block.s5.step(block.norm(clip), start)
    near(by_sequence(outputs), golden["from_start_y"])
    near(states(memory), golden["from_start_state"])


def test_gradients_through_time_are_those_of_the_published_code(golden_block):
    block, clip, _, _, golden = golden_block
    loss = block.step(clip)[0].square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=1e-4)
    for name, weight in block.named_parameters():
        norms = [key for key in golden.files if key.endswith(PUBLISHED[name]) and "grad" in key]
        assert len(norms) == 1
        assert weight.grad.norm().item() == pytest.approx(float(golden[norms[0]]), rel=1e-3)
