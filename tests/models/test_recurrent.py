import pytest
import torch
from torch.testing import assert_close

from evdet.models import ConvGRU, ConvLSTM

T, B, C, D, H, W = 4, 2, 3, 5, 6, 7


@pytest.fixture(params=[ConvLSTM, ConvGRU])
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
