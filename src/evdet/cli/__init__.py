"""The command line: a table of commands, each a module that is imported when its name is typed."""

import contextlib
import difflib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, get_type_hints

import evdet
from evdet.atomic_file import WriteError
from evdet.cli.terminal import (
    OutputClosedError,
    allow_any_encoding,
    escaped_output,
    finished_output,
    is_for_users,
    reason_of,
    unescaped_output,
)
from evdet.processes import EndedError, ending_signals_raise, exit_status

__all__ = ["COMMANDS", "Command", "load_command", "main"]


class Command(NamedTuple):
    """A command before anything of it is imported."""

    group: str
    """The heading of the overview that it stands under."""
    target: str
    """Module and function, as in `[project.scripts]`; the function takes its options."""
    summary: str
    """One line."""


# As a shell reports a program that SIGPIPE ended: 128 and its number.
_CLOSED_OUTPUT = 141
COMMANDS = {
    "info": Command("data", "evdet.cli.info:info", "Summarize event recordings"),
    "view": Command("data", "evdet.cli.view:view", "Render a recording and its boxes"),
    "convert": Command("data", "evdet.cli.convert:convert", "Convert a recording"),
    "record": Command("data", "evdet.cli.detect:record", "Record a camera or stream of events"),
    "labels": Command("data", "evdet.cli.labels:labels", "Convert labels between formats"),
    "simulate": Command(
        "data", "evdet.cli.simulate:simulate", "Simulate a data set of event recordings"
    ),
    "split": Command(
        "data",
        "evdet.cli.split:split",
        "Split a folder of recordings into train, val and test sets",
    ),
    "check": Command("data", "evdet.cli.check:check", "Check a data set folder for problems"),
    "demo": Command(
        "train", "evdet.cli.demo:demo", "Train on Moving MNIST or simulated events, and report"
    ),
    "train": Command("train", "evdet.cli.train:train", "Train a detector"),
    "evaluate": Command(
        "train", "evdet.cli.evaluate:evaluate", "Evaluate a checkpoint on a data set"
    ),
    "score": Command("train", "evdet.cli.score:score", "Score detections of any detector"),
    "report": Command("train", "evdet.cli.report:report", "Report on a run, or compare runs"),
    "detect": Command(
        "use",
        "evdet.cli.detect:detect",
        "Detect and track objects in recordings, videos and live streams",
    ),
    "serve": Command(
        "use", "evdet.cli.detect.serve:serve", "Serve a page that shows what a detector finds"
    ),
    "export": Command(
        "use", "evdet.cli.export:export", "Export a checkpoint to ONNX and compare the two"
    ),
    "bench": Command("use", "evdet.cli.bench:bench", "Measure the speed of a detector"),
    "models": Command(
        "use", "evdet.cli.models:models", "List detectors with size and published accuracy"
    ),
    "import": Command(
        "use", "evdet.cli.import_:import_checkpoint", "Convert a published RVT checkpoint"
    ),
    "completion": Command(
        "use",
        "evdet.cli.options.completion:completion",
        "Print a script that completes commands and options in a shell",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `evdet`; by default those of this process.

    Returns:
        The exit status: 0, or 2 after an error that the user can correct, which is printed as one
        line; 128 + N after signal N, and 141 where the reader of standard output has ended; a
        command may have a status of its own.
    """
    allow_any_encoding()
    _let_threads_sleep()
    with escaped_output():
        try:
            with finished_output():
                return _answer(list(sys.argv[1:] if argv is None else argv))
        except OutputClosedError:
            return _CLOSED_OUTPUT
        except WriteError as error:
            return _refuse(str(error))


def _answer(words: list[str]) -> int:
    """Run one command, and put its errors into words."""
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    logging.getLogger("evdet").setLevel(logging.DEBUG if debug else logging.INFO)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        print(f"evdet {evdet.__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(COMMANDS)}"
        return _refuse(f"unknown command {name!r}: {hint}")
    try:
        with ending_signals_raise():
            return _run(name, rest)
    except (KeyboardInterrupt, EndedError) as stop:
        return _end(stop)
    except (MemoryError, ValueError, OSError, RuntimeError) as error:
        if debug or not is_for_users(error):
            raise
        return _refuse(reason_of(error))


def _let_threads_sleep() -> None:
    """Have threads that wait for others give up their core, unless the user decides.

    Otherwise they occupy it for milliseconds at every layer of a network, and the thread that they
    wait for may need it. OpenMP reads this when torch is imported.
    """
    decided = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    if "torch" not in sys.modules and not any(name in os.environ for name in decided):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def load_command(name: str) -> tuple[Callable[[Any], int | None], type]:
    """Import the module of a command.

    Returns:
        Its function, and the dataclass of its options.
    """
    module, _, function = COMMANDS[name].target.partition(":")
    run = getattr(import_module(module), function)
    return run, get_type_hints(run)["options"]


def _run(name: str, words: Sequence[str]) -> int:
    # Here and not on top: the overview needs neither tyro nor the configuration.
    from evdet.cli.options import parse, refuse_retired

    refuse_retired(name, words)
    run, options_type = load_command(name)
    summary = COMMANDS[name].summary
    with unescaped_output():  # in colour, on a terminal
        options: Any = parse(options_type, words, prog=f"evdet {name}", summary=summary)
    return run(options) or 0


def _refuse(message: str) -> int:
    print(f"evdet: {message}", file=sys.stderr)
    return 2


def _end(stop: BaseException) -> int:
    status = exit_status(stop)
    what = {130: "interrupted", 143: "terminated"}.get(status, "hung up")
    # Ends what the frames hold, such as a progress bar, before the line is printed.
    traceback.clear_frames(stop.__traceback__)
    # Standard error may have ended with its terminal.
    with contextlib.suppress(OSError):
        print(f"evdet: {what}; {str(stop) or 'files written so far are kept'}", file=sys.stderr)
    return status


def _overview() -> str:
    lines = ["usage: evdet COMMAND [OPTIONS]", "", "Train and run object detectors with memory."]
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines += ["", f"{group}:"]
        lines += [
            f"  {name:12}{command.summary}"
            for name, command in COMMANDS.items()
            if command.group == group
        ]
    return "\n".join(
        [
            *lines,
            "",
            "options:",
            "  --help      Show this overview; evdet COMMAND --help lists the options of a command",
            "  --version   Show the version",
            "  --debug     Show the traceback of an error",
        ]
    )
