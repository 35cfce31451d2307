"""Every number that evdet gives, recorded before a change and compared after it.

`python tests/goldens record DIR` keeps what the evdet that is importable here says and writes;
`python tests/goldens compare DIR` makes everything anew, says what differs, and exits with 1 where
something does. `--only NAME ...` takes some of the cases, which are in cases.py; how commands are
spelled stands in commands.py. DIR/artefacts holds files of the recorded version: they have to load
for ever.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cases import CASES, keep_artefacts
from differences import compare_folders
from work import Work

ARTEFACTS = "artefacts"


def main() -> int:
    """Record or compare."""
    parser = argparse.ArgumentParser(
        prog="python tests/goldens", description=f"The cases: {', '.join(CASES)}."
    )
    parser.add_argument("what", choices=["record", "compare"])
    parser.add_argument("folder", type=Path, help="of the goldens; outside of the repository")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--keep", type=Path, help="new folder to work in, which then stays")
    options = parser.parse_args()
    said = subprocess.run(
        [sys.executable, "-c", "import evdet; print(evdet.__version__, evdet.__file__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    print(f"evdet {said.stdout}", end="", flush=True)
    goldens = options.folder.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary) / "work"
        root.mkdir(parents=True)
        work = Work(root.resolve(), goldens / ARTEFACTS)
        if options.what == "record":
            return run_cases(options.only, work, lambda name: record(name, work, goldens))
        return run_cases(options.only, work, lambda name: compare(name, work, goldens))


def run_cases(names: list[str], work: Work, after: Callable[[str], int]) -> int:
    """Run cases one by one; a case that fails does not stop the others."""
    failed = 0
    for name in names:
        began = time.monotonic()
        try:
            bad = after(name)
        except (RuntimeError, OSError, ValueError) as error:
            print(f"{name}: FAILED: {error}")
            bad = 1
        failed += bad > 0
        verdict = "ok" if not bad else f"{bad} DIFFERENT"
        print(f"{name}: {verdict}, {time.monotonic() - began:.0f} s", flush=True)
    print("all the same" if not failed else f"NOT THE SAME: {failed} of {len(names)} cases")
    return int(failed > 0)


def record(name: str, work: Work, goldens: Path) -> int:
    """Run a case and keep what it leaves."""
    if name == "old":
        keep_artefacts(work)
    CASES[name](work)
    shutil.rmtree(goldens / name, ignore_errors=True)
    shutil.copytree(work.root / name, goldens / name)
    return 0


def compare(name: str, work: Work, goldens: Path) -> int:
    """Run a case and count the files that are not as they were."""
    CASES[name](work)
    bad = 0
    # The times on pages of old runs are part of the artefacts, and so the same.
    for file, lines in compare_folders(goldens / name, work.root / name, masked=name != "old"):
        print(f"  {name}/{file}: {'same' if not lines else 'DIFFERENT'}")
        print("".join(f"      {line}\n" for line in lines), end="")
        bad += bool(lines)
    return bad


if __name__ == "__main__":
    sys.exit(main())
