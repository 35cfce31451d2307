import argparse
import dataclasses
import itertools
import warnings

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from evdet.build import build_loader
from evdet.detectors.checkpoints import search_latest_checkpoint
from evdet.training import LightningDetectionModel
from evdet.training.fit import make_trainer
from evdet.training.quiet import quiet_lightning


class Spy(pl.Callback):
    """Calls `look(model, batch, batch_idx)` after every batch."""

    def __init__(self, look):
        self.look = look

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.look(pl_module, batch, batch_idx)


class Unlabelled:
    """A loader of which nobody labelled some batches."""

    def __init__(self, loader, batches):
        self.loader, self.batches = loader, batches

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for index, batch in enumerate(self.loader):
            if index in self.batches:
                batch["frame_is_labeled"][:] = False
            yield batch


def fit(model, *, look=None, loader=None, **changes):
    callbacks = [Spy(look)] if look else []
    trainer = make_trainer(dataclasses.replace(model.config, **changes), callbacks=callbacks)
    with quiet_lightning():
        trainer.fit(model, train_dataloaders=loader)
    return trainer


def weights_of(model):
    return {name: weight.detach().clone() for name, weight in model.detector.named_parameters()}


def test_the_tutorials_way_through(tiny, tmp_path):
    params = argparse.Namespace(
        **{**vars(tiny(tmp_path)), "act": "softmax", "loss": "_focal_loss", "max_epochs": 1}
    )
    model = LightningDetectionModel(params)
    saver = ModelCheckpoint(dirpath=tmp_path / "checkpoints", save_top_k=-1, every_n_epochs=1)
    with quiet_lightning():
        trainer = pl.Trainer(
            default_root_dir=tmp_path,
            accelerator="cpu",
            callbacks=[saver],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            max_epochs=params.max_epochs,
        )
        trainer.fit(model)

    path = search_latest_checkpoint(tmp_path)
    assert path.name == "epoch=0-step=6.ckpt"
    checkpoint = torch.load(path)
    again = LightningDetectionModel(argparse.Namespace(**checkpoint["hyper_parameters"]))
    again.load_state_dict(checkpoint["state_dict"])
    assert LightningDetectionModel.load_from_checkpoint(path).config == model.config
    clip = next(iter(build_loader(model.config, "test")))["inputs"]
    found, expected = (m.eval().detector.get_boxes(clip, score_thresh=0.0) for m in (again, model))
    assert torch.equal(found[1][1]["scores"], expected[1][1]["scores"])
    assert len(expected[1][1]["scores"])


def test_the_hyper_parameters_are_plain_and_lead_back(tiny, tmp_path):
    model = LightningDetectionModel(tiny(tmp_path, lr=0.25))

    stored = dict(model.hparams)

    assert {type(value) for value in stored.values()} <= {str, int, float, bool, list}
    assert LightningDetectionModel(stored).config == model.config


def test_lanes_carry_memory_until_a_new_video_starts(tiny, tmp_path):
    model = LightningDetectionModel(tiny(tmp_path, max_epochs=1))
    seen = []

    def step(clip, memory, real=model.detector.feature_extractor.step):
        seen.append(memory)
        return real(clip, memory)

    model.detector.feature_extractor.step = step
    fit(model, look=lambda model, batch, _: seen.append(batch["mask_keep_memory"].flatten()))

    memories, masks = seen[0:12:2], seen[1:12:2]
    assert [mask.tolist() for mask in masks] == [[0, 0], [1, 1], [1, 1]] * 2
    assert memories[0] is None
    assert not any(lanes.any() for lanes in memories[3])
    assert all(lanes.any() for lanes in memories[4])
    assert not any(lanes.requires_grad for memory in memories[1:] for lanes in memory)


def test_a_batch_without_labels_moves_memory_on_and_trains_nothing(tiny, tmp_path):
    config = tiny(tmp_path, max_epochs=1, weight_decay=0.1)
    model = LightningDetectionModel(config)
    weights, memories = [weights_of(model)], []

    def look(model, batch, batch_idx):
        weights.append(weights_of(model))
        memories.append(model._memory["train"])

    trainer = fit(model, look=look, loader=Unlabelled(build_loader(config, "train"), {0, 2}))

    changed = [
        any(not torch.equal(before[name], after[name]) for name in before)
        for before, after in itertools.pairwise(weights)
    ]
    assert changed == [False, True, False, True, True, True]
    assert not torch.equal(memories[1][0], memories[2][0])
    assert next(iter(trainer.optimizers[0].state.values()))["step"] == 4


def test_frozen_features_stay_as_they_are(tiny, tmp_path):
    model = LightningDetectionModel(tiny(tmp_path, max_epochs=1, freeze_features=True))
    before = {name: value.clone() for name, value in model.detector.state_dict().items()}

    fit(model)

    after = model.detector.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head"}


def test_the_learning_rate_is_applied(tiny, tmp_path):
    model = LightningDetectionModel(tiny(tmp_path, lr=0.5, lr_scheduler_step_gamma=0.5))
    rates = []

    fit(
        model,
        look=lambda model, *_: rates.append(model.trainer.optimizers[0].param_groups[0]["lr"]),
    )

    assert rates == [0.5] * 6 + [0.25] * 6


def test_gradients_are_clipped_to_their_norm(tiny, tmp_path):
    model = LightningDetectionModel(tiny(tmp_path, max_epochs=1, gradient_clip=1e-3))
    norms = []

    def look(model, *_):
        grads = [weight.grad for weight in model.parameters()]
        norms.append(float(torch.nn.utils.get_total_norm(grads)))

    fit(model, look=look)

    assert norms == pytest.approx([1e-3] * 6, rel=1e-3)


def test_gradients_are_clipped_to_their_value(tiny, tmp_path):
    changes = {"gradient_clip": 1e-4, "gradient_clip_by": "value"}
    model = LightningDetectionModel(tiny(tmp_path, max_epochs=1, **changes))
    largest = []

    def look(model, *_):
        largest.append(max(float(w.grad.abs().max()) for w in model.parameters()))

    fit(model, look=look)

    assert largest == pytest.approx([1e-4] * 6, rel=1e-3)


def test_every_validation_scores_the_same_frames(tiny, tmp_path):
    model = LightningDetectionModel(tiny(tmp_path))
    scored = []
    step = model.validation_step

    def look(batch, batch_idx):
        scored.append(sorted(batch["video_infos"]))
        return step(batch, batch_idx)

    model.validation_step = look
    trainer = fit(model)

    assert scored[:3] == scored[3:]
    assert model.scores.num_frames == 12
    assert {"val_map", "val_map50", "train_loss", "lr"} <= trainer.callback_metrics.keys()


def test_a_data_module_may_bring_the_loaders(tiny, tmp_path):
    config = tiny(tmp_path, max_epochs=1)

    class Videos(pl.LightningDataModule):
        def train_dataloader(self):
            return build_loader(dataclasses.replace(config, max_frames_per_epoch=12), "train")

        def val_dataloader(self):
            return build_loader(config, "val")

    model = LightningDetectionModel(config)
    trainer = make_trainer(config, callbacks=[])
    with quiet_lightning():
        trainer.fit(model, datamodule=Videos())

    assert trainer.global_step == 3


def test_half_precision_stays_finite(tiny, tmp_path):
    """What an accelerator does, shown where bf16 is slow but computes the same."""
    model = LightningDetectionModel(tiny(tmp_path, max_epochs=1))
    with quiet_lightning(), warnings.catch_warnings():
        trainer = pl.Trainer(
            accelerator="cpu",
            precision="bf16-mixed",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model)

    assert all(torch.isfinite(weight).all() for weight in model.parameters())
