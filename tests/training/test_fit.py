import logging
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evdet.build import complete_config
from evdet.config import config_from_params
from evdet.detectors.checkpoints import load_checkpoint, load_network
from evdet.training import TrainingError, train
from evdet.training.fit import make_trainer


def test_a_run_leaves_its_config_and_a_detector_that_loads(tiny, tmp_path, caplog):
    config = tiny(tmp_path, max_epochs=1, classes=("3", "7"))
    with caplog.at_level(logging.INFO):
        result = train(config)

    kept = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config_from_params(kept) == complete_config(config)
    assert load_network(result.last_checkpoint).num_classes == 2
    assert result.frames_per_second > 0
    assert "epoch 0 done (1 of 1)" in caplog.text
    assert "Tip" not in caplog.text


def test_fine_tuning_starts_from_the_weights_of_another_run(tiny, tmp_path, caplog):
    first = train(tiny(tmp_path / "a", max_epochs=1))
    with caplog.at_level(logging.INFO):
        train(
            tiny(tmp_path / "b", max_epochs=1, classes=("7", "3"), lr=1e-12),
            finetune=first.last_checkpoint,
        )

    assert "classes: 7, 3" in caplog.text
    old = load_network(first.last_checkpoint)
    new = load_network(tmp_path / "b" / "checkpoints" / "last.ckpt")
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


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_run_with_one_message(tiny, tmp_path):
    config = tiny(tmp_path / "run", max_frames_per_epoch=80)
    (tmp_path / "a.yaml").write_text(
        yaml.safe_dump({**vars(config), "classes": list(config.classes)})
    )
    script = Path(__file__).with_name("child_process.py")

    done = subprocess.run(
        [sys.executable, str(script), "full_disk", str(tmp_path / "a.yaml")],
        capture_output=True,
        text=True,
        timeout=180,
    )

    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(errors) == 1
    assert "File too large" in errors[0]
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 0
