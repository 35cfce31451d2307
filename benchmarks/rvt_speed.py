"""`python -m benchmarks.rvt_speed`: RVT as evdet arranges it against the original's order.

Two things are arranged differently here, and every combination is timed, in turns, in one run:

- the stages. *Stage-major* (ours): a whole clip goes through the first stage, then through the
  second. *Frame by frame* (the original's order): one frame goes through all stages, with one
  product over input and hidden state together, then the next.
- the loss. *Batched* (ours): all labelled frames are assigned at once, nothing is read back.
  *Per frame*: each frame by itself, with the host reads of the original: which candidates take
  part, how many each object gets, whether any is contested, how many are positive.

What was expected, written before anything was measured:

- On an accelerator a training step in the original's order is bound by kernel launches. A stage
  is some 40 operators without its memory and 10 with it. Frame by frame 21 frames in 4 stages are
  about 21 * 4 * 50 = 4,200 launches forward and twice that backward; stage-major they are
  4 * (40 + 21 * 8) = 830, a fifth. At 5 to 10 us a launch the first are 60 to 120 ms of a step of
  T=21, B=8. Neck and head are the same in both. Each labelled frame with 3 objects adds some 8
  host reads and 60 launches: 40 frames are 2,400 launches and 320 reads, 20 to 40 ms. The
  arithmetic of a step of RVT-Base (5.26 GMACs * 168 frames * 6) is 5.3 TFLOP: 100 ms in TF32 or
  25 ms in bf16, at a quarter of the peak. So at least 3 times the steps/s in bf16, less in 32 bits.
- One window at batch 1 has the same order in both; only the LSTM's product differs: equal within
  a tenth, some 8 ms for 700 launches. A CUDA graph replays them in 1.5 to 3 ms.
- On two CPU cores arithmetic is what counts: 1.0 to 1.3 times for the stages, for fewer and
  larger operators, and nothing to speak of for the loss, which is 1 % of a step.

What came out is in docs/benchmarks.md.
"""

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from evdet.models.rvt import (
    BOX_WEIGHT,
    CENTRE_RADIUS,
    IOU_WEIGHT,
    NUM_BEST,
    OUTSIDE_COST,
    RVT,
    RVT_PLANS,
    RVTOutputs,
    collect_objects,
    grid_of,
    paired_iou,
    rvt_loss,
)  # fmt: skip
from evdet.report import describe_environment

__all__ = [
    "TrainingStep",
    "extract_by_frame",
    "loss_by_frame",
    "main",
    "make_attention_count",
    "make_rvt_batch",
]

CHANNELS, NUM_CLASSES, SIZE = 20, 2, (256, 320)
NUM_OBJECTS = 3
# Gen1 is labelled at 1 to 4 Hz, and a window is 50 ms.
LABEL_EVERY = 5
STAGES = ("stage-major", "frame by frame")
LOSSES = ("batched", "per frame")

Maps = list[Tensor]
Memory = tuple[Tensor, ...]


def extract_by_frame(
    detector: RVT, clip: Tensor, memory: Memory | None = None
) -> tuple[Maps, Memory]:
    """What `RVT.extract` gives, in the original's order.

    Args:
        detector: of which the backbone is used.
        clip: T frames of each of B lanes, of a size that needs no padding.
        memory: what the previous call returned.

    Returns:
        A map of each stage, and the memory.
    """
    window = grid_of((clip.shape[-2], clip.shape[-1])).window
    stages = detector.backbone.stages
    states: list[Any] = list(memory or [None] * 2 * len(stages))
    features: list[Maps] = [[] for _ in stages]
    for frame in clip:
        maps = frame
        for number, stage in enumerate(stages):
            cells = stage.norm(stage.downsample(maps).permute(0, 2, 3, 1))
            cells = stage.grid(stage.window(cells, window), window).permute(0, 3, 1, 2)
            hidden, cell = states[2 * number], states[2 * number + 1]
            if hidden is None:
                hidden = cell = torch.zeros_like(cells)
            gates = stage.lstm.gates(torch.cat([cells, hidden], dim=1))
            three, candidate = gates.split([3 * cells.shape[1], cells.shape[1]], dim=1)
            forget, admit, expose = three.sigmoid().chunk(3, dim=1)
            cell = forget * cell + admit * candidate.tanh()
            maps = expose * cell.tanh()
            states[2 * number], states[2 * number + 1] = maps, cell
            features[number].append(maps)
    return [torch.cat(level) for level in features], tuple(states)


def loss_by_frame(outputs: RVTOutputs, labels: list[Tensor]) -> Tensor:
    """The sum of `rvt_loss`, with an assignment for each frame and the original's host reads.

    Args:
        outputs: of F labelled frames.
        labels: the objects of each.

    Returns:
        The loss.
    """
    num_positives = 0
    positives, taken_boxes, true_boxes, true_classes = [], [], [], []
    for frame, objects in enumerate(labels):
        is_positive, index, overlap = _assign_one(outputs, frame, objects)
        num_positives += int(is_positive.sum().item())
        found = collect_objects([objects], objects.device)
        chosen = is_positive.nonzero().squeeze(1)
        positives.append(is_positive)
        taken_boxes.append(outputs.boxes_cxcywh[frame, chosen].float())
        true_boxes.append(found.boxes_cxcywh[index[chosen]])
        one_hot = functional.one_hot(found.classes[index[chosen]], outputs.class_logits.shape[-1])
        true_classes.append(one_hot * overlap[chosen, None])
    count = max(1, num_positives)
    is_positive = torch.stack(positives)
    iou = paired_iou(torch.cat(taken_boxes), torch.cat(true_boxes))
    by_class = functional.binary_cross_entropy_with_logits(
        outputs.class_logits[is_positive].float(), torch.cat(true_classes), reduction="sum"
    )
    objectness = functional.binary_cross_entropy_with_logits(
        outputs.objectness.float(), is_positive.float(), reduction="sum"
    )
    return (BOX_WEIGHT * (1 - iou.square()).sum() + by_class + objectness) / count


@torch.no_grad()
def _assign_one(outputs: RVTOutputs, frame: int, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SimOTA of one frame: is positive, which object, overlap; each over all candidates."""
    num_candidates = outputs.objectness.shape[1]
    is_positive = torch.zeros(num_candidates, dtype=torch.bool, device=labels.device)
    index = torch.zeros(num_candidates, dtype=torch.long, device=labels.device)
    overlap = torch.zeros(num_candidates, device=labels.device)
    if not len(labels):
        return is_positive, index, overlap
    objects = collect_objects([labels], labels.device)
    away = (outputs.centres[None] - objects.boxes_cxcywh[:, None, :2]).abs()
    central = (away < CENTRE_RADIUS * outputs.strides[None, :, None]).all(dim=-1)
    used = central.any(dim=0).nonzero().squeeze(1)  # a host read
    central = central[:, used]
    iou = paired_iou(objects.boxes_cxcywh[:, None], outputs.boxes_cxcywh[frame, used].float())
    joint = (
        outputs.class_logits[frame, used].float().sigmoid()
        * outputs.objectness[frame, used, None].float().sigmoid()
    ).sqrt()
    target = functional.one_hot(objects.classes, joint.shape[1]).float()
    with torch.autocast(labels.device.type, enabled=False):
        cross = functional.binary_cross_entropy(
            joint.expand(len(target), -1, -1),
            target[:, None].expand(-1, len(used), -1),
            reduction="none",
        ).sum(dim=-1)
    cost = cross - IOU_WEIGHT * (iou + 1e-8).log() + OUTSIDE_COST * ~central
    taken = torch.zeros_like(cost, dtype=torch.bool)
    wanted = iou.topk(min(NUM_BEST, len(used)), dim=1).values.sum(dim=1).int().clamp(min=1)
    for row in range(len(labels)):
        best = cost[row].topk(int(wanted[row].item()), largest=False).indices  # a host read each
        taken[row, best] = True
    contested = taken.sum(dim=0) > 1
    if contested.sum() > 0:  # a host read
        cheapest = cost[:, contested].argmin(dim=0)
        taken[:, contested] = False
        taken[cheapest, contested.nonzero().squeeze(1)] = True
    answers = taken.any(dim=0)
    chosen = used[answers]  # a host read
    is_positive[chosen] = True
    index[chosen] = taken[:, answers].long().argmax(dim=0)
    overlap[chosen] = (iou * taken).sum(dim=0)[answers]
    return is_positive, index, overlap


class TrainingStep:
    """One training step in one of the four arrangements."""

    def __init__(
        self, detector: RVT, batch: dict[str, Any], stages: str, loss: str, bf16: bool
    ) -> None:
        self.name = f"{stages}, {loss} loss"
        self.detector, self.batch, self.bf16 = detector, batch, bf16
        self.stages, self.loss = stages, loss
        self.optimizer = torch.optim.AdamW(detector.parameters(), lr=0.0, weight_decay=0.0)

    def __call__(self) -> Tensor:
        """Take the step, and return its loss."""
        loss = self.forward()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def forward(self) -> Tensor:
        """Compute the loss."""
        clip, labels, labeled = (self.batch[key] for key in ("inputs", "labels", "labeled"))
        with _mixed(clip.device, self.bf16):
            if self.stages == STAGES[0]:
                features, _ = self.detector.extract(clip)
            else:
                features, _ = extract_by_frame(self.detector, clip)
            chosen = [maps.index_select(0, labeled) for maps in features]
            outputs = self.detector.head(self.detector.neck(chosen[1:]))
            if self.loss == LOSSES[0]:
                is_labeled = torch.ones(len(labels), dtype=torch.bool, device=clip.device)
                return torch.stack(list(rvt_loss(outputs, labels, is_labeled).values())).sum()
            return loss_by_frame(outputs, labels)


def _mixed(device: torch.device, bf16: bool) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


class _Counter(TorchDispatchMode):
    """Counts operators that compute something, on an accelerator about one launch each."""

    VIEWS = ("view", "permute", "transpose", "slice", "select", "expand", "unsqueeze", "detach",
             "split", "alias", "as_strided", "squeeze", "unbind", "t.default")  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.")
        self.count += not name.startswith(self.VIEWS)
        return func(*args, **(kwargs or {}))


def make_rvt_batch(num_tbins: int, num_lanes: int, device: str) -> dict[str, Any]:
    """A clip of random frames with objects in every fifth."""
    rng = torch.Generator().manual_seed(0)
    clip = torch.randint(0, 11, (num_tbins, num_lanes, CHANNELS, *SIZE), generator=rng)
    frames = [t * num_lanes + b for t in range(0, num_tbins, LABEL_EVERY) for b in range(num_lanes)]
    low = torch.rand(len(frames), NUM_OBJECTS, 2, generator=rng) * 160
    sides = 20 + 60 * torch.rand(len(frames), NUM_OBJECTS, 2, generator=rng)
    classes = torch.randint(1, NUM_CLASSES + 1, (len(frames), NUM_OBJECTS, 1), generator=rng)
    labels = torch.cat([low, low + sides, classes.float()], dim=-1).to(device)
    return {
        "inputs": clip.float().to(device),
        "labels": list(labels),
        "labeled": torch.tensor(frames, device=device),
    }


def _in_turns(calls: list[Callable[[], object]], device: str, repeats: int) -> list[list[float]]:
    """Seconds of each call, one after the other, over and over; the first round warms up.

    On a CPU it is the processor's time, of all threads together: others on the machine count less.
    """
    clock = time.process_time if device == "cpu" else time.perf_counter
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 1):
        for call, found in zip(calls, times, strict=True):
            _wait(device)
            start = clock()
            call()
            _wait(device)
            if turn:
                found.append(clock() - start)
    return times


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _train(detector: RVT, options: argparse.Namespace, *, bf16: bool) -> None:
    batch = make_rvt_batch(options.tbins, options.lanes, options.device)
    detector.train()
    steps = [
        TrainingStep(detector, batch, stages, loss, bf16) for stages in STAGES for loss in LOSSES
    ]
    bits = "bf16" if bf16 else "32 bits"
    print(
        f"\ntraining, {bits}, T={options.tbins}, B={options.lanes}, {len(batch['labels'])} "
        f"labelled frames of {NUM_OBJECTS} objects, {options.repeats} rounds in turns"
    )
    print(f"{'':36}{'steps/s':>9}{'ratio':>8}{'operators':>11}{'loss':>11}")
    operators, losses = [], []
    for step in steps:
        # BatchNorm's own statistics move, and no loss depends on them in training.
        with _Counter() as counter:
            losses.append(step.forward().item())
        operators.append(counter.count)
    medians = [statistics.median(t) for t in _in_turns(steps, options.device, options.repeats)]
    slowest = medians[-1]
    for step, seconds, count, loss in zip(steps, medians, operators, losses, strict=True):
        print(f"{step.name:36}{1 / seconds:9.3g}{slowest / seconds:8.2f}{count:11,}{loss:11.4f}")


def _infer(detector: RVT, options: argparse.Namespace) -> None:
    """One window at batch 1, from frame to candidates, with memory carried on."""
    detector.eval()
    clip = make_rvt_batch(1, 1, options.device)["inputs"]

    def by_frame(frames: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Memory]:
        features, new = extract_by_frame(detector, frames, memory)
        outputs = detector.head(detector.neck(features[1:]))
        return outputs.boxes_cxcywh, outputs.class_logits, new

    def in_bf16(frames: Tensor, memory: Memory | None) -> tuple[Tensor, Tensor, Memory]:
        with _mixed(frames.device, True):
            return detector.predict(frames, memory)

    predicts: dict[str, Callable[..., Any]] = {
        "stage-major": detector.predict, "frame by frame": by_frame,
    }  # fmt: skip
    if options.device != "cpu":
        predicts["stage-major, bf16"] = in_bf16
    memory = detector.predict(clip)[2]
    calls = {name: lambda f=f: f(clip, memory) for name, f in predicts.items()}
    if options.device != "cpu":
        calls |= {f"{name}, CUDA graph": _captured(f, clip) for name, f in predicts.items()}
    print(f"\ninference, B=1, frame to candidates, {options.windows} windows in turns")
    print(f"{'':36}{'p50 ms':>9}{'p99 ms':>9}")
    times = _in_turns(list(calls.values()), options.device, options.windows)
    for name, found in zip(calls, times, strict=True):
        ordered = sorted(found)
        p99 = ordered[int(0.99 * (len(ordered) - 1))]
        print(f"{name:36}{1e3 * statistics.median(found):9.2f}{1e3 * p99:9.2f}")


def _captured(predict: Callable[..., Any], clip: Tensor) -> Callable[[], object]:
    from evdet.speed import CapturedCall

    def body(frames: Tensor, memory: Memory) -> tuple[tuple[Tensor, Tensor], Memory]:
        boxes, scores, new = predict(frames, memory)
        return (boxes, scores), tuple(part.float() for part in new)

    memory = tuple(part.float() for part in predict(clip, None)[2])
    call = CapturedCall(body, clip, memory)
    place = call(clip)[1]
    return lambda: call(clip, place)


def make_attention_count(detector: nn.Module) -> None:
    """A fresh scale is next to nothing; the losses would agree whatever attention did."""
    for name, weight in detector.named_parameters():
        if "scale" in name:
            nn.init.constant_(weight, 0.5)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="RVT's arrangement against the original's order.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--detector", default=None, choices=list(RVT_PLANS))
    parser.add_argument("--quick", action="store_true", help="RVT-Tiny, T=5, B=2: for a CPU")
    parser.add_argument("--repeats", type=int, default=None, help="rounds of training steps")
    parser.add_argument("--windows", type=int, default=None, help="windows of inference")
    parser.add_argument("--only", choices=("training", "inference"), help="leave the other out")
    options = parser.parse_args()
    quick = options.quick
    options.tbins, options.lanes = (5, 2) if quick else (21, 8)
    options.repeats = options.repeats or (3 if quick else 10)
    options.windows = options.windows or (10 if quick else 200)
    name = options.detector or ("RVT-Tiny" if quick else "RVT-Base")
    torch.manual_seed(0)
    detector = RVT(RVT_PLANS[name], CHANNELS, NUM_CLASSES)
    make_attention_count(detector)
    detector.to(options.device)
    for key, value in describe_environment().items():
        print(f"{key:18}{value}")
    threads = torch.get_num_threads()
    clock = "processor time of all threads" if options.device == "cpu" else "wall clock"
    print(f"{'threads':18}{threads}\n{'seconds':18}{clock}")
    print(f"{'detector':18}{name}, {CHANNELS}x{SIZE[0]}x{SIZE[1]}, random weights")
    if quick:
        print("a quick run of a smaller problem: only the ratios say something")
    if options.only != "inference":
        _train(detector, options, bf16=False)
        if options.device != "cpu":
            _train(detector, options, bf16=True)
    if options.only != "training":
        with torch.no_grad():
            _infer(detector, options)


if __name__ == "__main__":
    main()
