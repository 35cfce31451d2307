import logging

import pytest
import yaml

from evdet.checkpoints import load_detector
from evdet.config import config_from_params
from evdet.training import TrainingError, train
from evdet.training.fit import make_trainer


def test_a_run_leaves_its_config_and_a_detector_that_loads(tiny, tmp_path, caplog):
    config = tiny(tmp_path, max_epochs=1, classes=tuple("9876543210"))
    with caplog.at_level(logging.INFO):
        result = train(config)

    kept = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config_from_params(kept) == config
    assert load_detector(result.last_checkpoint).num_classes == 10
    assert result.frames_per_second > 0
    assert "epoch 0 done (1 of 1)" in caplog.text
    assert "Tip" not in caplog.text


def test_fine_tuning_starts_from_the_weights_of_another_run(tiny, tmp_path, caplog):
    first = train(tiny(tmp_path / "a", max_epochs=1))
    with caplog.at_level(logging.INFO):
        train(
            tiny(tmp_path / "b", max_epochs=1, classes=tuple("abcdefg7hi"), lr=1e-12),
            finetune=first.last_checkpoint,
        )

    assert "classes carried over: 7" in caplog.text
    old = load_detector(first.last_checkpoint)
    new = load_detector(tmp_path / "b" / "checkpoints" / "last.ckpt")
    for name, weight in new.feature_extractor.named_parameters():
        assert weight.allclose(old.feature_extractor.get_parameter(name), atol=1e-9)


def test_resume_and_finetune_exclude_each_other(tiny, tmp_path):
    with pytest.raises(TrainingError, match="choose one"):
        train(tiny(tmp_path), resume="auto", finetune="a.ckpt")


@pytest.mark.parametrize(("asked", "said"), [("auto", 0), ("32", 0), ("16", 1), ("bf16", 1)])
def test_a_cpu_trains_in_32_bits_and_says_why(tiny, tmp_path, caplog, asked, said):
    with caplog.at_level(logging.INFO, logger="evdet"):
        trainer = make_trainer(tiny(tmp_path, precision=asked), callbacks=[])

    assert trainer.precision == "32-true"
    assert caplog.text.count("several times slower") == said
