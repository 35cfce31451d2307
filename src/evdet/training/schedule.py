"""The learning rate of every step, as a pure function of the training position."""

import math

from evdet.config import DetectionConfig

__all__ = ["learning_rate"]

LINEAR_START = 20
"""A linear cycle starts at its peak divided by this."""
LINEAR_END = 10_000
"""A linear cycle ends at its peak divided by this."""


def learning_rate(
    config: DetectionConfig, *, epoch: int, batch: int, num_batches: int, max_epochs: int
) -> float:
    """Compute the learning rate of one step; a resumed run has no schedule to restore.

    Args:
        config: `lr`, `lr_schedule` and its parameters.
        epoch: index of the epoch.
        batch: index of the batch in its epoch.
        num_batches: batches of an epoch.
        max_epochs: epochs of the whole run.

    Returns:
        exponential: `lr` times a factor for each epoch before this one. one_cycle: linear increase
        to `lr` over the warm-up's share of all steps, then half a cosine to almost 0.
        one_cycle_linear: linear increase from lr/20, then linear decrease to lr/10000.

    Source:
        Smith and Topin, "Super-convergence", 2018, https://arxiv.org/abs/1708.07120 (one_cycle,
        here with a cosine); Gehrig and Scaramuzza, CVPR 2023, https://arxiv.org/abs/2212.05598
        (one_cycle_linear).
    """
    if config.lr_schedule == "exponential":
        return config.lr * config.lr_scheduler_step_gamma**epoch
    step, num_steps = epoch * num_batches + batch, max_epochs * num_batches
    num_warmup = config.lr_warmup * num_steps
    if config.lr_schedule == "one_cycle_linear":
        return _linear_cycle(config.lr, step, num_steps, num_warmup)
    if step < num_warmup:
        return config.lr * min(1.0, (step + 1) / num_warmup)
    # The step after the last one would have 0, so the last step is above 0.
    share = (step - num_warmup) / (num_steps - num_warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _linear_cycle(peak: float, step: int, num_steps: int, num_warmup: float) -> float:
    first, last = peak / LINEAR_START, peak / LINEAR_END
    if step < num_warmup:
        return first + (peak - first) * step / num_warmup
    share = (step - num_warmup) / max(1.0, num_steps - 1 - num_warmup)
    return peak + (last - peak) * min(1.0, share)
