"""The same network as S5-ViT's own code, and a memory that it does not have."""

import ast
import copy
from collections import namedtuple
from functools import cache

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from evdet.data import ClipInfo
from evdet.detectors import import_rvt, published_name
from evdet.detectors.checkpoints import load_network
from evdet.evaluation import detect_batches
from evdet.frame_spec import SelectionThresholds
from evdet.models.rvt import RVT, S5_VIT_PLANS, RVTPlan
from models.rvt.published_numbers import assert_losses_are, remade_weight

SEEDS = {"small": 32, "base": 33}
SIZES = ["small", "base"]
# Four frames of a real size take seconds.
pytestmark = pytest.mark.filterwarnings("error")
NUM_WEIGHTS = {"small": 9_677_205, "base": 18_192_149}
Remade = namedtuple("Remade", "detector clip golden")
TOY = RVTPlan(channels=(8, 8, 16, 16), head_channels=8, num_blocks=1, recurrent="s5")


def on_meta(size):
    with torch.device("meta"):
        return RVT(S5_VIT_PLANS[f"S5-ViT-{size.title()}"], 20, 2).eval()


@pytest.fixture
def toy():
    torch.manual_seed(0)
    return RVT(TOY, 2, 2).eval()


@pytest.fixture(scope="session")
def remade(tmp_path_factory, request):
    """Makes the detector of a size by importing a checkpoint, its input and the numbers."""
    folder = request.config.getoption("--event-data")

    @cache
    def make(size):
        if folder is None:
            pytest.skip("needs --event-data DIR, a folder of real recordings")
        place, seed = tmp_path_factory.mktemp(size), SEEDS[size]
        lines = (folder / "s5_golden" / f"s5_{size}_keys.txt").read_text().splitlines()
        shapes = {key: ast.literal_eval(shape) for key, shape in (x.split(" ", 1) for x in lines)}
        weights = {key: remade_weight(key, shape, seed) for key, shape in shapes.items()}
        torch.save({"state_dict": weights}, place / "s5.ckpt")
        torch.save(import_rvt(place / "s5.ckpt"), place / "ours.ckpt")
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 11, (4, 2, 20, 256, 320)).astype(np.uint8)
        x[rng.random(x.shape) < 0.9] = 0
        golden = np.load(folder / "s5_golden" / f"s5_{size}_gen1.npz")
        assert x.sum() == golden["input_sum"]
        return Remade(load_network(place / "ours.ckpt"), torch.from_numpy(x), golden)

    return make


@pytest.mark.parametrize("size", SIZES)
def test_there_are_as_many_weights_as_published(size):
    assert sum(weight.numel() for weight in on_meta(size).parameters()) == NUM_WEIGHTS[size]


@pytest.mark.parametrize("size", SIZES)
def test_names_and_shapes_are_those_of_the_published_files(size, event_data):
    lines = (event_data / "s5_golden" / f"s5_{size}_keys.txt").read_text().splitlines()
    published = {key: ast.literal_eval(shape) for key, shape in (x.split(" ", 1) for x in lines)}
    ours = on_meta(size).state_dict()
    assert {published_name(name): tuple(w.shape) for name, w in ours.items()} == published


def test_a_stream_is_the_same_however_it_is_cut(toy):
    clip = torch.rand(5, 2, 2, 64, 64) * 9
    scales = 0.2 + 3 * torch.rand(5, 2)
    whole, expected = toy.extract(clip, step_scale=scales)
    first, memory = toy.extract(clip[:2], step_scale=scales[:2])
    second, memory = toy.extract(clip[2:], memory, step_scale=scales[2:])
    assert_close([torch.cat(pair) for pair in zip(first, second, strict=True)], whole)
    assert_close(memory, expected)


def test_long_clips_are_read_in_parts_with_their_durations(toy, monkeypatch):
    clip, scales = torch.rand(5, 1, 2, 64, 64) * 9, 0.2 + 3 * torch.rand(5, 1)
    whole, _ = toy.extract(clip, step_scale=scales)
    monkeypatch.setattr(type(toy.backbone), "_bins_at_once", lambda *_: 2)
    assert_close(toy.extract(clip, step_scale=scales)[0], whole)


def test_memory_and_duration_change_the_features(toy):
    clip = torch.rand(3, 1, 2, 64, 64) * 9
    _, memory = toy.extract(clip)
    fresh, _ = toy.extract(clip[:1])
    carried, _ = toy.extract(clip[:1], memory)
    longer, _ = toy.extract(clip[:1], memory, step_scale=torch.full((1, 1), 4.0))
    assert (carried[-1] - fresh[-1]).abs().max() > 1e-3
    assert (carried[-1] - longer[-1]).abs().max() > 1e-3


def near(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def assert_features(features, golden, prefix=""):
    for number, level in enumerate(features, 1):
        last, first = (part.double().numpy() for part in (level[-2:], level[:2]))
        near(last[0, :4, :3, :3], golden[f"{prefix}features{number}_slice"])
        sums = [golden[f"{prefix}features{number}_{kind}"] for kind in ("sum", "abs")]
        scale = 1e-4 * sums[1]
        assert last.sum() == pytest.approx(float(sums[0]), abs=scale)
        assert np.abs(last).sum() == pytest.approx(float(sums[1]), abs=scale)
        if not prefix:
            near(first[0, :4, :3, :3], golden[f"first_features{number}_slice"])


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["", "half_step_", "double_step_"])
@torch.no_grad()
def test_features_are_the_originals_at_any_duration(size, kind, remade):
    detector, clip, golden = remade(size)
    scale = {"": None, "half_step_": 0.5, "double_step_": 2.0}[kind]
    scales = None if scale is None else torch.full(clip.shape[:2], scale)
    features, memory = detector.extract(clip, step_scale=scales)
    assert_features(features, golden, kind)
    if not kind:
        for stage in range(4):
            pair = torch.stack(memory[2 * stage : 2 * stage + 2], dim=-1).double().numpy()
            near(pair[1, :4, :2, :2], golden[f"state{stage + 1}_slice"])


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_the_released_code_gives_what_a_memory_that_was_forgotten_gives(size, remade):
    detector, clip, golden = remade(size)
    forgotten, _ = detector.extract(clip[golden["half"] :])
    assert_features(forgotten, golden, "replay_")


class Features:
    """Gives the features of a detector in place of detections."""

    frame_spec = None

    def __init__(self, detector):
        self.extract = detector.extract

    def step(self, clip, memory=None, *, thresholds):
        levels, memory = self.extract(clip, memory)
        self.shapes = [level.shape[1:] for level in levels]
        num_lanes = clip.shape[1]
        frames = zip(*(level.split(num_lanes) for level in levels), strict=True)
        # As detections are: named tensors of one dimension.
        return [[{str(k): m.flatten() for k, m in enumerate(maps)}] for maps in frames], memory


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_tbins", [1, 3, 4])
def test_an_evaluation_that_empties_memory_gives_what_the_released_code_gives(
    size, num_tbins, remade
):
    detector, clip, golden = remade(size)
    batches = [
        {
            "inputs": clip[first : first + num_tbins],
            "mask_keep_memory": torch.full((2, 1, 1, 1), float(first > 0)),
            "video_infos": [ClipInfo("", lane, first, 50_000) for lane in range(2)],
        }
        for first in range(0, len(clip), num_tbins)
    ]
    features = Features(detector)
    results = detect_batches(
        features, iter(batches), SelectionThresholds(), reset_every=int(golden["half"])
    )
    frames = [frame for _, found in results for frame in found]
    last, first = frames[-1][0], frames[0][0]
    levels = [
        torch.cat([one[str(k)].view(2, *shape) for one in (first, last)])
        for k, shape in enumerate(features.shapes)
    ]
    assert_features(levels, golden, "replay_")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_a_stream_of_single_frames_gives_the_numbers_of_the_clip(size, remade):
    detector, clip, _ = remade(size)
    memory, features = None, []
    for frame in clip:
        features, memory = detector.extract(frame[None], memory)
    whole, _ = detector.extract(clip)
    for level, expected in zip(features, whole, strict=True):
        near(level.numpy(), expected[-2:].numpy())


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_losses_and_gradients_are_the_originals(size, remade):
    detector, clip, golden = remade(size)
    assert_losses_are(golden, copy.deepcopy(detector).train(), clip, gradients=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_head_outputs_are_the_originals(size, remade):
    detector, clip, golden = remade(size)
    features, _ = detector.extract(clip)
    outputs = detector.head(detector.neck([level[-2:] for level in features[1:]]))
    chances = torch.cat([outputs.objectness[..., None], outputs.class_logits], -1).sigmoid()
    table = torch.cat([outputs.boxes_cxcywh, chances], dim=-1).double().numpy()
    assert table.shape == tuple(golden["outputs_shape"])
    near(table[0, :50], golden["outputs_first"])
    near(table[1, -50:], golden["outputs_last"])
    np.testing.assert_allclose(table.sum(axis=(0, 1)), golden["outputs_sum"], rtol=1e-4)
