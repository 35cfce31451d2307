import math

import pytest
import torch
from torch import nn

from evdet.detectors.checkpoints import CheckpointError, load_checkpoint, search_latest_checkpoint
from evdet.training import LightningDetectionModel, TrainingError
from evdet.training.fit import make_trainer, quiet_lightning
from evdet.training.not_finite import is_finite, where_forward_fails, where_gradient_fails


class Explodes(nn.Module):
    def forward(self, x):
        return x / 0


def blame(model, x):
    failure = where_forward_fails(model, lambda: model(x), x)
    return failure and failure.place


@pytest.mark.parametrize("value", [None, [], torch.zeros(0), {"n": torch.tensor([3])}])
def test_nothing_is_finite(value):
    assert is_finite(value)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_bad_number_in_a_nest_is_found(bad):
    assert not is_finite({"a": [torch.ones(2), (torch.tensor([1, bad]), None)]})


def test_a_clean_pass_is_not_blamed():
    assert blame(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), torch.ones(1, 2)) is None


def test_the_first_layer_that_fails_is_named():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), Explodes()), nn.ReLU())

    assert blame(model, torch.ones(1, 2)) == "the layer 1.1 (Explodes)"


def test_a_weight_that_is_not_finite_is_named():
    model = nn.Sequential(nn.Linear(2, 2))
    nn.init.constant_(model[0].bias, math.nan)

    assert blame(model, torch.ones(1, 2)).endswith("(Linear), whose bias is not finite")


def test_bad_inputs_are_named():
    assert blame(nn.ReLU(), torch.tensor([math.nan])) == "the inputs"


def test_a_loss_outside_all_layers_is_named():
    model = nn.ReLU()

    failure = where_forward_fails(model, lambda: model(torch.ones(1)) / 0, torch.ones(1))

    assert failure == (2, "the loss, from finite predictions")


def test_the_gradient_that_fails_first_on_the_way_back_is_named():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1))
    for weight, value in zip(model.parameters(), [math.nan, 1, 1, math.nan, 1, 1], strict=True):
        weight.grad = torch.full_like(weight, value)

    assert where_gradient_fails(model) == "the gradient of 1.bias"


def test_a_run_whose_loss_is_not_finite_stops_and_leaves_a_post_mortem(tiny, tmp_path):
    model = LightningDetectionModel(tiny(tmp_path))
    trainer = make_trainer(model.config, callbacks=[])
    hook = model.on_train_batch_start

    def poison(batch, batch_idx):
        hook(batch, batch_idx)
        if (model.current_epoch, batch_idx) == (1, 2):
            with torch.no_grad():
                model.detector.head.box_head[0][0].weight[0, 0] = math.inf

    model.on_train_batch_start = poison
    message = (
        r"not finite: the layer head\.box_head\.0\.0 \(Conv2d\), whose weight is not finite, "
        r"in batch 2 of epoch 1 \(recordings .+\)\. .*not_finite\.ckpt"
    )
    with quiet_lightning(), pytest.raises(TrainingError, match=message):
        trainer.fit(model)

    report = load_checkpoint(tmp_path / "checkpoints" / "not_finite.ckpt")["post_mortem"]
    assert (report["epoch"], report["batch"]) == (1, 2)
    assert report["inputs"].shape == (2, 2, 3, 32, 32)
    assert len(report["memory"]) == len(model.detector.memory_names)
    with pytest.raises(CheckpointError, match=r"\*\.ckpt"):
        search_latest_checkpoint(tmp_path)


def test_a_gradient_that_is_not_finite_stops_the_run_before_its_step(tiny, tmp_path):
    model = LightningDetectionModel(tiny(tmp_path))
    trainer = make_trainer(model.config, callbacks=[])
    bias = model.detector.head.cls_head[-1].bias
    bias.register_hook(lambda grad: grad * math.nan)
    before = bias.detach().clone()

    message = r"the gradient of head\.cls_head\.\d\.bias, in batch 0"
    with quiet_lightning(), pytest.raises(TrainingError, match=message):
        trainer.fit(model)

    assert torch.equal(bias, before)
