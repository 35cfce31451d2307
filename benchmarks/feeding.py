"""How fast clips for training come from recordings, and from ready-made frames of the same events.

`python -m benchmarks.feeding` prints this table alone.
"""

import json
import logging
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import torch

from benchmarks.measure import Row
from evdet.boxes import BOX_DTYPE
from evdet.data import (
    FrameSource,
    SequentialClips,
    StreamLoader,
    open_folder,
    open_recordings,
    open_tensors,
)
from evdet.data.augment import AugmentRules
from evdet.events import EVENT_DTYPE, Events, SensorSize, open_recording
from evdet.events.dat import write_dat
from evdet.events.representations import get_representation, histogram
from evdet.frame_spec import FrameSpec

__all__ = ["open_events", "rows", "write_recording"]

SIZE = SensorSize(height=240, width=304)
DELTA_T = 50_000
NUM_TBINS = 10
NUM_SECONDS = 20
NUM_EDGES = 20
SPEED = 300  # pixels per second and edge: 1.44 million events a second in all
TARGET = 300


def rows() -> list[Row]:
    """Feed 20 s of moving edges at 1.4 M events/s, 304x240, in bins of 50 ms.

    Returns:
        Frames per second of CPU time on one core, from file to batch, and the files' sizes.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return list(_rows(Path(folder)))
    finally:
        torch.set_num_threads(num_threads)


def _rows(root: Path) -> Iterator[Row]:
    # Here: what feeds recordings is also measured where it is not installed.
    import hdf5plugin

    recording = write_recording(root / "events")
    num_events = len(open_recording(recording))
    what = f"{num_events / NUM_SECONDS / 1e6:.2f} M events/s"
    source = open_events(root / "events", "histogram")
    yield _row(f"DAT -> histogram, {what}, 1 core", source, recording, target=TARGET)
    stacked = open_events(root / "events", "stacked_histogram")
    yield _row("DAT -> stacked_histogram, 1 core", stacked, recording)
    augmented = AugmentRules(flip_prob=1.0, zoom_in_prob=1.0, drop_prob=1.0)
    yield _row("DAT -> histogram, zoomed and thinned, 1 core", source, recording, augmented)
    filtered = open_events(root / "events", "histogram", background_filter=10_000)
    yield _row("DAT -> noise filter -> histogram, 1 core", filtered, recording)
    for name, options in (
        ("gzip", {"compression": "gzip", "compression_opts": 4}),
        ("Blosc-zstd", hdf5plugin.Blosc(cname="zstd", clevel=1)),
        ("uncompressed", {}),
    ):
        tensors = _write_tensors(root / name, recording, options)
        ready = open_tensors(open_folder(root / name), "train", num_tbins=NUM_TBINS)
        yield _row(f"ready-made bytes, HDF5 {name}, 1 core", ready, tensors)


def _row(
    what: str,
    source: FrameSource,
    file: Path,
    augment: AugmentRules | None = None,
    *,
    target: int | None = None,
) -> Row:
    loader = StreamLoader(SequentialClips(source=source, augment=augment), batch_size=1)
    megabytes = file.stat().st_size / 1e6
    goal = f"target {target:,}; " if target else ""
    return Row(
        what=what, value=_rate(loader), unit="frames/s", note=f"{goal}file of {megabytes:.0f} MB"
    )


def _rate(loader: StreamLoader) -> float:
    """The best of some epochs: other processes on the machine only slow it down."""
    next(iter(loader))  # compiles
    rates = []
    for _ in range(4):
        loader.set_position(0)
        start, num_frames = time.process_time(), 0
        for batch in loader:
            num_frames += batch["frame_is_labeled"].numel()
        rates.append(num_frames / (time.process_time() - start))
    return max(rates)


def open_events(root: Path, preprocess: str, *, background_filter: int = 0) -> FrameSource:
    return open_recordings(
        open_folder(root),
        "train",
        FrameSpec(
            preprocess=preprocess,
            delta_t=DELTA_T,
            height=SIZE.height,
            width=SIZE.width,
            in_channels=get_representation(preprocess).num_channels,
            background_filter=background_filter,
        ),
        num_tbins=NUM_TBINS,
    )


def write_recording(root: Path) -> Path:
    path = _make_folder(root) / "edges_td.dat"
    write_dat(path, _moving_edges(), SIZE)
    return path


def _moving_edges() -> Iterator[Events]:
    """Vertical edges that run over the sensor, half of them brighter, one block a second."""
    rng = np.random.default_rng(0)
    offsets = rng.uniform(0, SIZE.width, NUM_EDGES)
    num_events = SPEED * SIZE.height * NUM_EDGES
    for second in range(NUM_SECONDS):
        events = np.empty(num_events, EVENT_DTYPE)
        times = np.sort(rng.integers(second * 1_000_000, (second + 1) * 1_000_000, num_events))
        edge = rng.integers(0, NUM_EDGES, num_events)
        way = np.where(edge % 3, SPEED, -SPEED) * times / 1e6
        events["t"] = times
        events["x"] = (offsets[edge] + way) % SIZE.width
        events["y"] = rng.integers(0, SIZE.height, num_events)
        events["p"] = edge % 2
        yield events


def _write_tensors(root: Path, recording: Path, options: dict[str, object]) -> Path:
    """The same histograms as Metavision's tools store them: one byte per value."""
    path = _make_folder(root) / "edges.h5"
    bins = open_recording(recording).slices(DELTA_T)
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "data",
            shape=(NUM_SECONDS * 1_000_000 // DELTA_T, 2, *SIZE),
            dtype=np.uint8,
            chunks=(1, 2, *SIZE),
            **options,
        )
        data.attrs["delta_t"] = DELTA_T
        for number, (start, delta_t, events) in enumerate(islice(bins, len(data))):
            frame = histogram(events, SIZE, start=start, delta_t=delta_t)
            data[number] = np.round(frame * 255)
    return path


def _make_folder(root: Path) -> Path:
    folder = root / "train"
    folder.mkdir(parents=True)
    (root / "label_map_dictionary.json").write_text(json.dumps({"0": "car"}))
    boxes = np.zeros(NUM_SECONDS * 4, BOX_DTYPE)
    boxes["t"] = np.arange(1, len(boxes) + 1) * 250_000
    boxes["w"] = boxes["h"] = 50
    np.save(folder / "edges_bbox.npy", boxes)
    return folder


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    for row in rows():
        print(f"{row.what:58}{row.value:>10,.0f}  {row.unit:10} {row.note}")
