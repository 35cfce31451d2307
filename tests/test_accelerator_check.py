import json
import subprocess
import sys

import pytest
from benchmarks.accelerator.checks import CHECKS
from benchmarks.accelerator.results import CheckResult, Figure, as_markdown, write_results

ENVIRONMENT = {"evdet": "1.0", "torch": "2.6", "python": "3.12", "processor": "a CPU"}


def run(*words):
    command = [sys.executable, "-m", "benchmarks.accelerator", "--device", "cpu", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_results_the_table_is_empty():
    text = as_markdown([], ENVIRONMENT, is_toy=True)
    assert text.startswith("### a CPU\n")
    assert "these numbers show that the checks run" in text
    assert text.endswith("|---|---|---|\n")


def test_a_table_is_headed_by_the_device_and_a_failure_has_its_reason(tmp_path):
    results = [
        CheckResult("fast", "pass", 1.0, (Figure("rate", 1234.5, "frames/s"),)),
        CheckResult("slow", "FAIL", 2.0, note="a | b"),
    ]
    environment = {**ENVIRONMENT, "accelerator": "NVIDIA H100"}
    write_results(tmp_path / "new", results, environment, is_toy=False)

    text = (tmp_path / "new" / "accelerator.md").read_text()
    assert text.startswith("### NVIDIA H100\n")
    assert "| fast | pass | rate 1,234 frames/s |" in text
    assert "| slow | FAIL | a / b |" in text
    read = json.loads((tmp_path / "new" / "accelerator.json").read_text())
    assert [check["outcome"] for check in read["checks"]] == ["pass", "FAIL"]


@pytest.mark.slow
def test_a_check_that_does_not_end_is_stopped_and_the_next_one_runs(tmp_path):
    done = run("--output", tmp_path, "--minutes", "0.001", "--only", "selection", "resume")
    assert done.returncode == 0
    assert "selection              skipped" in done.stdout
    assert "resume                 skipped" in done.stdout


@pytest.mark.slow
def test_every_check_passes_at_toy_size(tmp_path):
    done = run("--output", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = json.loads((tmp_path / "accelerator.json").read_text())["checks"]
    assert {check["name"]: check["outcome"] for check in outcomes} == dict.fromkeys(CHECKS, "pass")
