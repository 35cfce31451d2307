"""The rate curve of `evdet evaluate --rates`: scores at other frame rates than the training's."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from evdet.cli.terminal import tqdm
from evdet.config import TOY_PROBLEM, ConfigError, DetectionConfig
from evdet.evaluation import EvaluatedDetector, PlayedAt, RateScore, score_rates
from evdet.frame_spec import READY_MADE
from evdet.metrics import Protocol
from evdet.models import takes_durations
from evdet.report import check_content
from evdet.runs import RunFolder

__all__ = ["check_rates", "describe_load", "describe_rates", "measure_rates"]

_HIGHEST = 1e5
_LOWEST = 0.01

Play: TypeAlias = Callable[[int], PlayedAt]


def check_rates(rates: Sequence[float]) -> None:
    """Refuse rates that are no frames per second.

    Raises:
        ValueError: the message names the option.
    """
    for rate in rates:
        if not _LOWEST <= rate <= _HIGHEST:
            raise ValueError(
                f"--rates must be from {_LOWEST:g} to {_HIGHEST:g} frames per second, got {rate:g}"
            )


def measure_rates(
    evaluated: EvaluatedDetector,
    config: DetectionConfig,
    rates: Sequence[float],
    play: Play,
    *,
    protocol: Protocol,
) -> list[RateScore]:
    """Score a detector at several frame rates, with a progress bar.

    Args:
        evaluated: the detector.
        config: of the loader, at the training's rate.
        rates: frames per second; each is scored once, from low to high.
        play: plays the data set in time bins of a duration in microseconds.
        protocol: the rules.

    Raises:
        ConfigError: the frames of the data set have a duration that cannot change.
    """
    if config.dataset_path == TOY_PROBLEM or config.preprocess == READY_MADE:
        raise ConfigError(
            f"--rates needs recordings of events, and {config.dataset_path} has ready-made frames"
        )
    scored = score_rates(
        evaluated,
        sorted({*rates}),
        play,
        class_names=config.class_names,
        thresholds=config.thresholds,
        protocol=protocol,
    )
    return list(tqdm(scored, desc="Rates", total=len({*rates}), unit="rate", leave=False))


def describe_rates(scores: Sequence[RateScore], evaluated: EvaluatedDetector) -> str:
    """Put the scores into a small table."""
    rows = [f"{'frame rate':14}{'time bin':>10}{'mAP':>8}{'mAP50':>8}{'frames':>9}"]
    rows += [
        f"{f'{one.rate:g} Hz':14}{f'{one.delta_t / 1000:g} ms':>10}{one.map:8.3f}{one.map50:8.3f}"
        f"{one.num_frames:9,}"
        for one in scores
    ]
    trained = 1e6 / evaluated.config.delta_t
    knows = "knows" if takes_durations(evaluated.detector) else "does not know"
    rows.append(f"trained at {trained:g} Hz; its memory {knows} how long a frame lasts")
    return "\n".join(rows)


def describe_load(model: Path, milliseconds: float) -> list[str]:
    """Put into lines how busy a detector is at the rates at which its run was scored.

    Args:
        model: a run folder; another file, or a run that was not scored at several rates, gives no
            line.
        milliseconds: what the detector takes for one time bin.

    Raises:
        ValueError: the run's evaluation is damaged.
    """
    run = RunFolder(model)
    content = run.read_evaluation() if model.is_dir() else None
    if content is None or not content.get("rates"):
        return []
    check_content(run.evaluation_file, content, "evaluation")
    lines = ["", f"{'frame rate':14}{'time bin':>10}{'mAP':>8}{'mAP50':>8}{'busy':>9}"]
    for one in content["rates"]:
        duration = one["delta_t"] / 1000
        scores = "".join(
            f"{'-' if s is None else f'{s:.3f}':>8}" for s in (one["mAP"], one["mAP50"])
        )
        busy = f"{milliseconds / duration:.0%}"
        lines.append(f"{one['rate']:<11g}{'Hz':3}{f'{duration:g} ms':>10}{scores}{busy:>9}")
    return lines
