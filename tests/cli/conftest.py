"""The toy detector of toy_onnx.py, and a folder of recordings."""

import json

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.dat.reader import write_dat
from evdet.labels.files import write_boxes_npy
from toy_onnx import make_toy, toy, toy_path, toy_windows

__all__ = ["make_toy", "toy", "toy_path", "toy_windows"]


@pytest.fixture
def unsplit(tmp_path):
    """Four recordings that are not split yet, one of them twice as long as the others."""
    root = tmp_path / "set"
    root.mkdir()
    for number, name in enumerate("abcd"):
        events = np.zeros(200 if name == "a" else 100, EVENT_DTYPE)
        events["t"] = np.arange(len(events)) * 1000 + number
        events["x"] = number
        write_dat(root / f"{name}_td.dat", [events], SensorSize(60, 80))
        boxes = np.zeros(1, BOX_DTYPE)
        boxes["t"], boxes["w"], boxes["h"], boxes["class_id"] = 50_000, 8, 8, 1
        write_boxes_npy(root / f"{name}_bbox.npy", boxes)
    (root / "label_map_dictionary.json").write_text(json.dumps({0: "car"}))
    return root
