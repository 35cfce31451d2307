"""The command line: one short file per command."""

import difflib
import logging
import sys
from collections.abc import Callable, Sequence

from evdet.cli.demo import DemoOptions, demo
from evdet.cli.evaluate import EvaluateOptions, evaluate
from evdet.cli.options import parse
from evdet.cli.report import ReportOptions, report
from evdet.cli.train import TrainOptions, train

__all__ = ["main"]

COMMANDS: dict[str, tuple[type, Callable[..., None], str]] = {
    "demo": (DemoOptions, demo, "Train on Moving MNIST, evaluate, and show the result."),
    "train": (TrainOptions, train, "Train a detector."),
    "evaluate": (EvaluateOptions, evaluate, "Score a checkpoint on frames it has not seen."),
    "report": (ReportOptions, report, "Make report.html of a run."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `evdet`; by default those of this process.

    Returns:
        The exit status: 0, or 2 for what the user can mend, said in one line.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("evdet").setLevel(logging.DEBUG if debug else logging.INFO)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    name, *rest = words
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]}?" if near else f" There are {', '.join(COMMANDS)}."
        return _refuse(f"there is no command {name}.{hint}")
    options_type, run, summary = COMMANDS[name]
    try:
        run(parse(options_type, rest, prog=f"evdet {name}", summary=summary))
    except KeyboardInterrupt:
        return _refuse("interrupted; what was written stays")
    except (ValueError, OSError, RuntimeError) as error:
        if debug or not _is_for_users(error):
            raise
        return _refuse(str(error))
    return 0


def _is_for_users(error: Exception) -> bool:
    """Whether the message is meant for a user: wrong values and files, not our own mistakes."""
    return isinstance(error, (ValueError, OSError)) or type(error).__module__.startswith("evdet")


def _refuse(message: str) -> int:
    print(f"evdet: {message}", file=sys.stderr)
    return 2


def _overview() -> str:
    lines = [f"  {name:10}{summary}" for name, (_, _, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: evdet COMMAND [OPTIONS]",
            "",
            "Train and run object detectors that remember.",
            "",
            *lines,
            "",
            "evdet COMMAND --help names its options; --debug shows where an error comes from.",
        ]
    )
