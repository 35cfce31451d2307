from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from evdet.models.rvt import RVT, RVTPlan, detector as detector_module

T, B, C, SIZE = 3, 2, 3, 64
PLAN = RVTPlan(channels=(4, 8, 12, 16), head_channels=4, num_blocks=1)
NOTHING = torch.zeros(0, 5)


def make():
    detector = RVT(PLAN, C, 2).eval()
    with torch.no_grad():
        for name, weight in detector.named_parameters():
            # A fresh scale is next to nothing, and a fresh head finds nothing.
            if "scale" in name:
                weight.fill_(0.5)
            if "objectness" in name or "class_logits" in name:
                weight.copy_(2 * torch.randn(weight.shape))
    return detector


def clip_of(height=SIZE, width=SIZE):
    return torch.rand(T, B, C, height, width)


def assert_same(first, second):
    assert len(first) == len(second)
    for lanes_a, lanes_b in zip(first, second, strict=True):
        for a, b in zip(lanes_a, lanes_b, strict=True):
            assert a.keys() == b.keys()
            assert_close(a["labels"], b["labels"])
            for name in ("boxes", "scores", "class_scores"):
                assert_close(a[name], b[name], atol=1e-3, rtol=1e-4)


def num_found(out):
    return sum(len(frame["scores"]) for lanes in out for frame in lanes)


def test_a_fresh_detector_finds_nothing():
    for lanes in RVT(PLAN, C, 2).eval().get_boxes(clip_of()):
        for frame in lanes:
            assert frame["boxes"].shape == (0, 4)
            assert frame["labels"].shape == frame["class_scores"].shape == (0,)


# --- the laws of streams ---


def test_two_half_clips_equal_one_clip():
    detector, clip = make(), clip_of()
    first, memory = detector.step(clip[:1])
    second, _ = detector.step(clip[1:], memory)
    whole = detector.step(clip)[0]
    assert num_found(whole)
    assert_same(first + second, whole)


def test_lanes_do_not_see_each_other():
    detector, clip = make(), clip_of()
    other = clip.clone()
    other[:, 1] = 0
    first, second = detector.step(clip)[0], detector.step(other)[0]
    assert_same([lanes[:1] for lanes in first], [lanes[:1] for lanes in second])


def test_a_call_leaves_nothing_behind():
    detector, clip = make(), clip_of()
    assert_same(detector.step(clip)[0], detector.step(clip)[0])


def test_memory_that_is_masked_is_empty_memory():
    detector, clip = make(), clip_of()
    _, memory = detector.step(clip)
    reset = torch.tensor([1.0, 0.0]).view(B, 1, 1, 1)
    out, _ = detector.step(clip, tuple(lanes * reset for lanes in memory))
    fresh, carried = detector.step(clip)[0], detector.step(clip, memory)[0]
    assert_same([lanes[1:] for lanes in out], [lanes[1:] for lanes in fresh])
    assert_same([lanes[:1] for lanes in out], [lanes[:1] for lanes in carried])


def test_memory_has_a_name_for_every_tensor():
    detector = make()
    _, memory = detector.step(clip_of())
    assert len(memory) == len(detector.memory_names) == 8
    assert all(state.shape[0] == B for state in memory)


def test_memory_of_other_frames_is_refused():
    detector = make()
    _, memory = detector.step(clip_of())
    with pytest.raises(ValueError, match=r"padded to 64x64 .* padded to 64x96"):
        detector.step(clip_of(64, 96), memory)
    with pytest.raises(ValueError, match="2 tensors instead of 8"):
        detector.step(clip_of(), memory[:2])


# --- any size ---


@pytest.mark.parametrize(("height", "width"), [(40, 50), (33, 64), (64, 33), (63, 63)])
def test_frames_are_padded_below_and_on_the_right(height, width):
    detector, clip = make(), clip_of(height, width)
    boxes, scores, memory = detector.predict(clip)
    padded = detector.predict(functional.pad(clip, (0, SIZE - width, 0, SIZE - height)))

    assert_close(boxes, padded[0])
    assert_close(memory, padded[2])
    inside = (boxes[..., 0] < width) & (boxes[..., 1] < height)
    assert_close(scores, padded[1] * inside[..., None])


def test_boxes_come_back_in_the_callers_pixels():
    detector = make()
    out = detector.get_boxes(clip_of(40, 50), score_thresh=0.01)
    assert num_found(out)
    for lanes in out:
        for frame in lanes:
            x1, y1, x2, y2 = frame["boxes"].unbind(-1)
            assert ((x1 >= 0) & (x1 < x2) & (x2 <= 50)).all()
            assert ((y1 >= 0) & (y1 < y2) & (y2 <= 40)).all()


def test_a_frame_too_small_is_told_the_nearest_size():
    with pytest.raises(ValueError, match=r"8x64 .* 16x64"):
        make().step(clip_of(8, 64))


# --- what it says of a candidate ---


def test_a_candidate_counts_for_its_likeliest_class():
    detector, clip = make(), clip_of()
    _, scores, _ = detector.predict(clip)
    features, _ = detector.extract(clip)
    outputs = detector.head(detector.neck(features[1:]))
    best = outputs.class_logits.argmax(dim=-1, keepdim=True)
    expected = outputs.objectness.sigmoid()[..., None] * outputs.class_logits.sigmoid()
    assert_close(scores.gather(-1, best), expected.gather(-1, best))
    assert (scores > 0).sum() == best.numel()


def test_class_scores_go_along_with_the_scores():
    detector, clip = make(), clip_of()
    features, _ = detector.extract(clip)
    logits = detector.head(detector.neck(features[1:])).class_logits
    class_scores = logits.sigmoid().unflatten(0, (T, B))
    for t, lanes in enumerate(
        detector.step(clip, thresholds=detector.stream_thresholds.but(score_thresh=0.01))[0]
    ):
        for b, frame in enumerate(lanes):
            assert len(frame["scores"])
            assert (frame["scores"].diff() <= 0).all()
            for label, score in zip(frame["labels"], frame["class_scores"], strict=True):
                assert (class_scores[t, b, :, label - 1] - score).abs().min() < 1e-6
            assert (frame["class_scores"] > frame["scores"]).all()


def test_bytes_are_counts():
    detector = make()
    counts = torch.randint(0, 11, (T, B, C, 40, 50), dtype=torch.uint8)
    assert_close(detector.predict(counts), detector.predict(counts.float()))


def test_mixed_precision_keeps_memory_and_boxes_in_32_bits():
    detector, clip = make(), clip_of()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        boxes, scores, memory = detector.predict(clip)
        again = detector.predict(clip, memory)
    assert {part.dtype for part in (boxes, scores, *memory, *again[2])} == {torch.float32}
    assert_close(memory, detector.predict(clip)[2], atol=0.05, rtol=0.05)


@pytest.mark.slow
def test_it_can_be_exported():
    detector, clip = make(), clip_of(40, 50)[:1]
    with torch.no_grad():
        _, memory = detector.step(clip)

    class OneWindow(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.detector = detector

        def forward(self, clip, memory):
            return self.detector.predict(clip, memory)

    program = torch.export.export(OneWindow(), (clip, memory))
    with torch.no_grad():
        assert_close(program.module()(clip, memory), detector.predict(clip, memory))


# --- training ---


@pytest.fixture
def losses(monkeypatch):
    """Stands for the loss, and keeps what it was called with."""
    calls = []

    def rvt_loss(outputs, labels, labeled, *, average=None):
        calls.append(SimpleNamespace(outputs=outputs, labels=labels, labeled=labeled))
        total = (
            outputs.boxes_cxcywh.mean() + outputs.objectness.mean() + outputs.class_logits.mean()
        )
        return {"loc_loss": total * labeled.float().mean()}

    monkeypatch.setattr(detector_module, "rvt_loss", rvt_loss)
    return calls


def batch_of(labeled=None, **more):
    labels = [[torch.full((1, 5), 10.0 * t + b) for b in range(B)] for t in range(T)]
    extra = {} if labeled is None else {"frame_is_labeled": torch.tensor(labeled)}
    return {"inputs": clip_of(), "labels": labels, **extra, **more}


def test_gradients_reach_every_weight(losses):
    detector = make().train()
    values, memory = detector.compute_loss(batch_of())
    values["loc_loss"].backward()
    unreached = [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached
    assert len(losses[0].labels) == T * B
    assert losses[0].labeled.all()
    assert len(memory) == 8


def test_neck_and_head_read_labelled_frames_only(losses):
    detector, batch = make(), batch_of([[True, False], [False, False], [False, True]])
    _, memory = detector.compute_loss(batch)
    detector.compute_loss({**batch, "frame_is_labeled": None})
    some, every = losses
    assert [int(frame[0, 0]) for frame in some.labels] == [0, 21]
    assert some.labeled.tolist() == [True, True]
    for part, whole in zip(some.outputs[:3], every.outputs[:3], strict=True):
        assert_close(part, whole[[0, 5]])
    # The memory has seen every frame.
    assert_close(memory, detector.predict(batch["inputs"])[2])


def test_a_batch_without_labelled_frames_trains_nothing(losses):
    detector = make().train()
    values, _ = detector.compute_loss(batch_of([[False] * B] * T))
    values["loc_loss"].backward()
    assert losses[0].labeled.tolist() == [False]
    assert len(losses[0].labels[0]) == 0
    for name, weight in detector.named_parameters():
        # Every weight takes part, for processes that train together, and none moves.
        assert weight.grad is not None, name
        assert not weight.grad.any(), name


def test_frozen_features_do_not_move(losses):
    detector = make().train()
    detector.freeze_features()
    detector.train()
    before = {k: v.clone() for k, v in detector.state_dict().items()}
    detector.compute_loss(batch_of())[0]["loc_loss"].backward()
    for name, value in detector.state_dict().items():
        assert name.startswith("head.") or torch.equal(value, before[name]), name
    learning = {name.split(".")[0] for name, p in detector.named_parameters() if p.grad is not None}
    assert learning == {"head"}
    assert detector.head.training


def test_classes_that_both_know_keep_their_logits():
    old, new = make(), RVT(PLAN, C, 3).eval()
    fitted = new.weights_for_classes(old.state_dict(), ["cat", "dog"], ["dog", "cow", "cat"])
    own = new.head.levels[0].class_logits.weight[1].clone()
    new.load_state_dict(fitted)
    clip = clip_of()
    after, before = (d.head(d.neck(d.extract(clip)[0][1:])) for d in (new, old))
    assert_close(after.class_logits[..., [2, 0]], before.class_logits)
    assert_close(after.objectness, before.objectness)
    assert_close(new.head.levels[0].class_logits.weight[1], own)


def test_heads_of_attention_must_fit():
    with pytest.raises(ValueError, match="4 channels cannot be split into attention heads of 3"):
        RVT(RVTPlan(channels=(4, 8, 12, 16), head_channels=3, num_blocks=1), C, 2)
