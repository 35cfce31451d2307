import pytest
import torch
from torch.testing import assert_close

from evdet.models import ConvGRU, ConvLSTM, ConvS5

T, B, C, D, H, W = 4, 2, 3, 5, 6, 7


@pytest.fixture(params=[ConvLSTM, ConvGRU, ConvS5])
def layer(request):
    # Evaluation: BatchNorm over a clip would tie its frames and lanes together in training.
    return request.param(C, D, 2).eval()


def test_the_memory_has_one_tensor_a_name(layer):
    _, memory = layer.step(torch.randn(T, B, C, H, W))
    assert [part.shape for part in memory] == [(B, D, 3, 4)] * len(layer.memory_names)


def test_the_lstm_follows_its_equations():
    lstm = ConvLSTM(C, D).eval()
    frame = torch.randn(1, B, C, H, W)
    hidden, cell = torch.randn(2, B, D, H, W)

    out, (new_hidden, new_cell) = lstm.step(frame, (hidden, cell))

    gates = lstm.input_to_hidden(frame[0]) + lstm.hidden_to_hidden(hidden)
    i, f, o, g = gates.chunk(4, dim=1)
    expected_cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    expected = o.sigmoid() * expected_cell.tanh()
    assert_close(new_cell, expected_cell)
    assert_close(new_hidden, expected)
    assert_close(out[0], expected)


def test_a_gru_whose_update_gate_is_shut_keeps_its_memory():
    gru = ConvGRU(C, D).eval()
    torch.nn.init.constant_(gru.hidden_to_gates.bias[D:], -100.0)
    hidden = torch.randn(B, D, H, W)

    out, _ = gru.step(torch.randn(T, B, C, H, W), (hidden,))

    assert_close(out, hidden.expand(T, B, D, H, W))


def test_an_s5_whose_pace_is_zero_keeps_its_states():
    s5 = ConvS5(C, D).eval()
    states = torch.randn(2, B, D, H, W).unbind()
    clip = torch.randn(T, B, C, H, W)
    torch.nn.init.constant_(s5.pace.bias, -100.0)
    _, memory = s5.step(clip, states, step_scale=torch.rand(T, B) * 5)
    assert_close(memory, states)


def test_time_passes_everywhere_alike_in_a_fresh_s5():
    s5 = ConvS5(C, D).eval()
    clip = torch.randn(T, B, C, H, W)
    cells = s5.input_to_hidden(clip.flatten(0, 1)).unflatten(0, (T, B)).permute(0, 1, 3, 4, 2)
    assert_close(s5.step(clip)[1], s5.block.step(cells)[1])
