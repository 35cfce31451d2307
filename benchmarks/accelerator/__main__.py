"""`python -m benchmarks.accelerator`: run every check in a process of its own, and go on.

A check that fails, hangs or ends its process costs one line. Without a GPU the checks run on the
CPU at toy size: that shows that they work, and measures nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.accelerator.checks import CHECKS
from benchmarks.accelerator.results import CheckResult, Figure, write_results
from evdet.report import describe_environment

_MARK = "figures: "
_SKIPPED = "skipped: "


def main() -> int:
    """Run the checks, print a line each, and write the results.

    Returns:
        1 if a check failed, otherwise 0.
    """
    options = _options()
    if options.check:
        return _run_here(options.check, options.device)
    environment = describe_environment()
    is_toy = options.device == "cpu"
    print("\n".join(f"{name:18}{value}" for name, value in environment.items()), flush=True)
    started, results = time.monotonic(), []
    for name in options.only or CHECKS:
        left = options.minutes * 60 - (time.monotonic() - started)
        results.append(_run(name, options.device, min(left, CHECKS[name].seconds)))
        print(results[-1].line(), flush=True)
        # Written after every check: a machine that is taken away leaves what it has shown.
        write_results(options.output, results, environment, is_toy=is_toy)
    print(f"written: {options.output / 'accelerator.json'}, {options.output / 'accelerator.md'}")
    return int(any(result.outcome == "FAIL" for result in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accelerator")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("OUT", "accelerator")))
    parser.add_argument("--minutes", type=float, default=8.0, help="for all checks together")
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), help="leave the others out")
    parser.add_argument("--check", choices=list(CHECKS), help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(name: str, device: str, seconds: float) -> CheckResult:
    """Run a check in a process of its own: a GPU does not recover from some errors."""
    if seconds < 5:
        return CheckResult(name, "skipped", 0.0, note="no time is left")
    command = [sys.executable, "-m", "benchmarks.accelerator", "--check", name, "--device", device]
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return CheckResult(name, "FAIL", seconds, note=f"stopped after {seconds:.0f} s")
    took = time.monotonic() - start
    said = done.stdout.splitlines()
    for line in said:
        if line.startswith(_SKIPPED):
            return CheckResult(name, "skipped", took, note=line.removeprefix(_SKIPPED))
    found = [line for line in said if line.startswith(_MARK)]
    rows = json.loads(found[-1].removeprefix(_MARK)) if found else []
    figures = tuple(Figure(*row) for row in rows)
    if done.returncode == 0 and found:
        return CheckResult(name, "pass", took, figures)
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return CheckResult(name, "FAIL", took, figures, note=lines[-1][:300])


def _run_here(name: str, device: str) -> int:
    from benchmarks.accelerator.checks import UnavailableError

    try:
        figures = CHECKS[name].run(device)
    except UnavailableError as reason:
        print(f"{_SKIPPED}{reason}")
        return 0
    print(_MARK + json.dumps([[figure.what, figure.value, figure.unit] for figure in figures]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
