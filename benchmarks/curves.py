"""Time to compute all curves of 1,000 recordings with 100,000 boxes, and one matching of them."""

import numpy as np

from benchmarks.measure import Row, cpu_seconds
from evdet.boxes import BOX_DTYPE
from evdet.metrics import ScoredRecording, match_boxes, pair_own_bin, performance_curves

NUM_RECORDINGS, NUM_FRAMES, NUM_OBJECTS, NUM_FALSE, NUM_CLASSES = 1000, 20, 5, 20, 2
DELTA_T, SIZE = 50_000, (240, 304)


def rows() -> list[Row]:
    """Measure on one random set.

    Returns:
        Processor time of all curves, and of one of the seven matchings behind them.
    """
    rng = np.random.default_rng(0)
    recordings = [_make_recording(str(number), rng) for number in range(NUM_RECORDINGS)]
    names = tuple(str(k) for k in range(NUM_CLASSES))
    num_truths = sum(len(one.truth) for one in recordings)
    num_found = sum(len(one.detections) for one in recordings)
    what = f"curves of {num_truths:,} objects, {num_found:,} detections"
    whole = cpu_seconds(
        lambda: performance_curves(recordings, names, size=SIZE, delta_t=DELTA_T), repeats=1
    )
    frames = pair_own_bin(recordings, delta_t=DELTA_T)
    once = cpu_seconds(lambda: match_boxes(frames, max_detections=100), repeats=1)
    return [
        Row(what=what, value=whole, unit="s", note="processor time, one core"),
        Row(what="one matching of them", value=once, unit="s"),
    ]


def _make_recording(name: str, rng: np.random.Generator) -> ScoredRecording:
    times = np.repeat(np.arange(1, NUM_FRAMES + 1) * DELTA_T, NUM_OBJECTS)
    fields = [*BOX_DTYPE.descr, ("still_us", "<i8"), ("num_events", "<i8")]
    truth = _random_boxes(times, rng, np.dtype(fields))
    truth["track_id"] = np.tile(np.arange(1, NUM_OBJECTS + 1), NUM_FRAMES)
    truth["still_us"] = rng.choice([0, 50_000, 700_000, 5_000_000], len(truth))
    truth["num_events"] = rng.integers(0, 5000, len(truth))
    near = np.zeros(len(truth), BOX_DTYPE)
    for field in BOX_DTYPE.names or ():
        near[field] = truth[field]
    near["x"] += rng.normal(0, 3, len(near))
    false = _random_boxes(np.repeat(np.unique(times), NUM_FALSE), rng, BOX_DTYPE)
    found = np.concatenate([near, false])
    found["class_confidence"] = rng.random(len(found))
    found = found[np.argsort(found["t"], kind="stable")]
    return ScoredRecording(name, truth, np.unique(times), found)


def _random_boxes(times: np.ndarray, rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
    boxes = np.zeros(len(times), dtype)
    boxes["t"] = times
    boxes["x"], boxes["y"] = rng.uniform(0, 250, (2, len(times)))
    boxes["w"], boxes["h"] = rng.uniform(8, 100, (2, len(times)))
    boxes["class_id"] = rng.integers(1, NUM_CLASSES + 1, len(times))
    boxes["class_confidence"] = 1
    return boxes
