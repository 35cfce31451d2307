"""A run that is interrupted and resumed ends like one that was never stopped, bit for bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from evdet.boxes import BOX_DTYPE
from evdet.detectors.checkpoints import CheckpointError, load_checkpoint, search_latest_checkpoint
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.report import read_scalars
from evdet.training import TrainingError, train
from evdet.training.callbacks import CheckpointWriter, ValidationPictures

SCRIPT = Path(__file__).with_name("killed_run.py")
LAST_BATCH = 5
ALWAYS = {"checkpoint_every_minutes": 0.0, "lr_schedule": "one_cycle"}


class PowerCutError(Exception):
    pass


def interrupt(monkeypatch, epoch, batch):
    """Stop the run after a batch, or, with batch -1, in the middle of the epoch's validation."""
    owner, name = CheckpointWriter, "on_train_batch_end"
    if batch < 0:
        owner, name = ValidationPictures, "on_validation_batch_end"
    hook = getattr(owner, name)

    def then_stop(self, trainer, *rest):
        hook(self, trainer, *rest)
        if trainer.current_epoch == epoch and batch in (-1, trainer.fit_loop.batch_idx):
            raise PowerCutError

    monkeypatch.setattr(owner, name, then_stop)


def assert_same_end(folder, other, last_steps=(LAST_BATCH, 2 * LAST_BATCH + 1)):
    """Weights, optimiser, memory, random states and the whole history are the same."""
    first = load_checkpoint(search_latest_checkpoint(folder))
    second = load_checkpoint(search_latest_checkpoint(other))
    for checkpoint in (first, second):
        assert checkpoint["callbacks"]["EpochLog"].pop("seconds") > 0
    for name in ("state_dict", "optimizer_states", "evdet", "global_step", "callbacks"):
        assert_identical(first[name], second[name])
    history, others = read_scalars(folder / "logs"), read_scalars(other / "logs")
    assert history == others
    assert [step for step, _ in history["val_map"]] == list(last_steps)


def assert_identical(a, b):
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_identical(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_identical(left, right)
    else:
        assert a == b


@pytest.fixture(scope="module")
def whole_run(tiny, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    train(tiny(folder, **ALWAYS))
    return folder


@pytest.mark.parametrize(
    "stop", [(0, 0), (1, 2), (0, LAST_BATCH), (1, -1)], ids=["first", "middle", "last", "val"]
)
def test_an_interrupted_run_ends_the_same(tiny, whole_run, tmp_path, monkeypatch, stop):
    config = tiny(tmp_path, **ALWAYS)
    with monkeypatch.context() as patch:
        interrupt(patch, *stop)
        with pytest.raises(PowerCutError):
            train(config)

    train(config, resume="auto")

    assert_same_end(tmp_path, whole_run)


AVERAGED = {**ALWAYS, "ema_decay": 0.9, "accumulate_batches": 2, "optimizer": "adamw"}


@pytest.fixture(scope="module")
def averaged_run(tiny, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("averaged")
    train(tiny(folder, **AVERAGED))
    return folder


@pytest.mark.parametrize("stop", [(1, 2), (0, LAST_BATCH), (1, -1)], ids=["middle", "last", "val"])
def test_a_run_with_averages_and_accumulation_ends_the_same(
    tiny, averaged_run, tmp_path, monkeypatch, stop
):
    config = tiny(tmp_path / "cut", **AVERAGED)
    with monkeypatch.context() as patch:
        interrupt(patch, *stop)
        with pytest.raises(PowerCutError):
            train(config)

    train(config, resume="auto")

    # Two batches a step.
    assert_same_end(tmp_path / "cut", averaged_run, last_steps=(2, 5))
    checkpoint = load_checkpoint(search_latest_checkpoint(tmp_path / "cut"))
    # What is loaded is the average, and the weights that train on are kept beside it.
    average, current = checkpoint["state_dict"], checkpoint["current_model_state"]
    assert any(not torch.equal(average[name], current[name]) for name in average)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A data set of event recordings; one of them breaks off."""
    root, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    (root / "label_map_dictionary.json").write_text('{"0": "car"}')
    for number, split in enumerate(("train", "train", "train", "val")):
        events = np.zeros(3000, EVENT_DTYPE)
        events["t"] = np.sort(rng.integers(0, 600_000, len(events)))
        events["x"], events["y"] = rng.integers(0, 32, (2, len(events)))
        (root / split).mkdir(exist_ok=True)
        path = root / split / f"{number}_td.dat"
        write_dat(path, [events], SensorSize(32, 32))
        if number == 1:
            content = bytearray(path.read_bytes())
            content[-8000 + 4 : -8000 + 6] = b"\xff\x3f"  # x = 16383
            path.write_bytes(content)
        boxes = np.zeros(12, BOX_DTYPE)
        boxes["t"] = np.arange(1, 13) * 50_000
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 4, 6, 20, 16
        np.save(root / split / f"{number}_bbox.npy", boxes)
    return root


# Mixed sampling has lanes of both other kinds.
@pytest.mark.parametrize(
    "sampling",
    [
        "mixed",
        pytest.param("stream", marks=pytest.mark.slow),
        pytest.param("random", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_on_recordings_ends_the_same(
    tiny, recordings, tmp_path, monkeypatch, sampling
):
    def config(name):
        return tiny(
            tmp_path / name, **ALWAYS, dataset_path=str(recordings), sampling=sampling,
            hflip=0.5, event_drop=0.5,
        )  # fmt: skip

    train(config("whole"))
    with monkeypatch.context() as patch:
        interrupt(patch, 1, 2)
        with pytest.raises(PowerCutError):
            train(config("resumed"))
    train(config("resumed"), resume="auto")

    first, second = (
        load_checkpoint(search_latest_checkpoint(tmp_path / name)) for name in ("whole", "resumed")
    )
    for name in ("state_dict", "optimizer_states", "evdet", "global_step"):
        assert_identical(first[name], second[name])


def test_a_recording_that_breaks_is_counted_or_stops_a_strict_run(
    tiny, recordings, tmp_path, caplog
):
    caplog.set_level("INFO")
    options = {"dataset_path": str(recordings), "max_epochs": 1}
    train(tiny(tmp_path / "lenient", **options))
    assert "epoch 0: 1 recording truncated, corrupt or not readable: 1\n" in caplog.text

    with pytest.raises(RecordingError, match=r"1_td\.dat"):
        train(tiny(tmp_path / "strict", **options, strict=True))


def test_resuming_from_an_epochs_end_ends_the_same(tiny, whole_run, tmp_path):
    train(tiny(tmp_path, **ALWAYS), resume=next(whole_run.rglob("epoch=0-*.ckpt")))

    first, second = (load_checkpoint(search_latest_checkpoint(f)) for f in (whole_run, tmp_path))
    for name in ("state_dict", "optimizer_states", "evdet", "global_step"):
        assert_identical(first[name], second[name])


def test_a_finished_run_has_nothing_left_to_train(tiny, whole_run):
    before = search_latest_checkpoint(whole_run).read_bytes()

    with pytest.raises(TrainingError, match=r"after 2 epochs.*--max-epochs"):
        train(tiny(whole_run, **ALWAYS), resume="auto")

    assert search_latest_checkpoint(whole_run).read_bytes() == before


def test_a_new_run_does_not_overwrite_an_old_one(tiny, whole_run):
    with pytest.raises(TrainingError, match=r"holds the checkpoints of an earlier run.*--resume"):
        train(tiny(whole_run))


def test_resuming_needs_a_checkpoint(tiny, tmp_path):
    with pytest.raises(CheckpointError, match=r"\*\.ckpt"):
        train(tiny(tmp_path), resume="auto")


def test_another_model_is_not_resumed(tiny, whole_run, tmp_path):
    with pytest.raises(CheckpointError, match=r"another model.*\(8, 4, 3, 3\)"):
        train(tiny(tmp_path, head_channels=8), resume=search_latest_checkpoint(whole_run))


def test_lanes_continue_only_in_as_many_processes(tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 0, 2)
        with pytest.raises(PowerCutError):
            train(tiny(tmp_path / "cut", **ALWAYS))
    checkpoint = load_checkpoint(search_latest_checkpoint(tmp_path / "cut"))
    checkpoint["evdet"]["processes"] *= 2
    torch.save(checkpoint, tmp_path / "two.ckpt")

    with pytest.raises(TrainingError, match=r"2 processes and batch_size 2, .* 1 and 2"):
        train(tiny(tmp_path / "run", max_epochs=3), resume=tmp_path / "two.ckpt")


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    "stop", [(0, 0), (1, 2), (0, LAST_BATCH), (1, -1)], ids=["first", "middle", "last", "val"]
)
def test_a_killed_process_resumes_to_the_same_end(tiny, tmp_path, stop, num_workers):
    for name in ("whole", "killed"):
        config = tiny(tmp_path / name, num_workers=num_workers, **ALWAYS)
        write_config(tmp_path / f"{name}.yaml", config)

    assert run_script(tmp_path / "whole.yaml").returncode == 0
    assert run_script(tmp_path / "killed.yaml", *stop).returncode == -signal.SIGKILL
    assert run_script(tmp_path / "killed.yaml").returncode == 0

    assert_same_end(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_with_one_message_and_it_resumes(tiny, tmp_path):
    for name in ("whole", "killed"):
        config = tiny(tmp_path / name, devices=2, strategy="ddp", max_frames_per_epoch=48, **ALWAYS)
        write_config(tmp_path / f"{name}.yaml", config)

    assert run_script(tmp_path / "whole.yaml").returncode == 0
    killed = run_script(tmp_path / "killed.yaml", 0, 2, 1)
    # Whoever notices first: we, by the connection, or Lightning, which looks every 5 seconds.
    errors = [line for line in killed.stderr.splitlines() if line.strip()]
    assert len(errors) == 1
    if killed.returncode == 1:
        assert "a process of this run was lost" in errors[0]
    else:
        assert killed.returncode == -signal.SIGKILL
        assert "terminated with code -9. Forcefully terminating all other processes" in errors[0]
    assert run_script(tmp_path / "killed.yaml").returncode == 0

    assert_same_end(tmp_path / "killed", tmp_path / "whole")


def write_config(path, config):
    path.write_text(yaml.safe_dump({**vars(config), "classes": list(config.classes)}))


def run_script(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
