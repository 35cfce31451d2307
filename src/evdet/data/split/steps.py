"""Carries out a plan, completely or not at all."""

import os
import shutil
from pathlib import Path

from evdet.atomic_file import replacing, write_error
from evdet.data.split.journal import How, Journal
from evdet.data.split.plan import SplitPlan
from evdet.labels import FolderError
from evdet.processes import held

__all__ = ["do_split"]


def do_split(plan: SplitPlan, how: How = "move") -> None:
    """Carry out a plan, completely or not at all.

    Before the first step a journal of all steps is written into the folder, `SPLIT_JOURNAL`. An
    exception of any kind undoes all steps; after a kill `undo_split` does, which `evdet split`
    calls. Until then `open_folder` refuses the folder.

    Args:
        plan: the split of each recording.
        how: move the files, or put hard links or copies into the new folders. Copies have the
            permissions of new files.

    Raises:
        FolderError: another process splits the folder, or did before this one.
        OSError: a file cannot be placed; all earlier steps are undone.
    """
    folder = plan.folder
    journal = _journal_of(plan, how)
    with held(folder) as is_free:
        if not is_free or journal.path.exists():
            raise FolderError(f"{folder} is being split by another process: wait for its end")
        for split in plan.parts:
            if os.path.lexists(folder / split):
                raise FolderError(f"{folder / split} exists already, and is not changed")
        journal.write()
        try:
            _do(journal)
            journal.path.unlink()
        except BaseException as error:
            try:
                journal.undo()
            except (OSError, FolderError) as second:
                raise FolderError(
                    f"{error}. Not undone yet: {second}. The next split of {folder} goes on undoing"
                ) from error
            raise


def _do(journal: Journal) -> None:
    made: set[Path] = set()
    for source, target, _ in journal.steps():
        try:
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            _place(source, target, journal.how)
        except OSError as error:
            if not os.path.lexists(source) and not os.path.lexists(target):
                raise
            raise write_error(target, error) from error


def _journal_of(plan: SplitPlan, how: How) -> Journal:
    parts: dict[str, tuple[str, ...]] = {}
    links: dict[str, str] = {}
    for split, recordings in plan.parts.items():
        files = [path for part in recordings for path in part.files]
        names = [path.relative_to(plan.folder).as_posix() for path in files]
        parts[split] = tuple(names)
        links |= {
            name: os.readlink(path)
            for name, path in zip(names, files, strict=True)
            if how == "move" and path.is_symlink() and not path.readlink().is_absolute()
        }
    return Journal(plan.folder, how, parts, links)


def _place(source: Path, target: Path, how: How) -> None:
    """Put one file or folder into place."""
    if how == "move":
        if source.is_symlink() and not source.readlink().is_absolute():
            target.symlink_to(source.resolve())  # the text of the link is relative to where it was
            source.unlink()
        else:
            source.rename(target)
    elif source.is_symlink() and how == "link":
        target.symlink_to(source.resolve())
    elif source.is_dir():
        target.mkdir()
        for entry in sorted(source.iterdir()):
            _place(entry, target / entry.name, how)
    elif how == "link":
        target.hardlink_to(source)
    else:
        with replacing(target) as part:
            shutil.copyfile(source, part)
            status = source.stat()
            # An index beside a recording holds its date.
            os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
