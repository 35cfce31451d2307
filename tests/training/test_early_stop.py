import math

import pytest
import torch

from evdet.config import ConfigError, DetectionConfig
from evdet.detectors import load_checkpoint
from evdet.training import LightningDetectionModel, TrainingError, train
from evdet.training.early_stop import EarlyStop, check_not_stopped


@pytest.fixture
def scored(monkeypatch):
    """Replaces the validation's mAP, epoch by epoch."""

    def script(values):
        end = LightningDetectionModel.on_validation_epoch_end

        def scripted(self):
            end(self)
            value = values[self.current_epoch]
            self.scores = self.scores.__class__(**{**vars(self.scores), "map": value})

        monkeypatch.setattr(LightningDetectionModel, "on_validation_epoch_end", scripted)

    return script


def epochs_of(folder):
    return load_checkpoint(folder / "checkpoints" / "last.ckpt")["epoch"] + 1


def test_without_the_option_no_run_ends_early():
    assert DetectionConfig().early_stop == 0
    with pytest.raises(ConfigError, match="early_stop"):
        DetectionConfig(early_stop=-1)


@pytest.mark.parametrize(
    ("values", "num_epochs"),
    [
        ([0.1, 0.2, 0.2, 0.1, 0.9, 0.9], 4),
        ([0.1, 0.0, 0.2, 0.0, 0.0, 0.9], 5),
        ([math.nan, math.nan, 0.1, 0.2], 2),
        ([0.1, 0.2, 0.3], 3),
    ],
)
def test_a_run_ends_after_n_validations_without_a_higher_score(
    tiny, tmp_path, scored, values, num_epochs, caplog
):
    scored(values)
    with caplog.at_level("INFO"):
        train(tiny(tmp_path, max_epochs=len(values), early_stop=2, logger=()))
    assert epochs_of(tmp_path) == num_epochs
    assert ("ends early: 2 validations" in caplog.text) == (num_epochs < len(values))


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tiny, tmp_path, scored):
    scored([0.3, 0.2, 0.1, 0.1, 0.1])
    whole = tiny(tmp_path / "whole", max_epochs=5, early_stop=3, logger=())
    train(whole)
    parts = tmp_path / "parts"
    train(tiny(parts, max_epochs=2, early_stop=3, logger=()))
    train(tiny(parts, max_epochs=5, early_stop=3, logger=()), resume="auto")

    assert epochs_of(parts) == epochs_of(tmp_path / "whole") == 4
    one, other = (
        load_checkpoint(folder / "checkpoints" / "last.ckpt")
        for folder in (tmp_path / "whole", parts)
    )
    assert one["callbacks"]["EarlyStop"] == other["callbacks"]["EarlyStop"]
    # The schedule's length does not matter here: its factor is per epoch.
    for name, weight in one["state_dict"].items():
        assert torch.equal(weight, other["state_dict"][name])


def test_a_run_that_has_ended_early_is_complete_until_the_option_is_raised(tiny, tmp_path, scored):
    scored([0.3, 0.2, 0.1, 0.4, 0.5])
    train(tiny(tmp_path, max_epochs=5, early_stop=1, logger=()))
    assert epochs_of(tmp_path) == 2
    with pytest.raises(TrainingError, match="increase --early-stop"):
        train(tiny(tmp_path, max_epochs=5, early_stop=1, logger=()), resume="auto")
    train(tiny(tmp_path, max_epochs=5, early_stop=3, logger=()), resume="auto")
    assert epochs_of(tmp_path) == 5


def test_a_run_without_the_option_may_be_resumed_with_it(tiny, tmp_path, scored):
    scored([0.3, 0.2, 0.1, 0.1])
    train(tiny(tmp_path, max_epochs=1, logger=()))
    train(tiny(tmp_path, max_epochs=4, early_stop=2, logger=()), resume="auto")
    # The first validation of the resumed run counts as the best.
    assert epochs_of(tmp_path) == 4


def test_a_checkpoint_without_a_count_is_not_complete(tmp_path):
    for states in ({}, {"EarlyStop": {"num_worse": "many"}}, None):
        check_not_stopped({"callbacks": states}, 1, tmp_path)
    check_not_stopped({"callbacks": {"EarlyStop": {"num_worse": 3}}}, 0, tmp_path)
    assert EarlyStop(3).state_dict() == {"best_map": -math.inf, "num_worse": 0}
