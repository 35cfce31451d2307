"""`python -m benchmarks.threads`: threads of the CPU, on an idle and on a busy machine.

For each number of threads and each policy of waiting it measures detection, evaluation and
training, first alone and then beside one process that computes without end. Policies are read when
OpenMP is loaded, so that each setting has a process of its own. `--busy-only` leaves out the first
half, for a machine that has other users.
"""

import argparse
import dataclasses
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.network import training_step
from evdet.build import build_detector, build_loader, complete_config
from evdet.configs import shipped_config
from evdet.detectors import load_network, load_onnx
from evdet.evaluation import evaluate
from evdet.events.representations import get_representation
from evdet.export import export_onnx
from evdet.models import Detector, DetectorProtocol
from evdet.pipeline import frame_spec_of
from evdet.report import describe_environment
from evdet.samples import sample_recording
from evdet.speed import open_time_bins

_SECONDS = 3.0
"""Of each measurement of time bins, and of training steps."""
_FRAMES = 60
_WARM_UP = 2


# It ends with this process, however that ends.
_COMPUTE = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(10**6))"
_WAITING = {
    "spinning": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spinning briefly": {"GOMP_SPINCOUNT": "1000"},
}


class Setting(NamedTuple):
    """A number of threads, and how they wait."""

    threads: int
    waiting: str

    def environment(self) -> dict[str, str]:
        """The variables of a process with this policy."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
        return kept | _WAITING[self.waiting]


def main() -> None:
    """Measure all settings, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy-only", action="store_true")
    parser.add_argument("--waiting", nargs="+", default=list(_WAITING), choices=_WAITING)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=_SECONDS)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--exported", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        # A sample that does not fill RVT's frame.
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
        torch.set_num_threads(options.measure)
        print(json.dumps(dict(_measure(options.seconds, options.exported))))
        return
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "digits.onnx"
        export_onnx(load_network("events-digits"), exported)
        _print_table(options, exported)


def _print_table(options: argparse.Namespace, exported: Path) -> None:
    for name, value in describe_environment().items():
        print(f"{name:18}{value}")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{'load':18}{load}\n")
    settings = [
        Setting(threads, waiting)
        for threads in options.threads
        for waiting in (options.waiting if threads > 1 else ["passive"])
    ]
    print(f"{'threads, waiting':24}{'machine':10}", "  ".join(f"{name:>19}" for name in _NAMES))
    for setting in settings:
        for is_busy in (True,) if options.busy_only else (False, True):
            with _busy_process(is_busy):
                found = _run(setting, options.seconds, exported)
            print(
                f"{f'{setting.threads}, {setting.waiting}':24}{'busy' if is_busy else 'idle':10}",
                "  ".join(f"{found.get(name, '-'):>19}" for name in _NAMES),
                flush=True,
            )


def _run(setting: Setting, seconds: float, exported: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "benchmarks.threads", "--seconds", str(seconds)]
    command += ["--exported", str(exported)]
    done = subprocess.run(
        [*command, "--measure", str(setting.threads)],
        env=setting.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def _busy_process(is_there: bool) -> Iterator[None]:
    """One process that computes without end."""
    if not is_there:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", _COMPUTE])
    try:
        yield
    finally:
        process.kill()
        process.wait()


_TIME_BINS = {
    "events-digits": "events-digits, ms",
    "rvt_tiny_gen1.yaml": "RVT-Tiny, ms",
    "rvt_base_gen1.yaml": "RVT-Base, ms",
}
_EXPORTED, _EVALUATE, _TRAIN = "digits in ONNX, ms", "evaluate, s", "train, frames/s"
_NAMES = (*_TIME_BINS.values(), _EXPORTED, _EVALUATE, _TRAIN)


def _measure(seconds: float, exported: Path) -> Iterator[tuple[str, str]]:
    """Each measurement of this process, by its name."""
    for model, name in _TIME_BINS.items():
        detector = load_network(model) if model == "events-digits" else _random(model)
        yield name, _time_bins(detector, seconds)
    yield _EXPORTED, _time_bins(load_onnx(exported, num_threads=torch.get_num_threads()), seconds)
    config = complete_config(shipped_config("moving_mnist_quick.yaml"))
    config = dataclasses.replace(config, test_frames=_FRAMES)
    loader = build_loader(config, "test")
    started = time.perf_counter()
    evaluate(
        build_detector(config).eval(),
        loader,
        config.class_names,
        show_frame=loader.get_vis_func(),
        thresholds=config.thresholds,
    )
    yield _EVALUATE, f"{time.perf_counter() - started:.2f}"
    step, num_frames = training_step(config)
    durations = _durations(step, seconds)
    yield _TRAIN, f"{num_frames * len(durations) / sum(durations):.1f}"


def _random(name: str) -> Detector:
    """A detector of a shipped configuration, with random weights, without its data set."""
    config = shipped_config(name)
    channels = get_representation(config.preprocess).num_channels
    return build_detector(dataclasses.replace(config, in_channels=channels)).eval()


def _time_bins(detector: DetectorProtocol, seconds: float) -> str:
    """Milliseconds from raw events to boxes, of a recording's time bins: p50 and p99."""
    bins = open_time_bins(sample_recording(), frame_spec_of(detector))
    source = bins.play()
    memory = None

    def step() -> None:
        nonlocal memory
        with torch.inference_mode():
            _, memory = detector.step(bins.represent(next(source)), memory)

    p50, p99 = np.percentile(_durations(step, seconds), [50, 99]) * 1e3
    return f"p50 {p50:.1f} p99 {p99:.1f}"


def _durations(step: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each call, after some to warm up."""
    for _ in range(_WARM_UP):
        step()
    durations: list[float] = []
    while sum(durations) < seconds:
        started = time.perf_counter()
        step()
        durations.append(time.perf_counter() - started)
    return durations


if __name__ == "__main__":
    main()
