"""`evdet demo`: an empty folder -> a trained detector and its report."""

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from evdet.cli.evaluate import EvaluateOptions, evaluate
from evdet.cli.options import Flag, check_at_least, counted, default
from evdet.cli.report import ReportOptions, report
from evdet.cli.simulate import SimulateOptions, simulate
from evdet.cli.train import describe_result, keep_record, resuming_explained
from evdet.config import ConfigError, DetectionConfig
from evdet.configs import shipped_config
from evdet.detectors import num_cores
from evdet.runs import RunFolder

__all__ = ["DemoOptions", "demo"]


# Two seconds each: neighbouring frames are alike, so many short recordings train better than few
# long ones.
RECORDINGS = SimulateOptions(output=Path(), train=1900, val=24, test=48, minutes=65.74)
# More were not measured.
_MAX_PROCESSES = 2
_DEFAULT_PROCESSES = "2 on a CPU with two cores or more, otherwise 1"
# PyTorch Lightning starts the other processes of a training with the words of the first one, whose
# environment they have: here they find its process id and its folder.
_FIRST_PROCESS = "EVDET_DEMO"


def _quick() -> DetectionConfig:
    return shipped_config("moving_mnist_quick.yaml")


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Train on Moving MNIST in minutes, evaluate on unseen digits, and write a report."""

    events: Flag = False
    """Simulate event recordings, and train on them with events_digits_quick.yaml."""
    processes: Annotated[int | None, default(_DEFAULT_PROCESSES, "INT")] = None
    """Training processes that share the lanes of --batch-size; they do not change the results."""
    configuration: tyro.conf.OmitArgPrefixes[DetectionConfig] = field(default_factory=_quick)
    """The configuration."""


def demo(options: DemoOptions) -> None:
    """Run the demo and list its files.

    Raises:
        ConfigError: the processes cannot share the lanes equally.
    """
    # Here, because Lightning doubles the time of `evdet demo --help`.
    from evdet.training import train

    check_at_least(1, options, "processes")
    config = _share_lanes(options.configuration, options.processes)
    if _FIRST_PROCESS in os.environ:
        first, _, folder = os.environ[_FIRST_PROCESS].partition(" ")
        threading.Thread(target=_end_after, args=(int(first),), daemon=True).start()
        train(replace(config, root_dir=folder))
        return
    config = replace(config, root_dir=str(_claim(Path(config.root_dir))))
    if options.events:
        _simulate_recordings(Path(config.dataset_path))
    data = config.dataset_path if options.events else "Moving MNIST"
    number = counted(config.devices, "process")
    print(f"training on {data} in {number}; the run's folder is {config.root_dir}", flush=True)
    with _known_to_others(config.root_dir), resuming_explained(config):
        result = train(config)
    keep_record(result)
    print(describe_result(result))
    evaluate(EvaluateOptions(checkpoint=result.root_dir, threads=config.threads))
    report(ReportOptions(runs=(result.root_dir,)))
    run = RunFolder(result.root_dir)
    places = [
        ("report", run.report),
        ("demo video", run.video),
        ("checkpoint", run.best_checkpoint),
        ("configuration", run.config_file),
        ("TensorBoard", run.logs),
    ]
    print("\n".join(f"  {name:16}{path}" for name, path in places))


def _share_lanes(config: DetectionConfig, processes: int | None) -> DetectionConfig:
    """Share the lanes of a batch among processes: on a CPU two train faster than two threads."""
    if processes is None:
        processes = _MAX_PROCESSES if _can_start_processes(config) else 1
        processes = math.gcd(processes, config.batch_size)
    elif processes > 1 and config.devices != 1:
        raise ConfigError("--processes shares the work of one device: leave out --devices")
    elif processes > 1 and sys.platform == "win32":
        raise ConfigError(
            f"--processes {processes}: on Windows a training has one process. Leave it out, or run "
            "evdet in WSL"
        )
    elif config.batch_size % processes:
        raise ConfigError(
            f"--processes {processes} cannot share the {config.batch_size} lanes of --batch-size: "
            "choose a divisor of it"
        )
    if processes == 1:
        return config
    return replace(config, devices=processes, batch_size=config.batch_size // processes)


def _can_start_processes(config: DetectionConfig) -> bool:
    """Whether this is the program on a system with several cores, and the user left it to us."""
    is_program = Path(sys.argv[0]).stem == "evdet"
    on_cpu = config.accelerator == "cpu" or not torch.accelerator.is_available()
    untouched = (config.devices, config.num_nodes, config.strategy) == (1, 1, "auto")
    # Lightning starts a script by its path, which for Windows is a program and not Python.
    many_cores = sys.platform == "linux" and num_cores() >= _MAX_PROCESSES
    return is_program and on_cpu and untouched and many_cores


@contextlib.contextmanager
def _known_to_others(folder: str) -> Iterator[None]:
    os.environ[_FIRST_PROCESS] = f"{os.getpid()} {folder}"
    # They are on this machine, whatever its name resolves to.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    try:
        yield
    finally:
        del os.environ[_FIRST_PROCESS]


def _end_after(first: int) -> None:
    """End this process after the first one, for which it would wait half an hour."""
    while os.getppid() == first:
        time.sleep(1)
    os._exit(1)


def _simulate_recordings(folder: Path) -> None:
    """Simulate the recordings, unless an earlier demo has."""
    if not (folder / "simulation.yaml").exists():
        print(f"simulating event recordings of digits in {folder}", flush=True)
        simulate(replace(RECORDINGS, output=folder, workers=os.cpu_count() or 1))


def _claim(folder: Path) -> Path:
    """Make the folder, or a numbered one beside it: a demo never overwrites another."""
    for candidate in (folder, *(folder.with_name(f"{folder.name}-{n}") for n in range(2, 1000))):
        with contextlib.suppress(FileExistsError):
            candidate.mkdir(parents=True)
            return candidate
    return folder
