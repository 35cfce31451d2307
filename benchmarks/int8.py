"""`python -m benchmarks.int8`: an exported detector in 8 bits beside float32.

Size, time per time bin on one thread, and the drift over an hour of stream: both models read the
same frames, a recording that is repeated without emptying memory, each with its own memory.
Accuracy: `evdet evaluate` of the two files that this leaves in --folder.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np

from evdet.detectors import OnnxDetector, load_network, load_onnx
from evdet.export import compare_drift, export_onnx, quantize_onnx
from evdet.samples import find_recording
from evdet.sources import open_frames

CALIBRATION, TIMED = 200, 300


def main() -> None:
    """Export, quantise, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="events-digits")
    parser.add_argument("--source", type=Path, default=Path("sample"), help="recording to play")
    parser.add_argument("--bins", type=int, default=72_000, help="time bins; an hour has 72,000")
    parser.add_argument("--every", type=int, default=6000, help="time bins from line to line")
    parser.add_argument("--folder", type=Path, default=Path("runs/int8"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    paths = options.folder / "float32.onnx", options.folder / "int8.onnx"
    if not paths[0].exists():
        export_onnx(load_network(options.checkpoint), paths[0])
    reference = load_onnx(paths[0], num_threads=1)
    stream = open_frames(find_recording(options.source), reference.frame_spec)
    frames = [streamed.frame[None].astype(np.float32) for streamed in stream]
    made = quantize_onnx(*paths, frames[:CALIBRATION])
    models = reference, load_onnx(paths[1], num_threads=1)
    print(f"{made.num_quantized} convolutions and products in 8 bits, {made.num_float} in float32")
    for path, model in zip(paths, models, strict=True):
        milliseconds = median_time(model, frames)
        print(f"{path.name:14}{path.stat().st_size / 1e6:6.2f} MB{milliseconds:8.2f} ms a time bin")
    print(f"{'time bins':>10}{'memory':>10}{'boxes':>10}{'found':>9}", flush=True)
    played = itertools.islice(itertools.cycle(frames), options.bins)
    for drift in compare_drift(*models, played, every=options.every):
        numbers = f"{drift.memory:10.1%}{drift.num_boxes:10,}{drift.found:9.1%}"
        print(f"{drift.time_bin:10,}{numbers}", flush=True)


def median_time(model: OnnxDetector, frames: list[np.ndarray]) -> float:
    """Median time of a time bin, in milliseconds of this process on the CPU."""
    memory = model.empty_memory(*frames[0].shape[:1], *frames[0].shape[2:])
    times = []
    for frame in itertools.islice(itertools.cycle(frames), TIMED):
        start = time.process_time()
        _, memory = model.run(frame, memory)
        times.append(time.process_time() - start)
    return float(np.median(times)) * 1e3


if __name__ == "__main__":
    main()
