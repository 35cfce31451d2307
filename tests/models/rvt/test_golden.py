"""The same network as RVT's own code: conftest.py says where the numbers come from."""

import ast
import copy

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from evdet.detectors import published_name
from evdet.models.rvt import RVT, RVT_PLANS
from models.rvt.published_numbers import assert_losses_are

SIZES = ["tiny", "small", "base"]
# A fast test for one size, slow ones for all.
SOME_SIZES = [
    size if size == "tiny" else pytest.param(size, marks=pytest.mark.slow) for size in SIZES
]
NUM_WEIGHTS = {"tiny": 4_405_141, "small": 9_870_165, "base": 18_536_469}
GMACS = {"tiny": 1.39, "small": 2.94, "base": 5.26}
# Of RVT-Tiny: sums and sums of absolute values of each stage's features in the last frame, and
# sums of cx, cy, w, h, objectness and the two classes over all candidates.
TINY_FEATURES = [
    -1158.98478, 46634.348, -122.791648, 29629.334, 2536.7268, 14930.866, 501.831638, 8471.4989,
]  # fmt: skip
TINY_OUTPUTS = [
    517963.443, 409008.19, 37027.9768, 34613.7933, 1694.25228, 1749.46807, 1721.05917,
]  # fmt: skip


def on_meta(size):
    """A detector without numbers: enough to count."""
    with torch.device("meta"):
        return RVT(RVT_PLANS[f"RVT-{size.title()}"], 20, 2).eval()


@torch.no_grad()
def run(remade):
    """Features and head outputs of the last frame, and the memory after it."""
    features, memory = remade.detector.extract(remade.clip)
    last = [level[-2:] for level in features]
    outputs = remade.detector.head(remade.detector.neck(last[1:]))
    probabilities = torch.cat([outputs.objectness[..., None], outputs.class_logits], -1).sigmoid()
    table = torch.cat([outputs.boxes_cxcywh, probabilities], dim=-1)
    return [level.double().numpy() for level in last], table.double().numpy(), memory


def assert_near(found, expected):
    """To 1e-4; where a number of a table is next to zero, relative to the largest of them."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("size", SIZES)
def test_there_are_as_many_weights_as_published(size):
    assert sum(weight.numel() for weight in on_meta(size).parameters()) == NUM_WEIGHTS[size]


@pytest.mark.parametrize("size", SIZES)
def test_there_is_as_much_arithmetic_as_published(size):
    detector = on_meta(size)
    clip = torch.empty(1, 1, 20, 256, 320, device="meta")
    # Attention by plain matrix products: of the others the counter does not know all.
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        detector.predict(clip)
    # A multiplication and the addition that follows are one MAC and two FLOPs.
    assert counter.get_total_flops() / 2e9 == pytest.approx(GMACS[size], rel=0.01)


def test_the_tiny_network_gives_the_originals_numbers(remade):
    features, table, _ = run(remade("tiny"))
    sums = [part for level in features for part in (level.sum(), np.abs(level).sum())]
    np.testing.assert_allclose(sums, TINY_FEATURES, rtol=1e-4)
    np.testing.assert_allclose(table.sum(axis=(0, 1)), TINY_OUTPUTS, rtol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_names_and_shapes_are_those_of_the_published_files(size, event_data):
    lines = (event_data / "rvt_golden" / f"rvt_{size}_keys.txt").read_text().splitlines()
    published = {key: ast.literal_eval(shape) for key, shape in (x.split(" ", 1) for x in lines)}
    ours = on_meta(size).state_dict()
    assert {published_name(name): tuple(w.shape) for name, w in ours.items()} == published


@pytest.mark.parametrize("size", SOME_SIZES)
def test_features_memory_and_outputs_are_the_originals(size, event_data, remade):
    golden = np.load(event_data / "rvt_golden" / f"rvt_{size}_gen1.npz")
    remade = remade(size)
    assert remade.clip.sum() == golden["input_sum"]

    features, table, memory = run(remade)

    for number, level in enumerate(features, 1):
        sums = [golden[f"features{number}_sum"], golden[f"features{number}_abs"]]
        np.testing.assert_allclose([level.sum(), np.abs(level).sum()], sums, rtol=1e-4)
        assert_near(level[0, :4, :3, :3], golden[f"features{number}_slice"])
    assert_near(memory[-1][1, :4, :2, :2].numpy(), golden["cell4_slice"])
    assert table.shape == tuple(golden["outputs_shape"])
    for column in range(table.shape[2]):
        assert_near(table[0, :50, column], golden["outputs_first"][:, column])
        assert_near(table[1, -50:, column], golden["outputs_last"][:, column])
    np.testing.assert_allclose(table.sum(axis=(0, 1)), golden["outputs_sum"], rtol=1e-4)


@pytest.mark.parametrize("size", SOME_SIZES)
def test_losses_and_gradients_are_the_originals(size, event_data, remade):
    golden = np.load(event_data / "rvt_golden" / f"rvt_{size}_gen1.npz")
    detector = copy.deepcopy(remade(size).detector).train()
    assert_losses_are(golden, detector, remade(size).clip, gradients=1e-4)
