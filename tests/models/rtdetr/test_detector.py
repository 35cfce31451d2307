import itertools

import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.optimize import linear_sum_assignment
from torch.testing import assert_close

from evdet.frame_spec import FrameSpec
from evdet.models.rtdetr import EVRT_DETR_PLANS, RT_DETR_PLANS, RTDETR
from evdet.models.rtdetr.decoder import Predictions
from evdet.models.rtdetr.denoising import draw_noise, noise_objects, num_noised
from evdet.models.rtdetr.loss import layer_terms
from evdet.models.rtdetr.targets import _costs, collect_objects, match_queries

SIZE = (64, 96)
CPU = torch.device("cpu")
NO_OBJECT = torch.zeros(0, 5)
OBJECTS = [
    torch.tensor([[4.0, 4, 24, 28, 1], [40, 10, 80, 60, 2]]),
    NO_OBJECT,
    torch.tensor([[10.0, 20, 30, 50, 2]]),
]


def detector_of(name="EvRT-DETR-Nano"):
    torch.manual_seed(0)
    plans = RT_DETR_PLANS | EVRT_DETR_PLANS
    spec = FrameSpec(preprocess="histogram", delta_t=50_000, height=64, width=96, in_channels=2)
    return RTDETR(plans[name], 2, 2, spec)


def batch_of(labels, labeled=None):
    num = len(labels)
    clip = torch.rand(num, 1, 2, *SIZE, generator=torch.manual_seed(0))
    batch = {"inputs": clip, "labels": [[frame] for frame in labels]}
    if labeled is not None:
        batch["frame_is_labeled"] = torch.tensor(labeled)[:, None]
    return batch


@pytest.mark.parametrize("name", ["RT-DETR-Nano", "EvRT-DETR-Nano"])
@pytest.mark.parametrize("labels", [[NO_OBJECT], OBJECTS, OBJECTS[1:]])
def test_every_weight_has_a_gradient_with_objects_and_without(name, labels):
    detector = detector_of(name).train()
    losses, _ = detector.compute_loss(batch_of(labels))
    sum(losses.values()).backward()
    without = {key for key, weight in detector.named_parameters() if weight.grad is None}
    assert not without
    assert all(torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize("name", ["RT-DETR-Nano", "EvRT-DETR-Nano"])
def test_frames_without_annotation_enter_no_loss_but_the_memory(name):
    detector = detector_of(name).eval()
    only, memory = detector.compute_loss(batch_of(OBJECTS, [False, False, False]))
    assert all(value == 0 for value in only.values())
    assert len(memory) == len(detector.memory_names)
    changed = [OBJECTS[0], torch.tensor([[0.0, 0, 90, 60, 1]]), OBJECTS[2]]
    some, _ = detector.compute_loss(batch_of(OBJECTS, [True, False, True]))
    same, _ = detector.compute_loss(batch_of(changed, [True, False, True]))
    assert some == same
    assert some["cls_loss"] > 0


def test_a_training_learns_two_frames_by_heart():
    detector = detector_of("RT-DETR-Nano").train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    batch = batch_of(OBJECTS)
    found = []
    for _ in range(24):
        losses, _ = detector.compute_loss(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
        optimizer.step()
        found.append(losses["loc_loss"].item())
    assert sum(found[-3:]) < 0.7 * sum(found[:3])


def test_only_the_memory_is_trained_and_only_the_decoders_statistics_move():
    for keeps in (False, True):
        detector = detector_of()
        detector.train_memory_only(keep_statistics=keeps)
        detector.train()
        before = {name: value.clone() for name, value in detector.named_buffers()}
        losses, _ = detector.compute_loss(batch_of(OBJECTS))
        sum(losses.values()).backward()
        trained = {name for name, w in detector.named_parameters() if w.grad is not None}
        assert trained
        assert all(name.startswith("adapter.") for name in trained)
        moved = {n for n, value in detector.named_buffers() if not torch.equal(value, before[n])}
        assert all(name.startswith("decoder.project.") for name in moved)
        assert bool(moved) == (not keeps)


def test_a_detector_of_single_frames_has_no_memory_to_train():
    with pytest.raises(ValueError, match="no memory to train"):
        detector_of("RT-DETR-Nano").train_memory_only()


@pytest.mark.parametrize(("height", "width"), [(64, 96), (50, 70), (33, 65), (16, 16)])
def test_frames_of_any_size_are_padded(height, width):
    detector = detector_of().eval()
    clip = torch.rand(2, 1, 2, height, width)
    with torch.no_grad():
        (first, _), memory = detector.step(clip)
        detector.step(clip, memory)
    boxes = first[0]["boxes"]
    assert (boxes >= 0).all()
    assert (boxes <= torch.tensor([width, height] * 2)).all()


def test_frames_that_are_too_small_and_foreign_memories_are_refused():
    detector = detector_of().eval()
    with pytest.raises(ValueError, match=r"15x64 .* too small for RT-DETR"):
        detector.predict(torch.rand(1, 1, 2, 15, 64))
    memory = detector.predict(torch.rand(1, 1, 2, 64, 64))[2]
    with pytest.raises(ValueError, match=r"padded to 64x64 .* padded to 64x96"):
        detector.predict(torch.rand(1, 1, 2, 64, 96), memory)
    with pytest.raises(ValueError, match="1 tensors instead of 6"):
        detector.predict(torch.rand(1, 1, 2, 64, 64), memory[:1])


def predictions_of(seed, num_frames=3, num=12):
    drawn = torch.manual_seed(seed)
    logits = torch.randn(num_frames, num, 2, generator=drawn)
    boxes = torch.rand(num_frames, num, 4, generator=drawn) * 0.5 + 0.1
    return Predictions(logits, boxes)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_no_other_assignment_costs_less(seed):
    found = predictions_of(seed, num=4)
    objects = collect_objects(OBJECTS, SIZE, CPU)
    matched = match_queries(*found, objects)
    costs = _costs(*found, objects)
    for frame, num in enumerate(objects.per_frame):
        rows = [(matched[frame] == k).nonzero().item() for k in range(num)]
        ours = sum(float(costs[frame, row, k]) for k, row in enumerate(rows))
        every = itertools.permutations(range(4), num)
        best = min(sum(float(costs[frame, q, k]) for k, q in enumerate(one)) for one in every)
        assert ours == pytest.approx(best, abs=1e-5)
        assert (matched[frame] >= 0).sum() == num
        again = linear_sum_assignment(costs[frame, :, :num].numpy())
        assert len(again[0]) == num


def test_permuted_objects_are_matched_to_the_same_queries():
    found = predictions_of(0)
    turned = [frame.flip(0) for frame in OBJECTS]
    one, other = (match_queries(*found, collect_objects(x, SIZE, CPU)) for x in (OBJECTS, turned))
    assert torch.equal(one >= 0, other >= 0)
    assert torch.equal(one[0][one[0] >= 0], 1 - other[0][other[0] >= 0])


def test_more_objects_than_queries_leave_some_without():
    found = predictions_of(0, num_frames=1, num=2)
    crowd = torch.cat([OBJECTS[0], OBJECTS[2]])
    objects = collect_objects([crowd], SIZE, CPU)
    matched = match_queries(*found, objects)
    assert (matched >= 0).all()
    terms = layer_terms(found, matched, objects, torch.tensor(3.0))
    assert all(torch.isfinite(part) for part in terms)


def test_predictions_that_are_not_numbers_do_not_stop_the_matching():
    logits, boxes = predictions_of(0)
    matched = match_queries(logits * torch.nan, boxes, collect_objects(OBJECTS, SIZE, CPU))
    assert (matched >= 0).sum() == 3


def test_without_objects_there_are_no_noised_queries():
    assert num_noised(0, 100) == 0
    assert [num_noised(most, 100) for most in (1, 5, 99, 100, 101, 1000)] == [100, 20, 1, 1, 1, 1]


def test_noised_queries_do_not_change_the_others():
    detector = detector_of().eval()
    maps, _ = detector.extract(torch.rand(3, 1, 2, *SIZE))
    objects = collect_objects(OBJECTS, SIZE, CPU)
    noised = noise_objects(objects, draw_noise(objects, 5, 2), 5, 2)
    with torch.no_grad():
        alone, among = (detector.decoder.predict_all(maps, each) for each in (None, noised))
    assert_close(among.layers, alone.layers)
    assert alone.noised is None
    assert among.noised.class_logits.shape[2] == noised.classes.shape[1] == 5 * 2 * 2


def test_noised_boxes_stay_near_their_objects():
    objects = collect_objects(OBJECTS, SIZE, CPU)
    noised = noise_objects(objects, draw_noise(objects, 50, 2), 50, 2)
    pairs = noised.pairs(objects)
    boxes = noised.box_logits.sigmoid()
    for frame, num in enumerate(objects.per_frame):
        for k in range(num):
            wanted = objects.boxes_cxcywh[frame, k]
            near = boxes[frame][pairs[frame] == k]
            assert len(near) == 50
            assert ((near[:, :2] - wanted[:2]).abs() <= wanted[2:] / 2 + 1e-4).all()
            assert (near[:, 2:] <= 2 * wanted[2:] + 1e-4).all()
    assert (pairs[1] == -1).all()
    assert (noised.classes[1] == 2).all()
