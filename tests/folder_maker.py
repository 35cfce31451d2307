"""Small data set folders of recordings and boxes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.data.folder import open_folder
from evdet.data.recording_frames import open_recordings
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.frame_spec import FrameSpec


class FolderMaker:
    """Writes recordings of a 32x24 sensor, with random events and the boxes it is told."""

    size = SensorSize(height=24, width=32)
    delta_t = 1000

    def __init__(self, path):
        self.path = path

    def add(self, name, start, end, label_times=(), *, split="train", rate=0.05):
        """A recording with its first event at `start` and its last at `end`.

        At each label time there is one box, and its height says which of them it is.
        """
        folder = self.path / split
        folder.mkdir(parents=True, exist_ok=True)
        (self.path / "label_map_dictionary.json").write_text(json.dumps({0: "car", 1: "bus"}))
        rng = np.random.default_rng(len(name) + start + end)
        events = np.zeros(max(2, int((end - start) * rate)), EVENT_DTYPE)
        events["t"] = np.sort(rng.integers(start, end + 1, len(events)))
        events["t"][0], events["t"][-1] = start, end
        events["x"] = rng.integers(0, self.size.width, len(events))
        events["y"] = rng.integers(0, self.size.height, len(events))
        events["p"] = rng.integers(0, 2, len(events))
        path = folder / f"{name}_td.dat"
        write_dat(path, [events], self.size)
        boxes = np.zeros(len(label_times), BOX_DTYPE)
        for number, t in enumerate(label_times):
            boxes[number] = (t, 4, 2, 8, number + 1, number % 2, 0, 1)
        if len(label_times):
            np.save(folder / f"{name}_bbox.npy", boxes)
        return path

    def damage(self, path: Path, time: int):
        """Put the first event from `time` on outside the sensor."""
        content = bytearray(path.read_bytes())
        first = path.stat().st_size % 8 or 8
        while True:
            header = content[:first]
            if header.count(b"\n") and content[first - 2 : first] in (b"\x0c\x08", b"\x00\x08"):
                break
            first += 8
        records = np.frombuffer(content, [("t", "<u4"), ("word", "<u4")], offset=first)
        records["word"][np.searchsorted(records["t"], time)] |= (1 << 14) - 1
        path.write_bytes(content)

    def open(self):
        return open_folder(self.path)

    def open_recordings(self, split="train", **options):
        """The recordings of a split; fields of the frame spec stand among the options."""
        fields = {
            "preprocess": "histogram",
            "delta_t": self.delta_t,
            "height": self.size.height,
            "width": self.size.width,
            "in_channels": 2,
        }
        names = {field.name for field in dataclasses.fields(FrameSpec)}
        fields |= {name: options.pop(name) for name in [*options] if name in names}
        return open_recordings(self.open(), split, FrameSpec(**fields), **options)


@pytest.fixture
def maker(tmp_path):
    return FolderMaker(tmp_path / "drives")
