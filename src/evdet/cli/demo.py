"""`evdet demo`: from an empty folder to a trained detector and its report."""

import dataclasses
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from evdet.cli.evaluate import EvaluateOptions, evaluate
from evdet.cli.report import ReportOptions, report
from evdet.cli.simulate import SimulateOptions, simulate
from evdet.cli.train import describe_result, keep_record
from evdet.config import DetectionConfig
from evdet.configs import shipped_config
from evdet.runs import RunFolder

__all__ = ["DemoOptions", "demo"]


# Two seconds each: neighbouring frames teach little, so many short recordings are worth more than
# few long ones.
RECORDINGS = SimulateOptions(output=Path(), train=1200, val=24, test=48, minutes=42.4)


def _quick() -> DetectionConfig:
    return shipped_config("moving_mnist_quick.yaml")


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Train on Moving MNIST in minutes, evaluate on unseen digits, and show the result."""

    events: tyro.conf.FlagCreatePairsOff[bool] = False
    """Train on simulated event recordings of digits instead, which are made first;
    events_digits_quick.yaml is the configuration then."""
    configuration: tyro.conf.OmitArgPrefixes[DetectionConfig] = field(default_factory=_quick)
    """The configuration; moving_mnist_quick.yaml unless an option says otherwise."""


def demo(options: DemoOptions) -> None:
    """Run the demo and say where everything is.

    Args:
        options: what the user asked for.
    """
    from evdet.training import train

    config = options.configuration
    config = dataclasses.replace(config, root_dir=str(_free(Path(config.root_dir))))
    if options.events:
        config = _with_recordings(config)
        print(f"training on {config.dataset_path}; everything goes to {config.root_dir}")
    else:
        print(f"training on Moving MNIST; everything goes to {config.root_dir}")
    result = train(config)
    if not result.is_first_process:
        return
    keep_record(result)
    print(describe_result(result))
    evaluate(EvaluateOptions(checkpoint=result.root_dir))
    report(ReportOptions(runs=(result.root_dir,)))
    run = RunFolder(result.root_dir)
    places = [
        ("report", run.report),
        ("demo video", run.video),
        ("checkpoint", run.best_checkpoint),
        ("configuration", run.config_file),
        ("TensorBoard", run.logs),
    ]
    print("\n".join(f"  {what:16}{where}" for what, where in places))


def _with_recordings(config: DetectionConfig) -> DetectionConfig:
    """The same on recordings that are made now, unless an earlier demo has made them."""
    folder = Path(config.dataset_path)
    if not (folder / "simulation.yaml").exists():
        print(f"simulating event recordings of digits in {folder}")
        simulate(replace(RECORDINGS, output=folder, workers=os.cpu_count() or 1))
    return config


def _free(folder: Path) -> Path:
    """The folder itself, or a numbered one beside it: a demo never overwrites another."""
    candidates = [folder, *(folder.with_name(f"{folder.name}-{n}") for n in range(2, 1000))]
    return next((path for path in candidates if not path.exists()), folder)
