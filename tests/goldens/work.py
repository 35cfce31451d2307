"""Where commands run, and what several cases start from."""

import functools
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from commands import COMMANDS

JOBS = Path(__file__).with_name("jobs.py").resolve()
_PROGRESS = re.compile(r"it/s|\x1b\[A")
EVDET = "from evdet.cli import main; raise SystemExit(main())"


class Work:
    """A folder in which commands run, and each case leaves its results in a folder of its name.

    `shared/` holds what several cases start from; it is made when it is first asked for.
    """

    def __init__(self, root: Path, artefacts: Path) -> None:
        self.root, self.artefacts = root, artefacts

    def run(self, *commands: str, to: str = "", **values: str) -> None:
        """Run a command in the folder; what it prints goes to the file `to`."""
        words = shlex.split(" ".join(COMMANDS[name] for name in commands).format(**values))
        self._process(["-c", EVDET, *words], to)

    def job(self, name: str, folder: str, *arguments: str) -> None:
        """Run a job of jobs.py."""
        self._process([str(JOBS), name, folder, *arguments], "")

    def _process(self, arguments: list[str], to: str) -> None:
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        environment = {
            **os.environ,
            **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")},
            "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths if path),
            "PYTHONHASHSEED": "0",
            "CUDA_VISIBLE_DEVICES": "",
            "COLUMNS": "100",
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise RuntimeError(f"{shlex.join(arguments[1:])}: status {done.returncode}\n{said}")
        if to:
            lines = [line for line in done.stdout.splitlines() if not _PROGRESS.search(line)]
            self.write(to, "".join(f"{line}\n" for line in lines))

    def write(self, name: str, text: str) -> None:
        """Leave a text."""
        self.file(name).write_text(text)

    def file(self, name: str) -> Path:
        """A path whose folder is there."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        return self.root / name

    def copy(self, source: str, to: str) -> None:
        """Keep a file or a folder of shared/."""
        if (self.root / source).is_dir():
            shutil.copytree(self.root / source, self.file(to))
        else:
            shutil.copy2(self.root / source, self.file(to))

    def write_tree(self, name: str, folder: str) -> None:
        """Leave the checksum of every file of a folder."""
        files = sorted(path for path in (self.root / folder).rglob("*") if path.is_file())
        lines = [f"{_sha(path)}  {path.relative_to(self.root / folder)}\n" for path in files]
        self.write(name, "".join(lines))

    @functools.cached_property
    def data(self) -> str:
        """A small data set of digits."""
        self.file("shared/data")
        self.run(
            "simulate", to="shared/data.txt", folder="shared/data", kind="digits", train="3",
            test="2", minutes="0.15", side="128", format="dat",
        )  # fmt: skip
        return "shared/data"

    @functools.cached_property
    def recording(self) -> str:
        """One of its recordings."""
        return f"{self.data}/test/digits_test_0000_td.dat"

    @functools.cached_property
    def events_run(self) -> str:
        """A run on it that finds something, evaluated and measured."""
        run = "shared/runs/events"
        self.run("train", to="shared/train_events.txt", data=self.data, folder=run)
        self.run("evaluate", to="shared/evaluate_events.txt", model=run)
        self.run("bench", model=run, json="shared/bench.json")
        return run

    @functools.cached_property
    def toy_run(self) -> str:
        """A run on Moving MNIST, evaluated."""
        run = "shared/runs/toy"
        self.run("train toy", to="shared/train_toy.txt", folder=run)
        self.run("evaluate", "evaluate few", to="shared/evaluate_toy.txt", model=run)
        return run

    @functools.cached_property
    def exported(self) -> str:
        """The weights that come with evdet, exported."""
        model = "shared/model.onnx"
        self.run("export", to="shared/export.txt", model="events-digits", file=model)
        return model

    @functools.cached_property
    def small_runs(self) -> str:
        """Trainings by the Python API."""
        self.job("train", "train", self.data)
        return "train"


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
