"""`--threads`, which several commands have."""

import os
import subprocess
import sys

import pytest
import torch

from evdet.cli import main
from evdet.cli.options import parse
from evdet.cli.train import TrainOptions

COMMANDS = ("bench events-digits", "detect sample", "evaluate events-digits")
SHOW = "import os; from evdet.cli import main; main(['--version']); print(dict(os.environ))"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [-1, 1025, 10_000])
def test_a_number_that_cannot_be_is_one_line_before_any_work(command, number, capsys):
    assert main([*command.split(), "--threads", str(number)]) == 2

    error = capsys.readouterr().err
    assert error == f"evdet: --threads must be from 0 (automatic) to 1024, got {number}\n"


@pytest.mark.parametrize("command", [*COMMANDS, "train", "demo"])
def test_what_is_not_a_number_is_refused_with_the_name(command, capsys):
    with pytest.raises(SystemExit) as exit_status:
        main([*command.split(), "--threads", "x"])

    assert exit_status.value.code == 2
    assert "--threads" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "demo"])
def test_the_configuration_refuses_such_numbers_too(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--threads", "10000"])

    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "threads must be from 0 (automatic) to 1024 (--threads), got 10000" in error


def test_detect_computes_on_as_many_threads_as_asked(tmp_path):
    words = ["detect", "sample", "--duration", "0.1", "--threads"]

    assert main([*words, "2"]) == 0
    assert torch.get_num_threads() == 2


def test_train_has_the_field_of_the_configuration():
    options = parse(TrainOptions, ["--threads", "3"], prog="evdet train", summary="")

    assert options.configuration.threads == 3


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "9"}, {"GOMP_SPINCOUNT": "9"}),
        ({"KMP_BLOCKTIME": "9"}, {"KMP_BLOCKTIME": "9"}),
    ],
)
def test_waiting_threads_give_up_their_core_unless_the_user_decides(chosen, found):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    others = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=others | chosen, capture_output=True, text=True
    )

    environment = eval(done.stdout.splitlines()[-1])
    assert {name: environment[name] for name in names if name in environment} == found


def test_a_process_that_has_loaded_torch_keeps_its_environment(monkeypatch, capsys):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)

    assert main(["--version"]) == 0
    assert "OMP_WAIT_POLICY" not in os.environ
