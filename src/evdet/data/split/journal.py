"""The journal of a split: what it is doing, so that one that was killed can be undone."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, TypeAlias

from evdet.atomic_file import remove_leftovers, write_text
from evdet.labels import FolderError
from evdet.processes import held

__all__ = ["SPLIT_JOURNAL", "How", "Journal", "Step", "undo_split"]

SPLIT_JOURNAL = ".evdet-split.json"
"""Lies in a folder while it is split; afterwards only if the split was killed."""

How: TypeAlias = Literal["move", "link", "copy"]
_HOWS = ("move", "link", "copy")


class Step(NamedTuple):
    """A file or folder and its new place."""

    source: Path
    target: Path
    link: str | None
    """Of a relative symbolic link that is moved: where it leads."""


@dataclass(frozen=True)
class Journal:
    """All steps of a split; it is written before the first, and removed after the last."""

    folder: Path
    how: How
    parts: Mapping[str, tuple[str, ...]]
    """The files of each split, relative to the folder, with / between folders."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Where the relative symbolic links among them lead."""

    @property
    def path(self) -> Path:
        """The journal's file."""
        return self.folder / SPLIT_JOURNAL

    def steps(self) -> list[Step]:
        """The steps, in order."""
        return [
            Step(self.folder / name, self.folder / split / name, self.links.get(name))
            for split, names in self.parts.items()
            for name in names
        ]

    def write(self) -> None:
        """Write the journal, or nothing.

        Raises:
            WriteError: it cannot be written.
        """
        content = {"how": self.how, "parts": self.parts, "links": self.links}
        write_text(self.path, json.dumps(content, indent=0) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Journal":
        """Read the journal of a folder.

        Raises:
            FolderError: it is damaged, or names files outside the folder.
        """
        path = folder / SPLIT_JOURNAL
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            journal = _from_json(folder, content)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise FolderError(
                f"{path} is not a journal of evdet ({error}). Move recordings that are in train/, "
                f"val/ or test/ back if the split is not complete, then remove it"
            ) from error
        journal._check_inside()
        return journal

    def undo(self) -> int:
        """Undo all steps that were done, the last one first, and remove the journal.

        Returns:
            How many files and folders were put back, or were removed again.

        Raises:
            FolderError: a file was changed by others since; the journal stays.
            OSError: a step cannot be undone; the journal stays.
        """
        steps = self.steps()
        num_undone = sum(_undo(step, self.how) for step in reversed(steps))
        if self.how == "copy":  # the copy that was being written
            remove_leftovers(step.target for step in steps)
        for folder in sorted(
            {parent for step in steps for parent in self._made(step)}, reverse=True
        ):
            with contextlib.suppress(OSError):  # it has files of others, or was never made
                folder.rmdir()
        self.path.unlink(missing_ok=True)
        return num_undone

    def _made(self, step: Step) -> Iterator[Path]:
        """The folders that a step makes, the inner ones first."""
        for parent in step.target.parents:
            if parent == self.folder:
                return
            yield parent

    def _check_inside(self) -> None:
        """Refuse a journal from elsewhere whose steps would leave the folder."""
        root = os.path.realpath(self.folder)
        folders = {step.source.parent for step in self.steps()}
        folders |= {step.target.parent for step in self.steps()}
        for folder in folders:
            real = os.path.realpath(folder)
            if real != root and not real.startswith(os.path.join(root, "")):
                raise FolderError(
                    f"{self.path} names files in {real}, outside {self.folder}: move them back by "
                    "hand, then remove it"
                )


def undo_split(folder: Path) -> int | None:
    """Undo a split that was killed.

    Args:
        folder: as it was given to the split.

    Returns:
        How many files and folders were put back, or were removed again; None where no split was
        begun that has not ended.

    Raises:
        FolderError: a split is in work, or its files were changed since.
        OSError: a file cannot be put back; undoing goes on the next time.
    """
    if not (folder / SPLIT_JOURNAL).is_file():
        return None
    with held(folder) as is_free:
        if not is_free:
            raise FolderError(f"{folder} is being split by another process: wait for its end")
        return Journal.read(folder).undo()


def _from_json(folder: Path, content: Mapping[str, Any]) -> Journal:
    how, parts, links = content["how"], content["parts"], content["links"]
    if how not in _HOWS:
        raise ValueError(f"how is {how!r}")
    for split, names in parts.items():
        if PurePosixPath(split).parts != (split,) or split == "..":
            raise ValueError(f"a split is named {split!r}")
        for name in names:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"a file is named {name!r}")
    if not all(isinstance(text, str) for text in links.values()):
        raise ValueError("a link leads nowhere")
    return Journal(
        folder, how, {split: tuple(names) for split, names in parts.items()}, dict(links)
    )


def _undo(step: Step, how: How) -> bool:
    """Undo a step, as far as it was done; returns whether anything was."""
    source, target, link = step
    if not os.path.lexists(target):
        return False
    if how != "move":
        if not os.path.lexists(source):
            raise FolderError(
                f"{source} is gone, so that {target} stays: move it to its place, then split again"
            )
        _remove(target)
        return True
    if link is not None:
        if not os.path.lexists(source):
            source.symlink_to(link)
        target.unlink()
        return True
    if os.path.lexists(source):
        raise FolderError(
            f"{source} and {target} both exist: move one of them away, then split again"
        )
    target.rename(source)
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
