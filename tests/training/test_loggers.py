import csv
import json
import sys

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import Logger

from evdet.cli import main
from evdet.config import ConfigError, DetectionConfig
from evdet.detectors import load_checkpoint
from evdet.runs import RunFolder
from evdet.training import TrainingError, train
from evdet.training.csv_curves import CsvCurves
from evdet.training.loggers import log_picture, make_loggers

PNG = b"\x89PNG\r\n"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_no_logger_is_a_choice(tmp_path):
    assert make_loggers([], RunFolder(tmp_path)) == []
    assert DetectionConfig(logger=()).logger == ()


def test_a_table_gets_a_column_for_every_name(tmp_path):
    curves = CsvCurves(tmp_path / "logs" / "metrics.csv")
    curves.log_metrics({"loss": 1.5}, step=0)
    curves.log_metrics({"loss": 1.25, "epoch": 0}, step=1)
    curves.log_metrics({"val_map": float("nan")}, step=1)
    assert (tmp_path / "logs" / "metrics.csv").read_text().splitlines() == [
        "step,loss,epoch,val_map",
        "0,1.5,,",
        "1,1.25,0.0,",
        "1,,,nan",
    ]


def test_a_resumed_table_goes_on_from_its_step(tmp_path):
    path = tmp_path / "metrics.csv"
    first = CsvCurves(path)
    for step in range(4):
        first.log_metrics({"loss": float(step)}, step=step)
    with path.open("a") as file:
        file.write("4,0.12")  # a kill
    CsvCurves(path, 3).log_metrics({"loss": 9.0}, step=3)
    assert [row["loss"] for row in rows_of(path)] == ["0.0", "1.0", "2.0", "9.0"]


def test_a_new_run_does_not_go_on_with_an_old_table(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n0,1.0\n")
    CsvCurves(path).log_metrics({"loss": 2.0}, step=0)
    assert [row["loss"] for row in rows_of(path)] == ["2.0"]


def test_an_unknown_logger_is_refused_with_the_list(tmp_path):
    with pytest.raises(ConfigError, match="tensorboard, csv, wandb, mlflow"):
        DetectionConfig(logger=("tensorbord",))
    with pytest.raises(ConfigError, match="logger must be different"):
        DetectionConfig(logger=("csv", "csv"))
    with pytest.raises(TrainingError, match="'tensorbord' is not a logger"):
        make_loggers(["tensorbord"], RunFolder(tmp_path))


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_library_is_one_line_before_any_work(tmp_path, name, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    words = ["train", "--logger", name, "--root-dir", str(tmp_path / "run")]
    assert main([*words, "--accelerator", "cpu", "--num-workers", "0"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"evdet: --logger {name} needs {name}")
    assert f"pip install {name}" in said
    assert not (tmp_path / "run").exists()


class Count(pl.Callback):
    """A user's callback with a state."""

    def __init__(self, state=None):
        self.num_batches = 0
        self.odd = state

    def state_dict(self):
        return {
            "num_batches": self.num_batches,
            "names": ["a"],
            "at": torch.zeros(2),
            "x": self.odd,
        }

    def load_state_dict(self, state):
        self.num_batches = state["num_batches"]

    def on_train_batch_end(self, *_):
        self.num_batches += 1


class Kept(Logger):
    """A user's logger."""

    def __init__(self):
        super().__init__()
        self.rows = []

    name = "kept"
    version = "0"

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, params, *_):
        self.params = params


def test_several_loggers_and_callbacks_of_the_user_are_used_and_resumed(tiny, tmp_path):
    first, kept = Count(), Kept()
    config = tiny(tmp_path, max_epochs=1, logger=("tensorboard",))
    train(config, loggers=["csv", kept], callbacks=[first])

    assert first.num_batches == 6
    names = {name for _, metrics in kept.rows for name in metrics}
    assert {"epoch", "val_map", "val_map50"} <= names
    rows = rows_of(tmp_path / "logs" / "metrics.csv")
    assert {"step", "epoch", "val_map"} <= rows[0].keys()
    assert not list((tmp_path / "logs").glob("events.*"))

    again = Count()
    longer = tiny(tmp_path, max_epochs=2)
    train(longer, resume="auto", loggers=["csv"], callbacks=[again])
    assert again.num_batches == 12
    steps = [int(row["step"]) for row in rows_of(tmp_path / "logs" / "metrics.csv")]
    assert steps == sorted(steps)
    assert steps[0] < 6 <= steps[-1]


def test_a_resumed_run_may_have_other_callbacks(tiny, tmp_path):
    train(tiny(tmp_path, max_epochs=1, logger=()), callbacks=[])
    late = Count()
    train(tiny(tmp_path, max_epochs=2, logger=()), resume="auto", callbacks=[late])
    assert late.num_batches == 6


@pytest.mark.parametrize("odd", [b"x", {1, 2}, object(), [{"a": object()}]])
def test_a_state_that_no_checkpoint_can_hold_is_refused_at_the_start(tiny, tmp_path, odd):
    with pytest.raises(TrainingError, match="state of the callback Count holds a"):
        train(tiny(tmp_path, logger=()), callbacks=[Count(odd)])
    assert not (tmp_path / "checkpoints").exists()


def test_lightnings_callbacks_work_beside_evdets(tiny, tmp_path):
    others = [
        ModelCheckpoint(dirpath=tmp_path / "mine", monitor="val_map", mode="max", save_last=True),
        EarlyStopping("train_loss", patience=0, mode="max"),
    ]
    if "rich" in sys.modules:
        others.append(RichProgressBar())
    train(tiny(tmp_path / "run", max_epochs=3, logger=()), callbacks=others)
    assert (tmp_path / "mine" / "last.ckpt").exists()
    last = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert any(name.startswith("ModelCheckpoint") for name in last["callbacks"])


def test_pictures_go_to_loggers_that_show_them(tmp_path):
    log_picture([Kept(), CsvCurves(tmp_path / "a.csv")], "demo", PNG, size=(1, 1), step=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_mlflow_keeps_its_run_in_the_runs_folder_and_resumes_it(tiny, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / "a run"
    with warnings_of_libraries():
        train(tiny(root, max_epochs=1, logger=("mlflow", "csv")))
        train(tiny(root, max_epochs=2, logger=("mlflow", "csv")), resume="auto")
        client = mlflow.MlflowClient(f"sqlite:///{root / 'logs' / 'mlflow.db'}")
        (experiment,) = [e for e in client.search_experiments() if e.name == "evdet"]
        (run,) = client.search_runs([experiment.experiment_id])
        history = client.get_metric_history(run.info.run_id, "val_map")
    assert json.loads((root / "logs" / "ids.json").read_text())["mlflow"] == run.info.run_id
    assert len(history) == 2
    assert list((root / "logs" / "mlflow-artifacts").rglob("validation-*.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["a run"]


@pytest.mark.slow
def test_wandb_writes_offline_and_keeps_its_id(tiny, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with warnings_of_libraries():
        import wandb

        train(tiny(tmp_path / "run", max_epochs=1, logger=("wandb",)))
        wandb.finish()
        kept = json.loads((tmp_path / "run" / "logs" / "ids.json").read_text())["wandb"]
        train(tiny(tmp_path / "run", max_epochs=2, logger=("wandb",)), resume="auto")
        wandb.finish()
    folders = sorted((tmp_path / "run" / "logs" / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert all(folder.name.endswith(f"-{kept}") for folder in folders)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def warnings_of_libraries():
    import warnings

    context = warnings.catch_warnings()
    context.__enter__()
    warnings.simplefilter("ignore")

    class Ends:
        def __enter__(self):
            pass

        def __exit__(self, *error):
            context.__exit__(*error)

    return Ends()
