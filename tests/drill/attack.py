"""An attack on evdet, and how a command answered it."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Answer", "Attack", "Command", "Skipped", "evdet"]

PROGRAM = (sys.executable, "-c", "import sys; from evdet.cli import main; sys.exit(main())")
# What torch, Lightning and a small detector take by themselves is about 700 MB.
MAX_MB = 1500
MAX_SECONDS = 60.0


class Skipped(Exception):  # noqa: N818 - it is no error
    """The machine cannot run this attack; the message says why."""


@dataclass(frozen=True)
class Attack:
    """One row of the table."""

    kind: str
    """Heading of the row, such as "full disk"."""
    name: str
    """What is done, as a sentence without a full stop."""
    run: Callable[[Path], str | None]
    """Gets an empty folder; returns what went wrong, or None. May raise `Skipped`."""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    status: int
    """Exit status as a shell reports it: 128 + N after signal N."""
    out: str
    err: str
    seconds: float
    """From start to end."""
    cpu_seconds: float
    """Of the process and its children: a busy machine does not change it."""
    peak_mb: int
    """Most resident memory, of the process and its children, in MB."""

    def unlike(
        self,
        status: int,
        *says: str,
        max_mb: int = MAX_MB,
        max_seconds: float = MAX_SECONDS,
        max_lines: int = 1,
    ) -> str | None:
        """What differs from a good answer; None where nothing does.

        Args:
            status: the exit status that is right.
            says: parts of the message that must be there, in any order.
            max_mb: the most memory that is right.
            max_seconds: the longest time of the processor that is right; one that waits without
                end is killed.
            max_lines: lines of standard error that begin with "evdet:" or stand after one, if the
                status is 2.
        """
        last = self.err.strip().splitlines()[-1:] or [""]
        if "Traceback" in self.err + self.out:
            return f"traceback: {last[0]}"
        if self.status != status:
            return f"status {self.status} instead of {status}: {last[0]}"
        missing = [part for part in says if part not in self.err + self.out]
        if missing:
            return f"does not say {missing[0]!r}: {last[0]}"
        lines = self.err.strip().splitlines()
        own = next((i for i, line in enumerate(lines) if line.startswith("evdet:")), len(lines))
        if status == 2 and not 1 <= len(lines) - own <= max_lines:
            return f"{len(lines) - own} lines instead of one: {last[0]}"
        if self.peak_mb > max_mb:
            return f"{self.peak_mb} MB, more than {max_mb}"
        if self.cpu_seconds > max_seconds:
            return f"{self.cpu_seconds:.1f} s, more than {max_seconds:g}"
        return None


class Command:
    """A command that runs: for attacks that signal it, or feed its standard input.

    Args:
        words: after `evdet`.
        folder: working folder.
        stdin: a file's descriptor or `subprocess.PIPE`; by default nothing.
        max_bytes: files larger than this cannot be written; by default no limit.
        env: further environment variables.
        program: what stands before the words, instead of `evdet`.
    """

    def __init__(
        self,
        words: Sequence[str | Path],
        folder: Path,
        *,
        stdin: int = subprocess.DEVNULL,
        max_bytes: int | None = None,
        env: dict[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        def limit() -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if max_bytes is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails with EFBIG
                resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))

        self._began = time.perf_counter()
        self.process = subprocess.Popen(
            [*program, *map(str, words)],
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(env or {})},
            preexec_fn=limit,
            start_new_session=True,
        )
        self._texts = {"out": b"", "err": b""}
        self._readers = [
            threading.Thread(target=self._read, args=("out", self.process.stdout), daemon=True),
            threading.Thread(target=self._read, args=("err", self.process.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, stream: object) -> None:
        with stream:  # type: ignore[attr-defined]
            while chunk := stream.read1(1 << 16):  # type: ignore[attr-defined]
                self._texts[name] += chunk

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._texts["err"].decode(errors="replace")

    def wait_for(self, is_there: Callable[[], bool], seconds: float = MAX_SECONDS) -> bool:
        """Wait until something is there, or the command ends; returns whether it is there."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and self.runs and not is_there():
            time.sleep(0.02)
        return is_there()

    @property
    def runs(self) -> bool:
        """Whether the process has not ended; `answer` can still be asked for how it did."""
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, ended) is None

    def send(self, number: int) -> None:
        """Send a signal to the process, not to its children."""
        self.process.send_signal(number)

    def answer(self, seconds: float = MAX_SECONDS) -> Answer:
        """Wait for the end; a command that takes longer is killed, with status 137."""
        killer = threading.Timer(seconds, self.process.kill)
        killer.start()
        _, raw, usage = os.wait4(self.process.pid, 0)
        took = time.perf_counter() - self._began
        killer.cancel()
        status = os.waitstatus_to_exitcode(raw)
        self.process.returncode = status
        for reader in self._readers:
            reader.join(timeout=5)
        if self.process.stdin is not None:
            self.process.stdin.close()
        return Answer(
            status=status if status >= 0 else 128 - status,
            out=self._texts["out"].decode(errors="replace"),
            err=self.err,
            seconds=took,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_mb=usage.ru_maxrss >> 10,
        )


def evdet(
    *words: str | Path,
    folder: Path,
    seconds: float = MAX_SECONDS,
    max_bytes: int | None = None,
    env: dict[str, str] | None = None,
) -> Answer:
    """Run a command to its end, in a process of its own.

    Args:
        words: after `evdet`.
        folder: working folder.
        seconds: it is killed after this time.
        max_bytes: files larger than this cannot be written; by default no limit.
        env: further environment variables.
    """
    return Command(words, folder, max_bytes=max_bytes, env=env).answer(seconds)
