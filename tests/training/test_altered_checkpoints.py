"""A checkpoint in which one value is altered is refused in one line, or trains to the same end."""

import copy
import math
import random
import shutil

import pytest
import torch

from evdet.config import ConfigError
from evdet.detectors import CheckpointError, load_checkpoint, load_network
from evdet.training import TrainingError, train

from .test_resuming import PowerCutError, assert_identical, interrupt

REPLACEMENTS = (
    None,
    -1,
    7,
    "text",
    [],
    {},
    math.nan,
    torch.zeros(3, 1),
    torch.tensor(math.nan),
    torch.zeros(2, dtype=torch.complex64),
)
REFUSALS = (CheckpointError, ConfigError, TrainingError)
NUM_SAMPLED = 6
CONFIG = {"checkpoint_every_minutes": 0.0, "ema_decay": 0.9, "optimizer": "adamw"}


@pytest.fixture(scope="module")
def cut_run(tiny, tmp_path_factory):
    """A run that was cut in its second epoch: its checkpoint, and the end without the cut."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("altered")
    train(tiny(root / "whole", **CONFIG))
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, 1, 3)
        with pytest.raises(PowerCutError):
            train(tiny(root / "cut", **CONFIG))
    return load_checkpoint(root / "cut/checkpoints/last.ckpt"), end_of(root / "whole")


def end_of(folder):
    checkpoint = load_checkpoint(folder / "checkpoints" / "last.ckpt")
    checkpoint["callbacks"]["EpochLog"].pop("seconds")
    return [checkpoint[name] for name in ("state_dict", "optimizer_states", "evdet", "callbacks")]


def paths_of(value, path=()):
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else ()
    parts = enumerate(value) if isinstance(value, list) else parts
    for key, part in parts:
        yield from paths_of(part, (*path, key))


def altered(content, path, replacement):
    content = copy.deepcopy(content)
    place = content
    for key in path[:-1]:
        place = place[key]
    if replacement is del_:
        del place[path[-1]]
    else:
        place[path[-1]] = replacement
    return content


def del_():
    """Stands for an entry that is not there."""


def refusal(call, *arguments, **options):
    """The message with which a call refuses its arguments; None where it succeeds."""
    try:
        call(*arguments, **options)
    except REFUSALS as error:
        return str(error)
    return None


def check(tiny, folder, whole, content, path):
    torch.save(content, folder / "a.ckpt")
    config = tiny(folder / "run", **CONFIG)
    message = refusal(train, config, resume=folder / "a.ckpt")
    if message is not None:
        assert "\n" not in message, (path, message)
        assert len(message) < 1500, path
        return
    # What it may change is what is measured or remembered, not what is trained.
    for found, wanted in zip(end_of(folder / "run")[:3], whole[:3], strict=True):
        assert_identical(found, wanted)


def all_cases(content):
    for path in paths_of(content):
        yield path, del_
        for replacement in REPLACEMENTS:
            yield path, replacement


def test_resuming_an_altered_checkpoint_is_refused_or_exact(tiny, cut_run, tmp_path):
    content, whole = cut_run
    cases = list(all_cases(content))
    for index, (path, replacement) in enumerate(random.Random(0).sample(cases, NUM_SAMPLED)):
        folder = tmp_path / str(index)
        folder.mkdir()
        check(tiny, folder, whole, altered(content, path, replacement), (path, replacement))


@pytest.mark.parametrize(
    "path",
    [
        ("optimizer_states",),
        ("optimizer_states", 0, "state"),
        ("optimizer_states", 0, "state", 3),
        ("optimizer_states", 0, "state", 3, "exp_avg"),
        ("optimizer_states", 0, "param_groups"),
        ("loops",),
        ("loops", "fit_loop"),
        ("loops", "fit_loop", "epoch_loop.batch_progress", "current", "ready"),
        ("callbacks",),
        ("callbacks", "CheckpointWriter"),
        ("callbacks", "EMAWeightAveraging"),
        ("evdet",),
        ("evdet", "position"),
        ("evdet", "processes"),
        ("evdet", "processes", 0, "memory"),
        ("evdet", "processes", 0, "random_state"),
        ("current_model_state",),
        ("averaging_state",),
        ("global_step",),
        ("epoch",),
    ],
    ids=str,
)
def test_a_state_that_is_missing_or_of_another_kind_is_refused(tiny, cut_run, tmp_path, path):
    for replacement in (del_, "text", torch.zeros(3, 1)):
        torch.save(altered(cut_run[0], path, replacement), tmp_path / "a.ckpt")
        with pytest.raises(REFUSALS):
            train(tiny(tmp_path / "run", **CONFIG), resume=tmp_path / "a.ckpt")
        assert not (tmp_path / "run/config.yaml").exists()


@pytest.mark.parametrize("part", ["state_dict", "hyper_parameters"])
def test_a_detector_of_an_altered_checkpoint_is_refused_or_works(cut_run, tmp_path, part):
    cases = [(path, new) for path, new in all_cases(cut_run[0]) if path[0] == part]
    for path, replacement in random.Random(1).sample(cases, 15):
        torch.save(altered(cut_run[0], path, replacement), tmp_path / "a.ckpt")
        message = refusal(load_network, tmp_path / "a.ckpt")
        assert message is None or ("\n" not in message and len(message) < 1500), path


def cases_of_resuming(content):
    """Those of `all_cases` that differ: all weights and all moments are alike."""
    for index, (path, replacement) in enumerate(all_cases(content)):
        if path[0] in ("state_dict", "current_model_state") and index % 7:
            continue
        if path[:3:2] == ("optimizer_states", "state") and path[3:4] not in ((), (0,)):
            continue
        yield path, replacement


# All of them take longer than a test may.
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_an_altered_value_is_refused_or_exact(tiny, cut_run, tmp_path, seed):
    content, whole = cut_run
    cases = list(cases_of_resuming(content))
    failed = []
    for index, (path, replacement) in enumerate(random.Random(seed).sample(cases, 400)):
        folder = tmp_path / str(index)
        folder.mkdir()
        try:
            check(tiny, folder, whole, altered(content, path, replacement), (path, replacement))
        except Exception as error:
            failed.append(f"{path} {replacement!r}: {type(error).__name__} {str(error)[:80]}")
        shutil.rmtree(folder)
    assert failed == []
