"""Damage files and read them: whatever they hold, they are read or refused, quickly and small."""

import os
import pickle
import re
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from evdet.events.dtypes import RecordingError
from evdet.events.files import ReadOptions
from evdet.events.recording import Recording, open_recording

__all__ = ["Failure", "Outcome", "damage", "draw_damage", "exercise", "fuzz", "memory_bound"]

Damage = tuple[Any, ...]
"""A kind of damage, where in the file as a share of its length, and what with."""

NUMBERS = (b"-1", b"0", b"1", b"65535", b"99999999999999999999", b"1e400", b"nan", b"", b"0x10")
WORDS = (b"\xff" * 2, b"\xff" * 4, b"\xff" * 8, b"\x00" * 4, b"\x00" * 16, b"\xff\xff\xff\x7f",
         b"\xff" * 7 + b"\x7f", b"\x00\x00\x00\x80")  # fmt: skip
# What a damaged file may take in memory beyond what its decoder always takes.
FIXED_MEMORY, MEMORY_PER_BYTE = 64 << 20, 64
SECONDS_PER_FILE = 20.0
MAX_BINS = 100
MAX_BLOCK = 1 << 20  # events


def damage(content: bytes, kinds: list[Damage]) -> bytes:
    """Apply one damage after the other to a file's bytes."""
    for kind, where, what in kinds:
        at = min(int(where * len(content)), max(0, len(content) - 1))
        if kind == "cut":
            content = content[:at]
        elif kind == "flip" and content:
            changed = bytearray(content)
            changed[at] ^= 1 << what % 8
            content = bytes(changed)
        elif kind == "insert":
            content = content[:at] + what + content[at:]
        elif kind == "overwrite":
            content = content[:at] + what + content[at + len(what) :]
        elif kind == "remove":
            content = content[:at] + content[at + what :]
        elif kind == "repeat":
            content = content[: at + what] + content[at:]
        elif kind == "number":
            content = _replace_number(content, where, what)
        elif kind == "lines":
            lines = content.split(b"\n", 8)
            first, second = what % len(lines), at % len(lines)
            lines[first], lines[second] = lines[second], lines[first]
            content = b"\n".join(lines)
    return content


def _replace_number(content: bytes, where: float, number: bytes) -> bytes:
    found = list(re.finditer(rb"\d+", content[:400]))
    if not found:
        return content
    match = found[int(where * len(found)) % len(found)]
    return content[: match.start()] + number + content[match.end() :]


def draw_damage(random: Random) -> list[Damage]:
    """Choose one to four kinds of damage, half of them near the beginning of the file."""
    kinds: list[Damage] = []
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        where = random.random() ** random.choice((1, 6))
        kind = random.choice(
            ("cut", "flip", "flip", "insert", "overwrite", "overwrite", "remove", "repeat",
             "number", "lines")
        )  # fmt: skip
        what: object = random.randrange(1, 64)
        if kind == "insert":
            what = random.randbytes(random.randrange(1, 9))
        elif kind == "overwrite":
            what = random.choice((random.choice(WORDS), random.randbytes(random.randrange(1, 9))))
        elif kind == "number":
            what = random.choice(NUMBERS)
        kinds.append((kind, where, what))
    return kinds


def exercise(path: Path, format_name: str | None = None) -> str:
    """Open a file, ask for everything a recording knows, and read it in every way.

    Args:
        path: the file.
        format_name: how it is read, if its content does not tell.

    Returns:
        "read", "damaged" where events came before a refusal, or "refused".
    """
    try:
        recording = open_recording(path, options=ReadOptions(format=format_name))
    except RecordingError as error:
        _check_message(error, path)
        return "refused"
    answer, num_events = "read", 0
    try:
        for block in recording.blocks():
            assert len(block) <= MAX_BLOCK
            num_events += len(block)
    except RecordingError as error:
        _check_message(error, path)
        answer = "damaged"
    num_sliced = _exercise_slices(recording, path)
    # Whatever lies before the damage is delivered, bin by bin as well as in blocks. A late event
    # behind the damage may be found by its time.
    is_all = num_sliced is None or num_sliced >= num_events
    assert is_all, f"{num_sliced} events in bins, {num_events} in blocks"
    assert answer == "damaged" or num_sliced in (None, num_events)
    try:
        _ = recording.size, str(recording), len(recording)
        middle = (recording.start + recording.end) // 2
        assert recording.duration >= 0
        times = recording.slice(middle - 10_000, middle + 10_000)["t"]
        assert ((times >= middle - 10_000) & (times < middle + 10_000)).all()
        assert recording.triggers["t"].min(initial=0) >= 0
    except RecordingError as error:
        _check_message(error, path)
        answer = "damaged"
    return answer if num_events or answer == "read" else "refused"


def _exercise_slices(recording: Recording, path: Path) -> int | None:
    """The events in all bins; None where there are too many bins to read them all."""
    num_events, previous = 0, None
    try:
        for number, (start, delta_t, events) in enumerate(recording.slices(50_000)):
            assert previous is None or start == previous + delta_t
            previous = start
            if len(events):
                times = events["t"]
                assert times[0] >= start
                assert times[-1] < start + delta_t
                assert (times[1:] >= times[:-1]).all()
                assert events["p"].max() <= 1
                num_events += len(events)
            if number == MAX_BINS:
                return None
    except RecordingError as error:
        _check_message(error, path)
    return num_events


def _check_message(error: RecordingError, path: Path) -> None:
    assert path.name in str(error), f"the message does not name the file: {error}"
    assert len(str(error)) < 1000 + len(str(path)), f"the message is long: {error}"


def memory_bound(num_bytes: int) -> int:
    """Bytes of memory that reading a file of so many bytes may take at its peak."""
    return FIXED_MEMORY + MEMORY_PER_BYTE * num_bytes


@dataclass
class Failure:
    """A file that was neither read nor refused."""

    number: int
    reason: str
    content: bytes


@dataclass
class Outcome:
    """What became of the files."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    peak_memory: int = 0
    slowest: float = 0.0


def fuzz(
    originals: list[bytes],
    suffix: str,
    *,
    count: int,
    wrap: Callable[[bytes], bytes] = bytes,
    read: Callable[[Path], str] | None = None,
    format_name: str | None = None,
    seed: int = 0,
    first: int = 0,
    progress: Callable[[int], object] | None = None,
    max_failures: int = 20,
) -> Outcome:
    """Read so many damaged files, in a process that may crash or hang without harm.

    Args:
        originals: valid files.
        suffix: of their names.
        count: how many files.
        wrap: makes a file of the damaged bytes.
        read: reads a file and says what became of it; None is `exercise`.
        format_name: how they are read, if their content does not tell.
        seed: with the file's number, says how it is damaged.
        first: number of the first file.
        progress: called with the number of files done since it was called before.
        max_failures: end after so many.

    Returns:
        What became of them.
    """
    outcome, number = Outcome(), first
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    try:
        while number < first + count and len(outcome.failures) < max_failures:
            job = Job(folder, originals, suffix, wrap, seed, read, format_name)
            done = _in_a_process(job, range(number, first + count))
            ended_at = number
            for kind, at, detail in done:
                if kind == "answer":
                    outcome.answers[detail[0]] += 1
                    outcome.slowest = max(outcome.slowest, detail[1])
                    outcome.peak_memory = max(outcome.peak_memory, detail[2])
                else:
                    content = job.make_file(at)
                    outcome.failures.append(Failure(at, detail, content))
                ended_at = at + 1
                if progress is not None:
                    progress(1)
                if len(outcome.failures) >= max_failures:
                    break
            number = ended_at
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


@dataclass(frozen=True)
class Job:
    """What a child process needs to know."""

    folder: Path
    originals: list[bytes]
    suffix: str
    wrap: Callable[[bytes], bytes]
    seed: int
    read: Callable[[Path], str] | None = None
    format_name: str | None = None

    def exercise(self, path: Path) -> str:
        """Read one file in every way."""
        if self.read is not None:
            return self.read(path)
        return exercise(path, *([self.format_name] if self.format_name else []))

    def make_file(self, number: int) -> bytes:
        """The damaged file of that number."""
        random = Random(f"{self.seed} {number}")
        return self.wrap(damage(random.choice(self.originals), draw_damage(random)))


def _in_a_process(job: Job, numbers: range) -> Iterator[tuple[str, int, Any]]:
    """What a child process says of each file; its death and its silence are answers, too."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            _child(writing, job, numbers)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    at, source, buffered = numbers.start, os.fdopen(reading, "rb"), b""
    failure = None
    try:
        while at < numbers.stop and failure is None:
            if b"\n" in buffered:
                line, buffered = buffered.split(b"\n", 1)
                kind, number, detail = pickle.loads(bytes.fromhex(line.decode()))
                at = number + 1
                yield kind, number, detail
            elif not select.select([source], [], [], SECONDS_PER_FILE)[0]:
                failure = f"no answer after {SECONDS_PER_FILE:g} s"
            else:
                more = os.read(source.fileno(), 1 << 16)
                buffered += more
                failure = None if more else "the process died"
    finally:
        source.close()
        os.kill(child, signal.SIGKILL)  # it has ended, hangs, or is not asked any more
        _, status = os.waitpid(child, 0)
    if failure is not None:
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {status}"
        yield "failure", at, f"{failure} ({how})"


def _child(pipe: int, job: Job, numbers: range) -> None:
    # Libraries in other languages write their complaints there, once per file.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for index, original in enumerate(job.originals):  # whatever is loaded or compiled once
        path = job.folder / f"original{index}{job.suffix}"
        path.write_bytes(job.wrap(original))
        job.exercise(path)
        path.unlink()
    for number in numbers:
        path = job.folder / f"{number}{job.suffix}"
        content = job.make_file(number)
        path.write_bytes(content)
        before = _highest_memory()
        traced = number % 50 == 0
        if traced:
            tracemalloc.start()
        began = time.perf_counter()
        try:
            answer = job.exercise(path)
            seconds = time.perf_counter() - began
            grown = _highest_memory() - before
            if traced:
                grown = max(grown, tracemalloc.get_traced_memory()[1])
            message: tuple[str, int, Any] = ("answer", number, (answer, seconds, grown))
            if grown > memory_bound(len(content)):
                message = ("failure", number, f"{grown >> 20} MB for {len(content)} bytes")
        except BaseException:
            message = ("failure", number, traceback.format_exc())
        finally:
            if traced:
                tracemalloc.stop()
        os.write(pipe, pickle.dumps(message).hex().encode() + b"\n")
        for left in job.folder.iterdir():
            left.unlink()


def _highest_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
