"""The journal of a folder of results: which inputs are finished, made from what, and how."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import evdet
from evdet.atomic_file import write_error
from evdet.cli.many.inputs import size_of
from evdet.cli.many.jobs import Job

__all__ = ["Entry", "Journal", "Settings"]

Settings = Mapping[str, str]
"""What decides the results besides the inputs: options as the user types them, with values."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a journal: an input whose outputs are begun, or finished."""

    source: str
    """The input, as a path from the folder of results on."""
    outputs: tuple[str, ...]
    """Likewise."""
    settings: dict[str, str] = field(default_factory=dict)
    is_finished: bool = False
    num_bytes: int = 0
    """Of the input, when it was read."""
    modified_ns: int = 0
    """Likewise: its time of modification."""
    evdet: str = ""
    """The version that made the outputs."""
    noted_ns: int = 0
    """When the line was written, in nanoseconds since 1970."""


class Journal:
    """The journals of one command in a folder; several processes have one each.

    Lines are appended and not changed, so that a killed process loses one line at most.

    Args:
        folder: of the results.
        command: the name of the command.
        rank: of this process among several of torchrun.
    """

    def __init__(self, folder: Path, command: str, *, rank: int = 0) -> None:
        self.folder = folder
        self.command = command
        self.path = folder / f"evdet-{command}{f'-{rank}' * (rank > 0)}.jsonl"
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}

    def read(self) -> None:
        """Read what earlier commands noted; lines that cannot be understood are left out."""
        self._entries, self._owners = {}, {}
        paths = sorted(self.folder.glob(f"evdet-{self.command}*.jsonl"))
        lines = [line for path in paths for line in _lines_of(path)]
        entries = [entry for line in lines if (entry := _parse(line)) is not None]
        for entry in sorted(entries, key=lambda one: one.noted_ns):
            self._take(entry)

    @property
    def outputs(self) -> list[Path]:
        """The files that the command wrote into the folder, as far as they are known."""
        return [self.folder / name for name in self._owners]

    @property
    def files(self) -> list[Path]:
        """The journals themselves."""
        return [self.path, *self.folder.glob(f"evdet-{self.command}*.jsonl")]

    def is_finished(self, job: Job, settings: Settings) -> bool:
        """Whether all outputs of a job are there, made from this input with these settings."""
        entry = self._entries.get(self._name(job.source))
        if entry is None or not entry.is_finished or entry.settings != dict(settings):
            return False
        if self.has_changed(job):
            return False
        there = {name for name in entry.outputs if (self.folder / name).exists()}
        suffixes = {path.suffix for path in job.outputs}
        # Whatever they are called: the names depend on the inputs that were named with this one.
        return suffixes <= {Path(name).suffix for name in there}

    def other_settings(self, job: Job, settings: Settings) -> list[str]:
        """The settings in which results of a job differ, in words; none without results."""
        entry = self._entries.get(self._name(job.source))
        if entry is None or not entry.is_finished:
            return []
        names = [*settings, *(name for name in entry.settings if name not in settings)]
        without = "left out"
        return [
            f"{name} {entry.settings.get(name, without)}, now {settings.get(name, without)}"
            for name in names
            if entry.settings.get(name) != settings.get(name)
        ]

    def has_changed(self, job: Job) -> bool:
        """Whether results of a job are finished, but of an earlier state of its input."""
        entry = self._entries.get(self._name(job.source))
        if entry is None or not entry.is_finished:
            return False
        return (entry.num_bytes, entry.modified_ns) != _version_of(job.source)

    def foreign_outputs(self, job: Job) -> list[tuple[Path, str | None]]:
        """Outputs of a job that exist, and are not known as such: path, and the input they are of.

        The input is None where the journal does not know the file.
        """
        own = self._name(job.source)
        found: list[tuple[Path, str | None]] = []
        for path in job.outputs:
            owner = self._owners.get(self._name(path))
            if os.path.lexists(path) and owner != own:
                found.append((path, owner))
        return found

    def note_begun(self, jobs: Iterable[Job], settings: Settings) -> None:
        """Write down the jobs that are begun now.

        Raises:
            WriteError: the journal cannot be written.
        """
        self._append([self._entry(job, settings, is_finished=False) for job in jobs])

    def note_finished(self, job: Job, settings: Settings) -> None:
        """Write down that all outputs of a job are complete, made from its input as it was begun.

        Raises:
            WriteError: the journal cannot be written.
        """
        begun = self._entries.get(self._name(job.source))
        entry = self._entry(job, settings, is_finished=True)
        if begun is not None and not begun.is_finished:
            entry = replace(entry, num_bytes=begun.num_bytes, modified_ns=begun.modified_ns)
        self._append([entry])

    def _entry(self, job: Job, settings: Settings, *, is_finished: bool) -> Entry:
        num_bytes, modified_ns = _version_of(job.source)
        return Entry(
            source=self._name(job.source),
            outputs=tuple(self._name(path) for path in job.outputs),
            settings=dict(settings),
            is_finished=is_finished,
            num_bytes=num_bytes,
            modified_ns=modified_ns,
            evdet=evdet.__version__,
            noted_ns=time.time_ns(),
        )

    def _take(self, entry: Entry) -> None:
        """A later line replaces those of its input, and of other inputs with its outputs."""
        for name in entry.outputs:
            owner = self._owners.get(name)
            if owner not in (None, entry.source):
                self._entries.pop(str(owner), None)
            self._owners[name] = entry.source
        self._entries[entry.source] = entry

    def _name(self, path: Path) -> str:
        return _relative(path, self.folder)

    def _append(self, entries: Sequence[Entry]) -> None:
        lines = [json.dumps(asdict(entry), ensure_ascii=True) + "\n" for entry in entries]
        try:
            with self.path.open("ab+") as file:
                # After a line that a killed process did not complete.
                if file.tell() and not _ends_with_a_line(file):
                    file.write(b"\n")
                file.write("".join(lines).encode())
        except OSError as error:
            raise write_error(self.path, error) from error
        for entry in entries:
            self._take(entry)


def _ends_with_a_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _parse(line: str) -> Entry | None:
    """An entry; None for what is none."""
    try:
        content = json.loads(line)
        entry = Entry(**{**content, "outputs": tuple(content["outputs"])})
        texts = (entry.source, *entry.outputs, *entry.settings.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    numbers = (entry.num_bytes, entry.modified_ns, entry.noted_ns)
    is_sound = all(isinstance(text, str) for text in texts)
    return entry if is_sound and all(isinstance(number, int) for number in numbers) else None


def _version_of(path: Path) -> tuple[int, int]:
    """Size and time of modification; of a folder, those of all its files together."""
    try:
        latest = path.stat().st_mtime_ns
    except OSError:
        return 0, 0
    if path.is_dir():
        for here, _, names in os.walk(path):
            for name in names:
                latest = max(latest, os.lstat(os.path.join(here, name)).st_mtime_ns)
    return size_of(path), latest


def _relative(path: Path, folder: Path) -> str:
    """A path from a folder on, with slashes; absolute where there is none, as on another drive."""
    place = os.path.join(os.path.realpath(path.absolute().parent), path.name)
    try:
        return Path(os.path.relpath(place, os.path.realpath(folder))).as_posix()
    except ValueError:
        return Path(place).as_posix()
