import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from evdet.models.rvt.head import RVTOutputs
from evdet.models.rvt.loss import rvt_loss
from evdet.models.rvt.simota import assign_candidates, collect_objects, paired_iou

SIZE = (64, 96)


def cells(size, strides=(8, 16, 32)):
    centres, sides = [], []
    for stride in strides:
        height, width = size[0] // stride, size[1] // stride
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres.append((torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride)
        sides.append(torch.full((height * width,), float(stride)))
    return torch.cat(centres), torch.cat(sides)


def outputs_of(num_frames, num_classes=3, size=SIZE, seed=0):
    """Candidates around their cells, as a head in training gives them."""
    rng = torch.Generator().manual_seed(seed)
    centres, sides = cells(size)
    shape = (num_frames, len(sides))
    middle = centres + torch.randn(*shape, 2, generator=rng) * sides[:, None] / 2
    box_sides = sides[:, None] * torch.randn(*shape, 2, generator=rng).exp() * 2
    return RVTOutputs(
        torch.cat([middle, box_sides], dim=-1),
        torch.randn(*shape, generator=rng),
        torch.randn(*shape, num_classes, generator=rng),
        centres,
        sides,
    )


def labels_of(count, rng, num_classes=3, size=SIZE):
    corner = torch.rand(count, 2, generator=rng) * torch.tensor([size[1] - 8.0, size[0] - 8.0])
    sides = 4 + torch.rand(count, 2, generator=rng) * 40
    classes = torch.randint(1, num_classes + 1, (count, 1), generator=rng).float()
    return torch.cat([corner, corner + sides, classes], dim=1)


def assign_one_frame(outputs, frame, labels):
    """The published procedure, object by object in plain words: slow, and easy to follow."""
    num = len(outputs.strides)
    answer = torch.full((num,), -1)
    if not len(labels):
        return answer
    middle = (labels[:, :2] + labels[:, 2:4]) / 2
    boxes = torch.cat([middle, labels[:, 2:4] - labels[:, :2]], dim=1)
    central = torch.zeros(len(labels), num, dtype=torch.bool)
    for g in range(len(labels)):
        away = (outputs.centres - middle[g]).abs()
        central[g] = (away < 1.5 * outputs.strides[:, None]).all(dim=1)
    used = central.any(dim=0).nonzero().flatten()
    if not len(used):
        return answer
    predicted = outputs.boxes_cxcywh[frame, used]
    iou = torch.stack([paired_iou(box.expand_as(predicted), predicted) for box in boxes])
    joint = (
        outputs.class_logits[frame, used].sigmoid()
        * outputs.objectness[frame, used, None].sigmoid()
    ).sqrt()
    cost = torch.zeros_like(iou)
    for g, label in enumerate(labels[:, 4].long().tolist()):
        target = functional.one_hot(torch.tensor(label - 1), joint.shape[1]).float()
        cross = functional.binary_cross_entropy(
            joint, target.expand_as(joint), reduction="none"
        ).sum(dim=1)
        cost[g] = cross - 3 * (iou[g] + 1e-8).log() + 1e6 * (~central[g, used])
    taken = torch.zeros_like(iou, dtype=torch.bool)
    for g in range(len(labels)):
        wanted = max(1, int(iou[g].topk(min(10, len(used))).values.sum()))
        taken[g, cost[g].topk(min(wanted, len(used)), largest=False).indices] = True
    for a in range(len(used)):
        if taken[:, a].sum() > 1:
            taken[:, a] = False
            taken[cost[:, a].argmin(), a] = True
        if taken[:, a].any():
            answer[used[a]] = int(taken[:, a].float().argmax())
    return answer


def answers(outputs, labels):
    """The object of each candidate, numbered in its frame, -1 for none."""
    assignment = assign_candidates(outputs, collect_objects(labels, torch.device("cpu")))
    counts = [len(frame) for frame in labels]
    first = torch.tensor([sum(counts[:f]) for f in range(len(counts))])[:, None]
    return torch.where(assignment.is_positive, assignment.object_index - first, -1)


def test_frames_without_objects_have_no_positives_and_a_loss_of_objectness_alone():
    outputs = outputs_of(2)
    nothing = [torch.zeros(0, 5)] * 2

    assert (answers(outputs, nothing) == -1).all()
    losses = rvt_loss(outputs, nothing, torch.ones(2, dtype=torch.bool))
    assert losses["loc_loss"] == losses["cls_loss"] == 0
    assert_close(losses["obj_loss"], functional.softplus(outputs.objectness).sum())


def test_a_box_on_its_object_answers_for_it():
    outputs = outputs_of(1)
    cell = 1 * (SIZE[1] // 8) + 2  # row 1, column 2 of the finest level: its middle is (20, 12)
    outputs.boxes_cxcywh[0, cell] = torch.tensor([20.0, 12.0, 16.0, 12.0])
    outputs.class_logits[0, cell, 1] = outputs.objectness[0, cell] = 9.0
    label = torch.tensor([[12.0, 6.0, 28.0, 18.0, 2.0]])
    assert answers(outputs, [label])[0, cell] == 0


@pytest.mark.parametrize("seed", range(4))
def test_all_frames_at_once_equal_frame_by_frame(seed):
    check_frames(seed, max_count=8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 129))
def test_a_thousand_random_frames_equal_frame_by_frame(seed):
    check_frames(seed, max_count=200 if seed % 25 == 0 else 8)


def check_frames(seed, max_count):
    """Eight frames: one empty, one with a single object, one with `max_count`."""
    rng = torch.Generator().manual_seed(seed)
    outputs = outputs_of(8, seed=1000 + seed)
    counts = [0, 1, max_count, *torch.randint(0, 8, (5,), generator=rng).tolist()]
    labels = [labels_of(count, rng) for count in counts]
    together = answers(outputs, labels)
    for frame, objects in enumerate(labels):
        assert_close(together[frame], assign_one_frame(outputs, frame, objects))


def test_objects_far_outside_the_frame_take_nothing():
    outputs = outputs_of(1)
    assert (answers(outputs, [torch.tensor([[500.0, 500.0, 520.0, 520.0, 1.0]])]) == -1).all()


def test_a_frame_nobody_labelled_enters_no_loss():
    outputs = outputs_of(2)
    label = torch.tensor([[12.0, 6.0, 28.0, 18.0, 2.0]])
    both = rvt_loss(outputs, [label, torch.zeros(0, 5)], torch.tensor([True, False]))
    alone = rvt_loss(
        RVTOutputs(*(part[:1] for part in outputs[:3]), *outputs[3:]),
        [label],
        torch.tensor([True]),
    )
    for name in both:
        assert_close(both[name], alone[name])


def test_gradients_are_finite_even_for_boxes_without_a_side():
    outputs = outputs_of(1)
    boxes = outputs.boxes_cxcywh.clone()
    boxes[..., 2:] = 0
    boxes.requires_grad_(True)
    label = torch.tensor([[12.0, 6.0, 28.0, 18.0, 2.0]])
    losses = rvt_loss(outputs._replace(boxes_cxcywh=boxes), [label], torch.tensor([True]))
    sum(losses.values()).backward()
    assert boxes.grad.isfinite().all()


@pytest.mark.parametrize("name", ["a", "b"])
def test_assignments_and_losses_equal_those_of_the_original(name, event_data):
    golden = np.load(event_data / "rvt_golden" / f"simota_{name}.npz")
    rows = torch.from_numpy(golden["outputs"]).requires_grad_(True)
    outputs = RVTOutputs(rows[..., :4], rows[..., 4], rows[..., 5:], *cells((256, 320)))
    labels = []
    for frame, count in zip(golden["labels"], golden["counts"], strict=True):
        objects = torch.from_numpy(frame[:count]).float()
        half = objects[:, 3:] / 2
        middle, classes = objects[:, 1:3], objects[:, :1] + 1
        labels.append(torch.cat([middle - half, middle + half, classes], dim=1))

    assert_close(answers(outputs, labels), torch.from_numpy(golden["matched"]).long())
    losses = rvt_loss(outputs, labels, torch.ones(len(labels), dtype=torch.bool))
    sum(losses.values()).backward()
    for ours, theirs in (("loc_loss", "iou"), ("obj_loss", "obj"), ("cls_loss", "cls")):
        assert losses[ours].item() == pytest.approx(float(golden[theirs]), rel=1e-5)
    assert sum(losses.values()).item() == pytest.approx(float(golden["loss"]), rel=1e-5)
    assert rows.grad.norm().item() == pytest.approx(float(golden["grad"]), rel=1e-5)
