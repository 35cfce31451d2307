"""A training that a signal ends has a checkpoint, from which it ends like one without a signal."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from evdet.data import LostWorkerError
from evdet.detectors.checkpoints import load_checkpoint
from evdet.processes import BusyError
from evdet.runs import RunFolder
from evdet.training import train
from evdet.training.callbacks import CheckpointWriter, EpochLog, ValidationPictures

from .test_resuming import assert_identical

RARELY = {"checkpoint_every_minutes": 1e6}
LAST_BATCH = 5


def signal_after(monkeypatch, epoch, batch, number=signal.SIGINT):
    """Send a signal in a batch; with batch -1 in the epoch's validation."""
    owner, name = EpochLog, "on_train_batch_end"
    if batch < 0:
        owner, name = ValidationPictures, "on_validation_batch_end"
    hook = getattr(owner, name)

    def then_signal(self, trainer, *rest):
        if trainer.current_epoch == epoch and batch in (-1, trainer.fit_loop.batch_idx):
            os.kill(os.getpid(), number)
        hook(self, trainer, *rest)

    monkeypatch.setattr(owner, name, then_signal)


def end_of(folder):
    checkpoint = load_checkpoint(folder / "checkpoints" / "last.ckpt")
    checkpoint["callbacks"]["EpochLog"].pop("seconds")
    return [
        checkpoint[name]
        for name in ("state_dict", "optimizer_states", "evdet", "global_step", "callbacks")
    ]


@pytest.fixture(scope="module")
def whole_run(tiny, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    train(tiny(folder, **RARELY))
    return end_of(folder)


@pytest.mark.parametrize(
    ("stop", "position"),
    [((0, 0), [0, 1]), ((1, 2), [1, 3]), ((0, LAST_BATCH), [0, LAST_BATCH]), ((1, -1), [1, 5])],
    ids=["first", "middle", "last", "val"],
)
def test_ctrl_c_leaves_a_checkpoint_that_goes_on_exactly(
    tiny, whole_run, tmp_path, monkeypatch, stop, position
):
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        signal_after(patch, *stop)
        with pytest.raises(KeyboardInterrupt):
            train(tiny(tmp_path, **RARELY))
    assert signal.getsignal(signal.SIGINT) is handler
    assert load_checkpoint(tmp_path / "checkpoints/last.ckpt")["evdet"]["position"] == position

    train(tiny(tmp_path, **RARELY), resume="auto")
    assert_identical(end_of(tmp_path), whole_run)


def test_accumulated_gradients_are_finished_first(tiny, tmp_path, monkeypatch):
    signal_after(monkeypatch, 0, 2)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(tmp_path, **RARELY, accumulate_batches=2))
    assert load_checkpoint(tmp_path / "checkpoints/last.ckpt")["evdet"]["position"] == [0, 4]


def test_without_a_handler_sigterm_ends_the_program_with_its_status(tiny, tmp_path, monkeypatch):
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal_after(monkeypatch, 0, 1, signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            train(tiny(tmp_path, **RARELY))
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 143
    assert (tmp_path / "checkpoints/last.ckpt").exists()


def test_an_ignored_signal_does_not_end_a_training(tiny, tmp_path, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal_after(monkeypatch, 0, 1, signal.SIGHUP)
    try:
        train(tiny(tmp_path, **RARELY, max_epochs=1))
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are found by their parent")
def test_a_killed_worker_leaves_a_checkpoint_that_goes_on_exactly(
    tiny, whole_run, tmp_path, monkeypatch
):
    from multiprocessing import active_children

    hook = CheckpointWriter.on_train_batch_end

    def kill_workers(self, trainer, *rest):
        hook(self, trainer, *rest)
        if (trainer.current_epoch, trainer.fit_loop.batch_idx) == (0, 1):
            for child in active_children():
                child.kill()
                child.join()

    config = tiny(tmp_path, **RARELY, num_workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "on_train_batch_end", kill_workers)
        with pytest.raises(LostWorkerError, match="--num-workers"):
            train(config)
    position = load_checkpoint(tmp_path / "checkpoints/last.ckpt")["evdet"]["position"]
    assert position[0] == 0
    assert position[1] >= 2

    train(config, resume="auto")
    assert_identical(end_of(tmp_path), whole_run)


def test_two_processes_do_not_train_in_one_folder(tiny, tmp_path):
    program = (
        "import sys, time; from evdet.processes import only_writer\n"
        "with only_writer(sys.argv[1], busy=''): print(flush=True); time.sleep(60)"
    )
    lock = RunFolder(tmp_path).training_lock
    other = subprocess.Popen([sys.executable, "-c", program, lock], stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(BusyError, match=r"another process trains in .*--root-dir"):
        train(tiny(tmp_path))
    assert not RunFolder(tmp_path).config_file.exists()
    other.kill()
    other.communicate()
    train(tiny(tmp_path, max_epochs=1))
    assert not lock.exists()
