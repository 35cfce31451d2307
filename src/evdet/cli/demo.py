"""`evdet demo`: an empty folder -> a trained detector and its report."""

import dataclasses
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from evdet.cli.evaluate import EvaluateOptions, evaluate
from evdet.cli.options import Flag
from evdet.cli.report import ReportOptions, report
from evdet.cli.simulate import SimulateOptions, simulate
from evdet.cli.train import describe_result, keep_record
from evdet.config import DetectionConfig
from evdet.configs import shipped_config
from evdet.runs import RunFolder

__all__ = ["DemoOptions", "demo"]


# Two seconds each: neighbouring frames are alike, so many short recordings train better than few
# long ones.
RECORDINGS = SimulateOptions(output=Path(), train=1200, val=24, test=48, minutes=42.4)


def _quick() -> DetectionConfig:
    return shipped_config("moving_mnist_quick.yaml")


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Train on Moving MNIST in minutes, evaluate on unseen digits, and write a report."""

    events: Flag = False
    """Simulate event recordings, and train on them with events_digits_quick.yaml."""
    configuration: tyro.conf.OmitArgPrefixes[DetectionConfig] = field(default_factory=_quick)
    """The configuration."""


def demo(options: DemoOptions) -> None:
    """Run the demo and list its files."""
    # Here, because Lightning doubles the time of `evdet demo --help`.
    from evdet.training import train

    config = options.configuration
    config = dataclasses.replace(config, root_dir=str(_free(Path(config.root_dir))))
    if options.events:
        config = _with_recordings(config)
        print(f"training on {config.dataset_path}; the run's folder is {config.root_dir}")
    else:
        print(f"training on Moving MNIST; the run's folder is {config.root_dir}")
    result = train(config)
    if not result.is_first_process:
        return
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


def _with_recordings(config: DetectionConfig) -> DetectionConfig:
    """Simulate the recordings, unless an earlier demo has."""
    folder = Path(config.dataset_path)
    if not (folder / "simulation.yaml").exists():
        print(f"simulating event recordings of digits in {folder}")
        simulate(replace(RECORDINGS, output=folder, workers=os.cpu_count() or 1))
    return config


def _free(folder: Path) -> Path:
    """The folder itself, or a numbered one beside it: a demo never overwrites another."""
    candidates = [folder, *(folder.with_name(f"{folder.name}-{n}") for n in range(2, 1000))]
    return next((path for path in candidates if not path.exists()), folder)
