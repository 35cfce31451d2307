"""The laws of everything that has a memory, over one table: a new family joins by one line.

However a stream is cut into clips, the result is that of the whole; lanes do not see each other;
a call leaves nothing behind; a masked memory is an empty one.
"""

from functools import cache, partial

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from torch.testing import assert_close

from evdet.boxes import to_box_events
from evdet.build import FEATURE_EXTRACTORS, build_detector
from evdet.config import DetectionConfig
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import SensorSize
from evdet.events.simulation.sensor import SensorModel
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models import ConvGRU, ConvLSTM
from evdet.pipeline import detect
from evdet.sources.opening import open_frames
from evdet.synthetic.scenes.scene import SceneOptions, draw_scene, play_scene

B, C, HEIGHT, WIDTH = 2, 2, 32, 48
THRESHOLDS = SelectionThresholds(score_thresh=0.2, nms_thresh=0.5)
SMALL = {
    "feature_base": 2, "feature_channels_out": 4, "num_levels": 2, "head_channels": 4,
    "classes": ("cat", "dog"), "in_channels": C, "height": HEIGHT, "width": WIDTH,
}  # fmt: skip
DETECTORS = {
    **{name: {"feature_extractor": name} for name in FEATURE_EXTRACTORS},
    "RVT-Tiny": {"detector": "RVT-Tiny"},
    "S5-ViT-Tiny": {"detector": "S5-ViT-Tiny"},
    "RT-DETR-Nano": {"detector": "RT-DETR-Nano"},
    "EvRT-DETR-Nano": {"detector": "EvRT-DETR-Nano"},
}
# Parts of a new detector that find nothing, or add nothing.
FRESH = {
    "RT-DETR-Nano": ("decoder.class_heads",),
    "EvRT-DETR-Nano": ("decoder.class_heads", "adapter.projections"),
}
KNOW_TIME = ["VanillaS5", "S5-ViT-Tiny"]
PARTS = {
    "ConvLSTM": partial(ConvLSTM, C, 4, 2),
    "ConvGRU": partial(ConvGRU, C, 4, 2),
    **{name: partial(make, C, 2, 4, 2) for name, make in FEATURE_EXTRACTORS.items()},
}
STEPS = [*PARTS, *(f"detector {name}" for name in DETECTORS)]
# Where to cut a stream of six windows; in every case the clips of one window each as well.
CUTS = st.lists(st.booleans(), min_size=5, max_size=5)
ALL_CUTS = [True] * 5
SEEDS = st.integers(0, 2**32 - 1)
# Networks are slow: 3 examples, and 125 under the profile `long`.
FEW = settings(max_examples=settings().max_examples // 10)


@cache
def part_of(name):
    torch.manual_seed(0)
    # Evaluation: BatchNorm over a clip would tie its frames and lanes together in training.
    return PARTS[name]().eval()


@cache
def detector_of(name, dtype=torch.float32):
    detector = build_detector(DetectionConfig(**SMALL, **DETECTORS[name])).eval()
    torch.manual_seed(0)
    for part in FRESH.get(DETECTORS[name].get("detector"), ("head",)):
        for weight in detector.get_submodule(part).parameters():
            # A fresh head finds nothing; this one finds something everywhere.
            torch.nn.init.normal_(weight, std=0.3)
    return detector.to(dtype)


def step_of(name):
    """A function (clip, memory) -> (list of tensors that begin with T and B, memory)."""

    def step(clip, memory=None, durations=None):
        with torch.no_grad():
            if name in PARTS:
                out, memory = part_of(name).step(clip, memory)
                out = [out] if isinstance(out, torch.Tensor) else out
            else:
                detector = detector_of(name.removeprefix("detector "))
                *out, memory = detector.predict(clip, memory, durations=durations)
        shape = clip.shape[:2]
        return [x if x.shape[:2] == shape else x.unflatten(0, shape) for x in out], memory

    return step


def clip_of(seed, num_frames=6):
    return torch.rand(num_frames, B, C, HEIGHT, WIDTH, generator=torch.manual_seed(seed))


def pieces(stream, cuts):
    """The stream, cut after each window that says so."""
    ends = [k + 1 for k, cut in enumerate(cuts) if cut]
    return [stream[a:b] for a, b in zip([0, *ends], [*ends, len(stream)], strict=True)]


def play(step, clips, memory=None):
    outputs = []
    for clip in clips:
        out, memory = step(clip, memory)
        outputs.append(out)
    return outputs, memory


def assert_equal(first, second):
    # Boxes are in pixels, of frames of 48.
    assert_close(first, second, atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("name", STEPS)
@given(cuts=CUTS, seed=SEEDS)
@example(cuts=ALL_CUTS, seed=0)
@FEW
def test_a_stream_cut_anywhere_equals_the_whole(name, cuts, seed):
    step, clip = step_of(name), clip_of(seed)
    whole, memory = step(clip)
    outputs, last = play(step, pieces(clip, cuts))
    assert_equal([torch.cat(parts) for parts in zip(*outputs, strict=True)], whole)
    assert_equal(last, memory)


@pytest.mark.parametrize("name", STEPS)
@given(seed=SEEDS, lane=st.integers(0, B - 1))
@FEW
def test_lanes_do_not_see_each_other(name, seed, lane):
    step, clip = step_of(name), clip_of(seed, 2)
    out, memory = step(clip, step(clip)[1])
    alone = slice(lane, lane + 1)
    own, own_memory = step(clip[:, alone], step(clip[:, alone])[1])
    assert_equal([x[:, alone] for x in out], own)
    assert_equal([x[alone] for x in memory], list(own_memory))


@pytest.mark.parametrize("name", STEPS)
def test_a_call_leaves_nothing_behind(name):
    step, clip = step_of(name), clip_of(0, 2)
    _, memory = step(clip_of(1, 2))
    before = clip.clone(), [part.clone() for part in memory]
    first, second = step(clip, memory), step(clip, memory)
    assert_close(first, second, atol=0, rtol=0)
    assert_close((clip, list(memory)), before, atol=0, rtol=0)


@pytest.mark.parametrize("name", STEPS)
def test_a_masked_memory_is_an_empty_one(name):
    step, clip = step_of(name), clip_of(0, 2)
    _, memory = step(clip_of(1, 2))
    keep = torch.tensor([0.0, 1.0]).view(B, 1, 1, 1)
    masked, fresh, kept = (
        step(clip, state)[0] for state in (tuple(keep * part for part in memory), None, memory)
    )
    assert_equal([x[:, 0] for x in masked], [x[:, 0] for x in fresh])
    assert_equal([x[:, 1] for x in masked], [x[:, 1] for x in kept])
    same = all(torch.allclose(a, b) for a, b in zip(kept, fresh, strict=True))
    assert same == (not memory)  # a detector of single frames has none


@pytest.mark.parametrize("name", STEPS)
def test_the_memory_has_one_tensor_a_name_and_one_row_a_lane(name):
    part = part_of(name) if name in PARTS else detector_of(name.removeprefix("detector "))
    _, memory = step_of(name)(clip_of(0, 1))
    assert len(memory) == len(part.memory_names) == len(set(part.memory_names))
    assert all(len(tensor) == B and tensor.dim() == 4 for tensor in memory)


def durations_of(seed, num_frames=6):
    """From 5 ms to 500 ms, another for each frame of each lane."""
    exponents = torch.rand(num_frames, B, generator=torch.manual_seed(seed))
    return 5_000 * 100**exponents


@pytest.mark.parametrize("name", DETECTORS)
@given(cuts=CUTS, seed=SEEDS)
@example(cuts=ALL_CUTS, seed=0)
@FEW
def test_a_stream_of_irregular_durations_cut_anywhere_equals_the_whole(name, cuts, seed):
    step, clip, durations = step_of(f"detector {name}"), clip_of(seed), durations_of(seed)
    whole, expected = step(clip, None, durations)
    memory, outputs = None, []
    for piece in pieces(torch.arange(6), cuts):
        out, memory = step(clip[piece], memory, durations[piece])
        outputs.append(out)
    assert_equal([torch.cat(parts) for parts in zip(*outputs, strict=True)], whole)
    assert_equal(memory, expected)


@pytest.mark.parametrize("name", DETECTORS)
def test_lanes_do_not_see_each_others_durations(name):
    step, clip, durations = step_of(f"detector {name}"), clip_of(0, 3), durations_of(0, 3)
    out, memory = step(clip, None, durations)
    for lane in range(B):
        alone = slice(lane, lane + 1)
        own, own_memory = step(clip[:, alone], None, durations[:, alone])
        assert_equal([x[:, alone] for x in out], own)
        assert_equal([x[alone] for x in memory], list(own_memory))


@pytest.mark.parametrize("name", DETECTORS)
def test_only_a_memory_that_knows_time_depends_on_durations(name):
    assert detector_of(name).knows_time == (name in KNOW_TIME)
    step, clip = step_of(f"detector {name}"), clip_of(0, 3)
    (_, scores), _ = step(clip)
    as_trained = torch.full((3, B), float(detector_of(name).frame_spec.delta_t))
    assert_close(step(clip, None, as_trained)[0][1], scores)
    other, _ = step(clip, None, as_trained / 4)
    assert torch.equal(other[1], scores) == (name not in KNOW_TIME)


@pytest.mark.parametrize("name", KNOW_TIME)
@pytest.mark.parametrize("duration", [0.0, -1.0])
def test_a_frame_without_a_duration_is_refused(name, duration):
    with pytest.raises(ValueError, match=f"more than 0 microseconds, got {duration:g}"):
        step_of(f"detector {name}")(clip_of(0, 1), None, torch.full((1, B), duration))


def test_durations_need_those_of_the_training():
    detector = build_detector(DetectionConfig(**SMALL, **DETECTORS["VanillaS5"])).eval()
    detector.frame_spec = None
    detector.predict(clip_of(0, 1))
    with pytest.raises(ValueError, match="give it a frame_spec"):
        detector.predict(clip_of(0, 1), durations=torch.ones(1, B))


def detect_all(name, clips):
    """Box events of clips of one lane, one after another.

    In float64, where chance puts no two scores so close that rounding could change their order:
    which boxes are selected must not depend on the cuts at all.
    """
    detector, memory, boxes = detector_of(name, torch.float64), None, []
    for first, clip in clips:
        with torch.no_grad():
            out, memory = detector.step(clip.double(), memory, thresholds=THRESHOLDS)
        for t, lanes in enumerate(out, start=first):
            boxes += [to_box_events(x["boxes"], x["labels"], x["scores"], t=t) for x in lanes]
    return np.concatenate(boxes)


def assert_same_boxes(first, second):
    assert len(first) == len(second) > 0
    for name in ("t", "class_id"):
        np.testing.assert_array_equal(first[name], second[name])
    for name in ("x", "y", "w", "h", "class_confidence"):
        np.testing.assert_allclose(first[name], second[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", DETECTORS)
@given(cuts=CUTS, seed=SEEDS)
@example(cuts=ALL_CUTS, seed=0)
@FEW
def test_a_stream_cut_anywhere_gives_the_same_boxes(name, cuts, seed):
    clip = clip_of(seed)[:, :1]
    numbered = [(int(piece[0]), clip[piece]) for piece in pieces(torch.arange(6), cuts)]
    assert_same_boxes(detect_all(name, numbered), detect_all(name, [(0, clip)]))


DELTA_T, NUM_BINS = 50_000, 12


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Simulated digits that move and stop."""
    seconds = NUM_BINS * DELTA_T / 1e6
    options = SceneOptions(height=HEIGHT, width=WIDTH, seconds=seconds, frame_rate=100.0)
    scene = draw_scene(options, SensorModel(), "test", 0)
    path = tmp_path_factory.mktemp("stream") / "digits_td.dat"
    events = (piece.events for piece in play_scene(scene, DELTA_T))
    write_dat(path, events, SensorSize(HEIGHT, WIDTH))
    return path


def read_frames(path, **stretch):
    """Number of the first window, and the clip of one lane."""
    spec = FrameSpec(
        preprocess="histogram", delta_t=DELTA_T, height=HEIGHT, width=WIDTH, in_channels=C
    )
    frames = list(open_frames(path, spec, **stretch))
    clip = torch.from_numpy(np.stack([frame.frame for frame in frames]))[:, None].float()
    return frames[0].t // DELTA_T, clip


@pytest.mark.parametrize("name", DETECTORS)
def test_a_recording_gives_the_same_boxes_whole_in_stretches_and_window_by_window(name, recording):
    first, whole = read_frames(recording)
    assert len(whole) == NUM_BINS
    assert len(torch.unique(whole.sum(dim=(1, 2, 3, 4)))) == NUM_BINS  # the windows do differ
    boxes = detect_all(name, [(first, whole)])

    one_by_one = detect_all(name, [(first + k, whole[k : k + 1]) for k in range(NUM_BINS)])
    assert_same_boxes(one_by_one, boxes)

    # Each stretch is read by itself, from within the file up to the middle of its last window.
    stretches = []
    for start, stop in ((0, 1), (1, 6), (6, 8), (8, NUM_BINS)):
        duration = (stop - start) * DELTA_T - DELTA_T // 2
        stretches.append(read_frames(recording, start=start * DELTA_T, duration=duration))
    assert_same_boxes(detect_all(name, stretches), boxes)


class InDouble:
    """A detector for `detect` that works in float64, as `detect_all` does."""

    def __init__(self, name):
        self.detector = detector_of(name, torch.float64)
        self.frame_spec = FrameSpec(
            preprocess="histogram", delta_t=DELTA_T, height=HEIGHT, width=WIDTH, in_channels=C,
            class_names=SMALL["classes"], thresholds=THRESHOLDS,
        )  # fmt: skip

    def step(self, clip, memory=None, **selection):
        return self.detector.step(clip.double(), memory, **selection)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_pipeline_gives_the_same_boxes_however_many_windows_go_at_once(name, recording):
    whole = np.concatenate(
        [boxes for _, _, boxes in detect(recording, InDouble(name), num_tbins=99, agnostic=False)]
    )
    first, clip = read_frames(recording)
    expected = detect_all(name, [(first, clip)])
    expected["t"] *= DELTA_T
    assert_same_boxes(whole, expected[(expected["w"] > 0) & (expected["h"] > 0)])
    for num_tbins in (1, 5):
        frames = detect(recording, InDouble(name), num_tbins=num_tbins, agnostic=False)
        assert_same_boxes(np.concatenate([boxes for _, _, boxes in frames]), whole)
