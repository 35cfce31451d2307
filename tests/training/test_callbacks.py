import contextlib
import dataclasses
import logging

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evdet.detectors.checkpoints import CheckpointError, load_checkpoint
from evdet.draw import VideoUnavailableError, decode_png
from evdet.training import LightningDetectionModel, callbacks, train
from evdet.training.checkpoint_io import AtomicCheckpointIO, link_checkpoint


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    torch.set_num_threads(1)
    return train(tiny(tmp_path_factory.mktemp("run"), demo_every=2))


def test_every_epoch_keeps_its_checkpoint_and_last_is_the_newest(run):
    files = {path.name: path.read_bytes() for path in (run.root_dir / "checkpoints").iterdir()}

    assert set(files) == {"epoch=0-step=6.ckpt", "epoch=1-step=12.ckpt", "last.ckpt", "best.ckpt"}
    assert files["last.ckpt"] == files["epoch=1-step=12.ckpt"]
    assert run.last_checkpoint.name == "last.ckpt"


def test_pictures_and_the_video_go_to_tensorboard_and_the_folder(run):
    events = EventAccumulator(str(run.root_dir / "logs"), size_guidance={"images": 0})
    events.Reload()

    assert [image.encoded_image_string[:4] for image in events.Images("validation")] == [
        b"\x89PNG",
        b"\x89PNG",
    ]
    assert [image.encoded_image_string[:4] for image in events.Images("demo")] == [b"GIF8"]
    # Lanes that play nothing have no tile, and every tile shows something.
    picture = decode_png(events.Images("validation")[-1].encoded_image_string)
    assert (picture.std(axis=(0, 1)) > 0).all()
    assert b"ftyp" in (run.root_dir / "demo.mp4").read_bytes()[:16]


def test_best_is_the_epoch_with_the_highest_map(tiny, tmp_path, monkeypatch):
    maps = iter([np.nan, 0.2, 0.4, np.nan, 0.3])
    score = LightningDetectionModel.on_validation_epoch_end

    def pretend(self):
        score(self)
        self.scores = dataclasses.replace(self.scores, map=next(maps))

    monkeypatch.setattr(LightningDetectionModel, "on_validation_epoch_end", pretend)
    result = train(tiny(tmp_path, max_epochs=5))

    assert result.best_map == 0.4
    assert torch.load(result.best_checkpoint)["epoch"] == 2


def test_without_pyav_the_training_goes_on_and_says_so(tiny, tmp_path, monkeypatch, caplog):
    def unavailable(*_):
        raise VideoUnavailableError("no video: PyAV is not installed")

    monkeypatch.setattr(callbacks, "write_video", unavailable)
    with caplog.at_level(logging.INFO):
        train(tiny(tmp_path, max_epochs=1, demo_every=1))

    assert "PyAV is not installed" in caplog.text
    assert not (tmp_path / "demo.mp4").exists()


@contextlib.contextmanager
def full_disk():
    resource = pytest.importorskip("resource")
    """Files of this process may not grow beyond 100 bytes, as on a disk that is full.

    Around one call only: what pytest writes goes to a file, too, when its output is redirected.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"the last good one")

    message = r"cannot write .*last\.ckpt: File too large"
    with pytest.raises(CheckpointError, match=message), full_disk():
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(1000)}, path)

    assert path.read_bytes() == b"the last good one"
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_what_is_written_is_read_without_running_code(tmp_path):
    content = {"state_dict": {"a": torch.ones(2)}, "hyper_parameters": {"lr": 0.1}}

    AtomicCheckpointIO().save_checkpoint(content, tmp_path / "new" / "a.ckpt")

    assert load_checkpoint(tmp_path / "new" / "a.ckpt")["hyper_parameters"] == {"lr": 0.1}


def test_a_second_name_outlives_the_first(tmp_path):
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")

    link_checkpoint(tmp_path / "a", "b")
    (tmp_path / "a").unlink()

    assert (tmp_path / "b").read_text() == "new"
