"""The command line: one short file per command."""

import difflib
import logging
import sys
from collections.abc import Callable, Sequence

from evdet.cli.bench import BenchOptions, bench
from evdet.cli.check import CheckOptions, check
from evdet.cli.convert import ConvertOptions, convert
from evdet.cli.demo import DemoOptions, demo
from evdet.cli.detect import DetectOptions, detect
from evdet.cli.evaluate import EvaluateOptions, evaluate
from evdet.cli.export import ExportOptions, export
from evdet.cli.import_ import ImportOptions, import_checkpoint
from evdet.cli.info import InfoOptions, info
from evdet.cli.models import ModelsOptions, models
from evdet.cli.options import parse
from evdet.cli.report import ReportOptions, report
from evdet.cli.simulate import SimulateOptions, simulate
from evdet.cli.split import SplitOptions, split
from evdet.cli.train import TrainOptions, train
from evdet.cli.view import ViewOptions, view

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[type, Callable[..., int | None], str]] = {
    "info": (InfoOptions, info, "Say what is in event recordings."),
    "view": (ViewOptions, view, "Show a recording and its boxes as a video or a picture."),
    "convert": (ConvertOptions, convert, "Write a recording in another format."),
    "simulate": (SimulateOptions, simulate, "Make a data set of simulated event recordings."),
    "split": (SplitOptions, split, "Deal a folder of recordings to train, val and test."),
    "check": (CheckOptions, check, "Read a data set once and say what is wrong with it."),
    "demo": (DemoOptions, demo, "Train on Moving MNIST or events, evaluate, show the result."),
    "train": (TrainOptions, train, "Train a detector."),
    "evaluate": (EvaluateOptions, evaluate, "Score a checkpoint, or a file of detections."),
    "detect": (DetectOptions, detect, "Detect, track, and write boxes and a video."),
    "export": (ExportOptions, export, "Write a checkpoint as an ONNX model, and check it."),
    "bench": (BenchOptions, bench, "Measure how fast a detector is."),
    "models": (ModelsOptions, models, "List every detector: size, arithmetic, published accuracy."),
    "import": (ImportOptions, import_checkpoint, "Take over a checkpoint of the RVT project."),
    "report": (ReportOptions, report, "Make a page of a run, or compare several."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `evdet`; by default those of this process.

    Returns:
        The exit status: 0, or 2 for what the user can mend, said in one line; a command may
        have one of its own.
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
        return run(parse(options_type, rest, prog=f"evdet {name}", summary=summary)) or 0
    except KeyboardInterrupt:
        return _refuse("interrupted; what was written stays")
    except (ValueError, OSError, RuntimeError) as error:
        if debug or not _is_for_users(error):
            raise
        return _refuse(str(error))


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
