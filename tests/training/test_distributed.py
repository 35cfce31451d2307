"""Two processes compute what one does with twice the lanes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.testing import assert_close

from evdet.detectors.checkpoints import load_checkpoint
from evdet.training.distributed import SyncBatchNorm2d, SyncBatchNormPlugin, gather

SCRIPT = Path(__file__).with_name("child_process.py")


def test_alone_there_is_nothing_to_gather():
    assert gather("x") == ["x"]


def test_alone_synchronised_statistics_are_ones_own():
    ours, theirs, frames = SyncBatchNorm2d(3), nn.BatchNorm2d(3), torch.randn(4, 3, 5, 5)

    assert torch.equal(ours(frames), theirs(frames))
    assert torch.equal(ours.running_var, theirs.running_var)


def test_the_plugin_swaps_layers_and_leaves_names_and_tensors():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.BatchNorm2d(3)))
    before = dict(model.named_parameters()) | dict(model.named_buffers())
    plugin = SyncBatchNormPlugin(on_cpu=True)

    plugin.apply(model)

    assert type(model[1][0]) is SyncBatchNorm2d
    after = dict(model.named_parameters()) | dict(model.named_buffers())
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)
    assert type(plugin.revert(model)[1][0]) is nn.BatchNorm2d


@pytest.mark.slow
@pytest.mark.parametrize(("num_first", "offset"), [(3, 0.0), (3, 100.0), (8, 0.0)])
def test_statistics_of_parts_are_those_of_all_frames(num_first, offset):
    """The second process may have no frame, and a mean may be large."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = SCRIPT.with_name("normalising.py")
    done = subprocess.run(
        [sys.executable, str(script), str(port), str(num_first), str(offset)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def run(mode, path, config):
    path.write_text(yaml.safe_dump({**vars(config), "classes": list(config.classes)}))
    return subprocess.run(
        [sys.executable, str(SCRIPT), mode, str(path)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def run_well(mode, path, config):
    done = run(mode, path, config)
    assert done.returncode == 0, done.stderr


def assert_same_training(tmp_path, steps):
    one, two = (load_checkpoint(tmp_path / n / "checkpoints" / "last.ckpt") for n in "12")
    for name in ("exp_avg", "exp_avg_sq"):
        moments = [
            [state[name] for state in checkpoint["optimizer_states"][0]["state"].values()]
            for checkpoint in (one, two)
        ]
        assert_close(moments[1], moments[0], rtol=1e-4, atol=1e-6)
        assert any(moment.any() for moment in moments[0])
    states = two["optimizer_states"][0]["state"].values()
    assert {float(state["step"]) for state in states} == {steps}
    statistics = [
        {name: value for name, value in checkpoint["state_dict"].items() if "running" in name}
        for checkpoint in (one, two)
    ]
    assert statistics[0]
    assert_close(statistics[1], statistics[0], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("gradient_clip", [0.0, 0.1])
def test_gradients_and_statistics_are_those_of_one_process_with_twice_the_lanes(
    tiny, tmp_path, gradient_clip
):
    """One step: the optimiser's first moment is a tenth of the gradient."""
    step = {
        "max_epochs": 1,
        "max_frames_per_video": 2,
        "max_frames_per_epoch": 8,
        "gradient_clip": gradient_clip,
    }
    run_well("train", tmp_path / "1.yaml", tiny(tmp_path / "1", batch_size=4, **step))
    run_well("train", tmp_path / "2.yaml", tiny(tmp_path / "2", devices=2, strategy="ddp", **step))

    assert_same_training(tmp_path, steps=1)


@pytest.mark.slow
def test_processes_stay_in_step_where_one_or_all_have_no_labels(tiny, tmp_path):
    """Two batches: in the first one process has no labels, in the second neither has."""
    steps = {"max_epochs": 1, "max_frames_per_video": 4, "max_frames_per_epoch": 16}
    run_well("few_labels", tmp_path / "1.yaml", tiny(tmp_path / "1", batch_size=4, **steps))
    run_well(
        "few_labels", tmp_path / "2.yaml", tiny(tmp_path / "2", devices=2, strategy="ddp", **steps)
    )

    assert_same_training(tmp_path, steps=1)


@pytest.mark.slow
def test_metrics_are_scored_once_over_the_frames_of_all_processes(tiny, tmp_path):
    videos = {"val_frames": 48, "max_objects": 1}
    run_well("validate", tmp_path / "1.yaml", tiny(tmp_path / "1", **videos))
    run_well(
        "validate", tmp_path / "2.yaml", tiny(tmp_path / "2", devices=2, strategy="ddp", **videos)
    )

    one, two = (json.loads((tmp_path / n / "scores.json").read_text()) for n in "12")
    assert one == two
    assert one["num_frames"] == 48
    assert 0 < one["map"] < 1
    assert one["logged"] == pytest.approx(one["map"])


@pytest.mark.slow
def test_all_processes_stop_where_one_is_not_finite_and_one_says_so(tiny, tmp_path):
    config = tiny(tmp_path / "run", devices=2, strategy="ddp", max_frames_per_epoch=48)

    done = run("bad_input", tmp_path / "a.yaml", config)

    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(errors) == 1
    assert "not finite: the inputs, in batch 1 of epoch 0" in errors[0]
    report = load_checkpoint(tmp_path / "run" / "checkpoints" / "not_finite.ckpt")["post_mortem"]
    assert report["inputs"].isnan().sum() == 1
