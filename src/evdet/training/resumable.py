"""Check that a checkpoint holds the whole state of a run: a resumed one would differ in silence."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from evdet.detectors import CheckpointError, config_of
from evdet.training.lightning_model import LightningDetectionModel
from evdet.training.resuming import STATE_KEY

__all__ = ["check_position", "check_resumable"]

_PROCESS_KEYS = {"memory", "random_state", "device_random_state"}
_LOOPS = ("fit_loop", "validate_loop", "test_loop", "predict_loop")


def check_position(checkpoint: Mapping[str, Any], path: Path) -> int:
    """Check where a checkpoint's training goes on.

    Returns:
        The steps that were trained.

    Raises:
        CheckpointError: a position is missing or damaged.
    """
    if STATE_KEY not in checkpoint:
        raise CheckpointError(
            f"{path} has no training position and cannot be resumed: --finetune starts a new run "
            "from its weights"
        )
    state, step = checkpoint[STATE_KEY], checkpoint.get("global_step")
    place = state.get("position") if isinstance(state, dict) else None
    if not isinstance(place, list) or len(place) != 2 or not all(map(_is_count, place)):
        raise _damaged(path, "position")
    for name in ("epoch", "global_step"):
        if not _is_count(checkpoint.get(name)):
            raise _damaged(path, name)
    return int(step or 0)


def check_resumable(
    checkpoint: Mapping[str, Any],
    path: Path,
    model: LightningDetectionModel,
    trainer: pl.Trainer,
    *,
    others: Sequence[pl.Callback] = (),
) -> None:
    """Check the state of everything that a resumed run continues.

    Args:
        checkpoint: after `check_position`.
        path: of the checkpoint, for messages.
        model: of the run.
        trainer: of the run.
        others: the callbacks that are not evdet's, which check their state themselves.

    Raises:
        CheckpointError: a state is missing, damaged, or of another position.
    """
    version = checkpoint.get("pytorch-lightning_version")
    if not isinstance(version, str) or re.fullmatch(r"\d+\.\d+[\w.+-]*", version) is None:
        raise _damaged(path, "version of Lightning")
    _check_loops(checkpoint, path, trainer)
    _check_callbacks(checkpoint, path, trainer, others)
    _check_optimizer(checkpoint, path, model)
    _check_processes(checkpoint[STATE_KEY], path, model)
    if config_of(checkpoint).ema_decay and model.config.ema_decay:
        _check_current_weights(checkpoint, path)


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be resumed exactly: its {what} is missing or damaged. Resume from another "
        "checkpoint (--resume-from), or start a new run from its weights (--finetune)"
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 60


def _check_loops(checkpoint: Mapping[str, Any], path: Path, trainer: pl.Trainer) -> None:
    loops = checkpoint.get("loops")
    if not isinstance(loops, dict):
        raise _damaged(path, "loops")
    for name in _LOOPS:
        wanted = getattr(trainer, name).state_dict()
        if not _is_like(loops.get(name), wanted):
            raise _damaged(path, f"loops of {name}")
    counts = loops["fit_loop"]
    epoch, batch = checkpoint[STATE_KEY]["position"]
    steps = counts["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
    read = counts["epoch_loop.batch_progress"]
    epochs = counts["epoch_progress"]["current"]
    agree = (
        epochs["processed"] == epoch
        and epoch - 1 <= epochs["completed"] <= epoch <= epochs["ready"] <= epoch + 1
        and epochs["started"] == epochs["ready"]
        and (not batch or read["current"]["ready"] == batch)
        and all(_is_between_batches(read[name]) for name in ("current", "total"))
        and steps["total"]["completed"] == checkpoint["global_step"]
    )
    if not agree:
        raise _damaged(path, f"position (epoch {epoch}, batch {batch}) differs from its loops, or")


def _is_between_batches(counts: Mapping[str, int]) -> bool:
    """Whether the hooks of a batch were the last thing that was done, or all of it."""
    ready = counts["ready"]
    return (
        ready == counts["started"] == counts["processed"]
        and ready - 1 <= counts["completed"] <= ready
    )


def _is_like(found: Any, wanted: Any) -> bool:
    """Whether a tree has the keys of another, and counts where that has counts."""
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and found.keys() >= wanted.keys()
            and all(_is_like(found[name], wanted[name]) for name in wanted)
        )
    if isinstance(wanted, bool):
        return isinstance(found, bool)
    return _is_count(found) if isinstance(wanted, int) else type(found) is type(wanted)


def _check_callbacks(
    checkpoint: Mapping[str, Any], path: Path, trainer: pl.Trainer, others: Sequence[pl.Callback]
) -> None:
    states = checkpoint.get("callbacks")
    if not isinstance(states, dict):
        raise _damaged(path, "callbacks")
    before = config_of(checkpoint)
    # What the run did not have until now begins without a state.
    new = [
        name for name, had in (("EMA", before.ema_decay), ("Early", before.early_stop)) if not had
    ]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if any(callback is other for other in others):
            continue
        wanted = callback.state_dict()
        state = states.get(callback.state_key)
        is_new = state is None and callback.state_key.startswith(tuple(new))
        if not wanted or is_new:
            continue
        numbers = [(state or {}).get(name) if isinstance(state, dict) else None for name in wanted]
        if not all(_is_number(number) for number in numbers):
            raise _damaged(path, f"state of {callback.state_key}")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and not math.isnan(float(value))  # type: ignore[arg-type]


def _check_optimizer(
    checkpoint: Mapping[str, Any], path: Path, model: LightningDetectionModel
) -> None:
    states, schedulers = checkpoint.get("optimizer_states"), checkpoint.get("lr_schedulers")
    state = states[0] if isinstance(states, list) and len(states) == 1 else None
    if not isinstance(state, dict) or not isinstance(schedulers, list) or schedulers:
        raise _damaged(path, "optimizer")
    fresh = model.configure_optimizers()
    groups = state.get("param_groups")
    group: Any = groups[0] if isinstance(groups, list) and len(groups) == 1 else None
    settings = fresh.state_dict()["param_groups"][0]
    # The two optimizers differ in this one; a run may change between them.
    settings.pop("decoupled_weight_decay", None)
    for name, wanted in settings.items():
        if not isinstance(group, dict) or name not in group or not _is_option(group[name], wanted):
            raise _damaged(path, f"optimizer's {name}")
    decay = config_of(checkpoint).weight_decay
    is_same = group["eps"] == settings["eps"] and list(group["betas"]) == list(settings["betas"])
    if not is_same or group["weight_decay"] != decay:
        raise _damaged(path, "optimizer's eps, betas or weight_decay")
    weights = [weight for group in fresh.param_groups for weight in group["params"]]
    moments: Any = state.get("state")
    is_empty = moments == {} and not checkpoint["global_step"]
    is_whole = isinstance(moments, dict) and moments.keys() == set(range(len(weights)))
    if not (is_empty or is_whole):
        raise _damaged(path, "optimizer's state")
    for index, weight in enumerate(weights if moments else []):
        if not _are_moments(moments[index], weight):
            raise _damaged(path, f"optimizer's state of weight {index}")


def _is_option(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(found, (list, tuple))
            and len(found) == len(wanted)
            and all(_is_option(one, other) for one, other in zip(found, wanted, strict=True))
        )
    if type(wanted) is float:
        return _is_number(found) and 0 <= found < math.inf
    if wanted is None:
        return found is None or isinstance(found, bool)
    return type(found) is type(wanted) and found == wanted


def _are_moments(found: Any, weight: Tensor) -> bool:
    if not isinstance(found, dict) or found.keys() != {"step", "exp_avg", "exp_avg_sq"}:
        return False
    steps, *averages = (found[name] for name in ("step", "exp_avg", "exp_avg_sq"))
    if not isinstance(steps, Tensor) or steps.shape or not 0 < float(steps) < math.inf:
        return False
    return all(
        isinstance(average, Tensor)
        and average.shape == weight.shape
        and average.is_floating_point()
        and bool(torch.isfinite(average).all())
        for average in averages
    )


def _check_processes(state: Mapping[str, Any], path: Path, model: LightningDetectionModel) -> None:
    processes = state.get("processes")
    if not isinstance(processes, list) or not processes:
        raise _damaged(path, "state of the processes")
    size = torch.get_rng_state().shape
    # At the end of an epoch memory is not read.
    shapes = _memory_shapes(model) if state["position"][1] else None
    for process in processes:
        if not isinstance(process, dict) or not process.keys() >= _PROCESS_KEYS:
            raise _damaged(path, "state of the processes")
        random, device = process["random_state"], process["device_random_state"]
        if not (_is_bytes(random) and random.shape == size) or not (
            device is None or _is_bytes(device)
        ):
            raise _damaged(path, "random state")
        if shapes is not None and not _is_memory(process["memory"], shapes):
            raise _damaged(path, "memory")


def _memory_shapes(model: LightningDetectionModel) -> list[torch.Size]:
    """The shape of each part of the memory, without the lanes."""
    spec, detector = model.config.frame_spec, model.detector
    device = next(detector.parameters()).device
    frame = torch.zeros(1, 1, spec.in_channels, spec.height, spec.width, device=device)
    detector.eval()
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        _, memory = detector.find_candidates(frame, None)
    detector.train()
    return [part.shape[1:] for part in memory]


def _is_memory(found: Any, shapes: list[torch.Size]) -> bool:
    return (
        isinstance(found, list)
        and len(found) == len(shapes)
        and all(
            isinstance(part, Tensor)
            and part.is_floating_point()
            and part.shape[1:] == shape
            and len(part) == len(found[0])
            and bool(torch.isfinite(part).all())
            for part, shape in zip(found, shapes, strict=True)
        )
    )


def _is_bytes(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.uint8 and value.ndim == 1


def _check_current_weights(checkpoint: Mapping[str, Any], path: Path) -> None:
    average = checkpoint["state_dict"]
    current: Any = checkpoint.get("current_model_state")
    is_sound = isinstance(current, dict) and current.keys() == average.keys()
    for name in average if is_sound else ():
        weight = current[name]
        is_sound = (
            is_sound
            and isinstance(weight, Tensor)
            and weight.shape == average[name].shape
            and weight.dtype == average[name].dtype
            and bool(torch.isfinite(weight).all())
        )
    counts: Any = checkpoint.get("averaging_state")
    is_sound = is_sound and isinstance(counts, dict) and bool(counts)
    for count in counts.values() if is_sound else ():
        is_sound = is_sound and isinstance(count, Tensor) and not count.shape and int(count) >= 0
    if not is_sound:
        raise _damaged(path, "current weights, beside their average,")
