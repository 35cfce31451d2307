"""The same network as EvRT-DETR's own code: conftest.py says where the numbers come from."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from evdet.boxes import cxcywh_to_xyxy
from evdet.detectors.published_evrtdetr import published_names
from evdet.frame_spec import SelectionThresholds
from evdet.models import keep_memory
from evdet.models.postprocess import choose_candidates
from evdet.models.rtdetr import EVRT_DETR_PLANS, RTDETR
from evdet.models.rtdetr.attention import Tokens
from evdet.models.rtdetr.decoder import Decoder, Predictions
from evdet.models.rtdetr.denoising import NoiseDraws, noise_objects, num_noised
from evdet.models.rtdetr.encoder import position_table
from evdet.models.rtdetr.loss import layer_terms, loss_terms
from evdet.models.rtdetr.queries import anchor_logits
from evdet.models.rtdetr.targets import collect_objects, match_queries
from models.rtdetr.conftest import SEEDS, published_shapes

SIZES = ["r18", "r50"]
PARAMETERS = {
    "r18": {"backbone": 11_204_864, "encoder": 4_965_120, "adapter": 14_358_528,
            "decoder": 3_919_224},
    "r50": {"backbone": 23_532_160, "encoder": 11_950_848, "adapter": 14_358_528,
            "decoder": 7_306_218},
}  # fmt: skip
GMACS = {("r18", 256, 320): 15.2, ("r18", 384, 640): 43.2, ("r50", 256, 320): 23.8,
         ("r50", 384, 640): 66.6}  # fmt: skip


def on_meta(size):
    """A detector without numbers: enough to count."""
    with torch.device("meta"):
        return RTDETR(EVRT_DETR_PLANS[f"EvRT-DETR-{size.upper()}"], 20, 2).eval()


def assert_map_is(golden, name, maps, lanes=(0,)):
    sums = [golden[f"{name}_sum"], golden[f"{name}_abs"]]
    double = maps.double()
    scale = float(maps.abs().max())
    # A sum of terms of both signs is as exact as the sum of their sizes.
    assert abs(double.sum().item() - sums[0]) <= 1e-4 * sums[1]
    assert float(double.abs().sum()) == pytest.approx(sums[1], rel=1e-4)
    for lane in lanes:
        np.testing.assert_allclose(
            maps[lane, :4, :3, :3], golden[f"{name}_slice{lane}"], atol=1e-4 * scale, rtol=0
        )


@torch.no_grad()
def run(remade):
    """Maps of the last frame before and after the memory, and the memory."""
    detector, memory = remade.detector, None
    for frame, is_new in zip(remade.clip, remade.new_video, strict=True):
        memory = keep_memory(memory, (~is_new).float()[:, None, None, None])
        backbone = detector.backbone(frame.float())
        encoded = detector.encoder(backbone)
        maps, memory = detector.adapter.step(encoded, len(frame), memory)
    return backbone, encoded, maps, memory


@pytest.mark.parametrize("size", PARAMETERS)
def test_there_are_as_many_weights_as_published(size):
    parts = dict(on_meta(size).named_children())
    found = {name: sum(w.numel() for w in part.parameters()) for name, part in parts.items()}
    assert found == PARAMETERS[size]


@pytest.mark.parametrize(("size", "height", "width"), GMACS)
def test_there_is_as_much_arithmetic_as_published(size, height, width):
    detector = on_meta(size)
    clip = torch.empty(1, 1, 20, height, width, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        detector.predict(clip)
    # A multiplication and the addition that follows are one MAC and two FLOPs; attention apart.
    assert counter.get_total_flops() / 2e9 == pytest.approx(GMACS[size, height, width], rel=0.02)


@pytest.mark.parametrize("size", PARAMETERS)
def test_names_and_shapes_are_those_of_the_published_files(size, event_data):
    published = published_shapes(event_data, size)
    del published["net_encoder:pos_embed2"]  # a table, not a weight
    weights = on_meta(size).state_dict()
    ours = [part for name in weights for part in published_names(name)]
    assert sorted(ours) == sorted(published)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_maps_and_memory_are_the_originals(size, remade):
    remade = remade(size)
    golden = remade.golden
    backbone, encoded, maps, memory = run(remade)
    for level in range(3):
        number = level + 1
        assert_map_is(golden, f"backbone{number}", backbone[level])
        assert_map_is(golden, f"encoder{number}", encoded[level])
        assert_map_is(golden, f"temporal{number}", maps[level], lanes=(0, 1))
        assert_map_is(golden, f"hidden{number}", memory[2 * level], lanes=(0, 1))
        assert_map_is(golden, f"cell{number}", memory[2 * level + 1], lanes=(0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_queries_and_boxes_are_the_originals(size, remade):
    remade = remade(size)
    golden, decoder = remade.golden, remade.detector.decoder
    _, encoded, maps, _ = run(remade)
    for name, levels in (("frame", encoded), ("video", maps)):
        with torch.no_grad():
            chosen = decoder.choose_queries(decoder.read(levels))
            found = decoder(levels)
        order = chosen.tokens[0].argsort()
        assert chosen.tokens[0][order].tolist() == golden[f"{name}_tokens"].tolist()
        logits, boxes = found.class_logits, found.boxes_cxcywh
        np.testing.assert_allclose(logits[0][order], golden[f"{name}_logits"], atol=1e-3)
        np.testing.assert_allclose(boxes[0][order], golden[f"{name}_boxes"], atol=1e-3)
        np.testing.assert_allclose(
            logits.double().sum((0, 1)), golden[f"{name}_logits_sum"], atol=0.1
        )
        np.testing.assert_allclose(
            boxes.double().sum((0, 1)), golden[f"{name}_boxes_sum"], atol=0.05
        )
        pixels = cxcywh_to_xyxy(boxes) * torch.tensor([320, 256, 320, 256])
        best = choose_candidates(
            pixels, logits.sigmoid(), SelectionThresholds(score_thresh=0.0, max_boxes=300)
        )
        np.testing.assert_allclose(best.scores[0], golden[f"{name}_post_scores"], atol=1e-4)
        # Scores that are equal to rounding may be in either order.
        apart = np.diff(golden[f"{name}_post_scores"], append=-1) < -1e-5
        apart &= np.diff(golden[f"{name}_post_scores"], prepend=2) < -1e-5
        assert (best.labels[0] - 1)[apart].tolist() == golden[f"{name}_post_labels"][apart].tolist()
        np.testing.assert_allclose(
            best.boxes[0][apart], golden[f"{name}_post_boxes"][apart], atol=1e-3 * 320
        )


@pytest.mark.slow
def test_the_detector_gives_what_its_parts_give(remade):
    remade = remade("r18")
    with torch.no_grad():
        boxes, scores, memory = remade.detector.predict(remade.clip[:1])
        maps, expected = remade.detector.extract(remade.clip[:1])
        found = remade.detector.decoder(maps)
    assert torch.equal(scores, found.class_logits.sigmoid())
    scale = torch.tensor([320, 256, 320, 256])
    assert torch.equal(boxes, cxcywh_to_xyxy(found.boxes_cxcywh) * scale)
    assert all(map(torch.equal, memory, expected))


@pytest.mark.slow
def test_anchors_are_the_originals(remade):
    golden = remade("r18").golden
    logits, counts = anchor_logits(((32, 40), (16, 20), (8, 10)), torch.empty(0))
    np.testing.assert_allclose(logits[:5], golden["anchors_first"], rtol=1e-5)
    np.testing.assert_allclose(logits[-5:], golden["anchors_last"], rtol=1e-5)
    assert (~counts).sum() == golden["anchors_num_invalid"]
    _, counts = anchor_logits(((48, 80), (24, 40), (12, 20)), torch.empty(0))
    assert (~counts).sum() == 96


@pytest.mark.slow
def test_the_table_of_positions_is_the_originals(remade):
    remade = remade("r18")
    golden, like = remade.golden, torch.empty(1, 256)
    table = position_table((8, 10), like).transpose(0, 1).flatten(0, 1)
    np.testing.assert_allclose(table[:3, ::16], golden["pos_first"], atol=1e-6)
    np.testing.assert_allclose(table[-2:, ::16], golden["pos_last"], atol=1e-6)
    assert float(table.double().sum()) == pytest.approx(float(golden["pos_sum"]), abs=0.01)
    assert torch.equal(remade.detector.encoder.attention._positions((8, 10), like)[0], table)
    fresh = RTDETR(EVRT_DETR_PLANS["EvRT-DETR-Nano"], 2, 1).encoder.attention
    own = position_table((2, 3), torch.empty(1, 64)).flatten(0, 1)
    assert torch.equal(fresh._positions((2, 3), torch.empty(1, 64))[0], own)


def made_draws(golden, seed):
    rng = np.random.default_rng([seed, 9])
    num = int(golden["dn_queries"])
    draws = (
        rng.random((4, num)).astype(np.float32),
        rng.integers(0, 2, (4, num)),
        rng.integers(0, 2, (4, num, 4)),
        rng.random((4, num, 4)).astype(np.float32),
    )
    sums = [draw.astype(np.float64).sum() for draw in draws]
    np.testing.assert_allclose(sums, golden["dn_draws"])
    return NoiseDraws(*map(torch.from_numpy, draws))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_noised_queries_are_the_originals(size, remade):
    remade = remade(size)
    golden, objects = remade.golden, remade.objects
    groups = num_noised(objects.classes.shape[1], 100)
    noised = noise_objects(objects, made_draws(golden, SEEDS[size]), groups, 2)
    assert groups == golden["dn_groups"]
    assert noised.classes.tolist() == golden["dn_classes"].tolist()
    np.testing.assert_allclose(noised.box_logits, golden["dn_boxes_unact"], atol=1e-4)
    pairs = noised.pairs(objects)
    positive = [row for frame in pairs for row in (frame >= 0).nonzero().flatten().tolist()]
    assert positive == golden["dn_positive"].tolist()
    hidden = noised.hides_from(500)
    assert hidden.sum(dim=1).tolist() == golden["dn_mask_rows"].tolist()
    assert hidden[0].tolist() == golden["dn_mask_first"].tolist()
    assert hidden[-1].tolist() == golden["dn_mask_last"].tolist()


def assert_losses_are(golden, prefix, detector, terms):
    """Every term by the authors' names, and the gradient norms of their sum."""
    layers, chosen, noised = terms
    count = len(layers.classes)
    rows = {"": [part[-1] for part in layers], f"_aux_{count - 1}": chosen}
    rows |= {f"_aux_{i}": [part[i] for part in layers] for i in range(count - 1)}
    if noised is not None:
        rows |= {f"_dn_{i}": [part[i] for part in noised] for i in range(count)}
    for suffix, row in rows.items():
        for name, value in zip(("vfl", "bbox", "giou"), row, strict=True):
            expected = golden[f"{prefix}_loss_{name}{suffix}"]
            assert value.item() == pytest.approx(float(expected), rel=1e-3), (name, suffix)
    named = sum(key.startswith(f"{prefix}_loss_") for key in golden.files)
    assert named == 3 * len(rows)
    total = sum(value for row in rows.values() for value in row)
    assert total.item() == pytest.approx(float(golden[f"{prefix}_total"]), rel=1e-3)
    detector.zero_grad()
    total.backward()
    gradients = {}
    for name, weight in detector.named_parameters():
        parts = published_names(name)
        if weight.grad is not None:
            gradients |= dict(zip(parts, weight.grad.chunk(len(parts)), strict=True))
    keys = [key for key in golden.files if key.startswith(f"{prefix}_grad_")]
    assert keys
    for key in keys:
        found = gradients[f"net_{key.removeprefix(f'{prefix}_grad_')}"].norm()
        assert float(found) == pytest.approx(float(golden[key]), rel=1e-2), key


@pytest.mark.slow
@pytest.mark.parametrize("with_noise", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_losses_and_gradients_of_frames_are_the_originals(size, with_noise, remade):
    remade = remade(size)
    detector = copy.deepcopy(remade.detector).train()
    noised = None
    if with_noise:
        groups = num_noised(remade.objects.classes.shape[1], 100)
        draws = made_draws(remade.golden, SEEDS[size])
        noised = noise_objects(remade.objects, draws, groups, 2)
    maps = detector.encoder(detector.backbone(remade.clip[:2].flatten(0, 1).float()))
    outputs = detector.decoder.predict_all(maps, noised)
    terms = loss_terms(outputs, remade.objects, noised)
    prefix = "stage1" if with_noise else "stage1_nodn"
    assert_losses_are(remade.golden, prefix, detector, terms)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_losses_and_gradients_of_clips_are_the_originals(size, remade):
    remade = remade(size)
    golden = remade.golden
    detector = copy.deepcopy(remade.detector)
    detector.train_memory_only()
    detector.train()
    means = detector.decoder.project[0][1].running_mean
    np.testing.assert_allclose(means[:8], golden["stage2_running_mean_before"], atol=1e-6)
    memory, maps = None, []
    for frame, is_new in zip(remade.clip, remade.new_video, strict=True):
        memory = keep_memory(memory, (~is_new).float()[:, None, None, None])
        found, memory = detector.extract(frame[None], memory)
        maps.append(found)
    first = [torch.cat([one[level] for one in maps])[:4] for level in range(3)]
    groups = num_noised(remade.objects.classes.shape[1], 100)
    noised = noise_objects(remade.objects, made_draws(golden, SEEDS[size]), groups, 2)
    terms = loss_terms(detector.decoder.predict_all(first, noised), remade.objects, noised)
    assert_losses_are(golden, "stage2", detector, terms)
    np.testing.assert_allclose(means[:8], golden["stage2_running_mean_after"], atol=1e-5)
    trained = {name for name, w in detector.named_parameters() if w.grad is not None}
    assert trained == {name for name in dict(detector.named_parameters()) if "adapter" in name}


@pytest.mark.parametrize("name", ["a", "b"])
def test_matching_and_loss_are_the_originals(name, event_data):
    golden = np.load(event_data / "evrtdetr_golden" / f"criterion_{name}.npz")
    logits, boxes = (torch.from_numpy(golden[key]).requires_grad_() for key in ("logits", "boxes"))
    labels = []
    for rows, count in zip(golden["labels"], golden["counts"], strict=True):
        rows = rows[:count]
        corners = (rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2)
        labels.append(torch.from_numpy(np.concatenate([*corners, rows[:, :1] + 1], axis=1)))
    size = tuple(golden["size"].tolist())
    objects = collect_objects(labels, size, torch.device("cpu"))
    matched = match_queries(logits, boxes, objects)
    assert matched.tolist() == golden["matched"].tolist()
    num = objects.counts.sum().float()
    terms = layer_terms(Predictions(logits, boxes), matched, objects, num)
    for key, value in zip(("vfl", "bbox", "giou"), terms, strict=True):
        assert value.item() == pytest.approx(float(golden[f"loss_{key}"]), rel=1e-4)
    assert sum(terms).item() == pytest.approx(float(golden["total"]), rel=1e-4)
    sum(terms).backward()
    assert float(logits.grad.norm()) == pytest.approx(float(golden["grad_logits"]), rel=1e-3)
    assert float(boxes.grad.norm()) == pytest.approx(float(golden["grad_boxes"]), rel=1e-3)
    nothing = collect_objects([label[:0] for label in labels], size, torch.device("cpu"))
    empty = layer_terms(Predictions(logits, boxes), match_queries(logits, boxes, nothing),
                        nothing, torch.tensor(1.0))  # fmt: skip
    for key, value in zip(("vfl", "bbox", "giou"), empty, strict=True):
        assert value.item() == pytest.approx(float(golden[f"empty_loss_{key}"]), rel=1e-4)


def test_without_queries_to_spare_every_token_is_one():
    decoder = Decoder(64, 2, num_layers=1, num_queries=300).eval()
    chosen = decoder.choose_queries(Tokens(torch.randn(1, 21, 64), ((4, 4), (2, 2), (1, 1))))
    assert sorted(chosen.tokens[0].tolist()) == list(range(21))
