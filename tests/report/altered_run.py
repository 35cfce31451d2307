"""A run's folder with every kind of number, and every way to alter one value of its files."""

import copy
import json
from pathlib import Path

import numpy as np

from evdet.draw import encode_png
from evdet.metrics import average_precision
from evdet.runs import RunFolder

WRONG = (None, True, -1, 2.5, 1e308, float("nan"), "x", "", [], [[]], {}, {"a": 1}, [None], "../x")
GROUP = {"label": "0", "low": 0.0, "high": 4.0, "num_truths": 2, "ap": 0.5, "ap50": None}


def write_run(folder):
    """Write the evaluation, the speed and the record of a training; returns the folder."""
    run = RunFolder(Path(folder))
    truths = [np.array([[10, 10, 50, 60, 1]], np.float32)]
    found = {"boxes": [[10, 10, 50, 60]], "labels": [1], "scores": [0.9]}
    found = {name: np.array(value, np.float32) for name, value in found.items()}
    scores = average_precision(truths, [found], ["car"]).as_dict()
    groups = {"unit": "pixels", "points": [{**GROUP, "recall50": 0.25}]}
    delays = {"num_tracks": 2, "num_found": 1, "median_us": 50_000.0, "p90_us": None}
    one = {"num_recordings": 1, "num_read": 1, "num_frames": 7, "objects": {"car": 3}}
    run.write_evaluation(
        {
            "evaluated": "2026-01-02 03:04 UTC",
            "checkpoint": "events-digits",
            "dataset": "drives",
            "split": "test",
            "test_frames": 1,
            "num_parameters": 7,
            "thresholds": {"score_thresh": 0.05, "nms_thresh": 0.6},
            "broken": {"drive": "cut"},
            **scores,
            "rules": {"deviations": ["other classes"], "classes": ["car"]},
            "curves": {
                **dict.fromkeys(("by_stillness", "by_size", "by_num_events", "by_latency"), groups),
                "first_detection": {**delays, "share_never": 0.5, "curve": [[0, 0.5]]},
                "reasons": {"by_size": "no sizes"},
                **{"num_recordings": 1, "num_frames": 2, "num_truths": 3, "delta_t": 50_000},
                **{"score_thresh": 0.5, "max_detections": 100, "size": [60, 80]},
            },
            "rates": [
                {"rate": 10.0, "delta_t": 100_000, "mAP": 0.5, "mAP50": None, "num_frames": 4},
                {"rate": 100.0, "delta_t": 10_000, "mAP": 0.25, "mAP50": 0.5, "num_frames": 8},
            ],
            "tracks": {"HOTA": 0.5, "MOTA": -0.5, "IDF1": 0.5},
            "confusion": [[0, 1], [2, 3]],
            "pictures": {"best": [{"file": "best-00.png", "caption": "a", "heading": "b"}]},
            "data": {
                "splits": {"test": {**one, "rates": [900.0], "sides": [[16.0, 3]]}},
                "note": "",
            },
            "notes": ["a note"],
        }
    )
    (run.evaluation / "best-00.png").write_bytes(encode_png(np.zeros((4, 6, 3), np.uint8)))
    times = {"p50": 1.0, "p90": 2.0, "p99": 3.0}
    variants = [
        {"name": "eager", "problem": "", "times": {"window": times, "speedup": 1.0}},
        {"name": "onnx", "problem": "not installed", "times": None},
    ]
    run.write_speed(
        {
            "stages": {"stages": {"read": times}, "window": times, "events": 9.5},
            "delta_t": 50_000,
            "source": "sample",
            "device": "cpu",
            "threads": 1,
            "macs": 7,
            "variants": variants,
            "environment": {"processor": "a CPU"},
        }
    )
    training = {"num_frames": 9, "seconds": 3.0, "frames_per_second": 3.0}
    run.training_file.write_text(json.dumps({**training, "environment": {"python": "3.11"}}))
    return run


def places_in(content, place=()):
    """The path of every value, containers included."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        yield (*place, key)
        # All curves are alike, and so are the points of one.
        if isinstance(value, dict):
            yield from places_in(value, (*place, key))
        elif isinstance(value, list):
            yield from places_in(value[:2], (*place, key))


def altered(content, place, value):
    """A copy with another value at a place; `...` removes the entry."""
    content = copy.deepcopy(content)
    *above, last = place
    inner = content
    for key in above:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return content
