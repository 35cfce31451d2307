"""The options of a command that takes many files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from evdet.cli.options import Flag, check_result_folder, default

__all__ = ["MAX_JOBS", "ManyOptions"]

MAX_JOBS = 256
"""The largest number of processes of `--jobs`."""


@dataclass(frozen=True, kw_only=True)
class ManyOptions:
    """Several files, folders and what they become."""

    output_dir: Annotated[Path | None, default("none", "DIR")] = None
    """Folder for the results of several files, in the folders that the files lie in."""
    save: Annotated[tuple[str, ...], default("none", "FORMAT ...")] = ()
    """With --output-dir: the formats to write for each file."""
    overwrite: Flag = False
    """With --output-dir: do finished files again, and replace files of other origin."""
    jobs: Annotated[int, default("1", "N")] = 1
    """Number of files to process at the same time; 0: as many as accelerators, or cores."""

    def check(self, formats: tuple[str, ...]) -> None:
        """Refuse values that do not fit each other.

        Args:
            formats: what the command can write, without the dot.

        Raises:
            ValueError: the message names the option.
        """
        if not 0 <= self.jobs <= MAX_JOBS:
            raise ValueError(f"--jobs must be from 0 (automatic) to {MAX_JOBS}, got {self.jobs}")
        check_result_folder(self.output_dir)
        named = ("--save", self.save), ("--overwrite", self.overwrite)
        for option, is_given in named:
            if is_given and self.output_dir is None:
                raise ValueError(f"{option} needs --output-dir DIR, the folder for the results")
        for text in self.save:
            if text.lower().lstrip(".") not in formats:
                raise ValueError(f"--save cannot write {text!r}: choose from {', '.join(formats)}")
        if self.output_dir is not None and not self.save:
            raise ValueError(
                f"--output-dir needs --save, the formats to write: {', '.join(formats)}"
            )
        if len(set(self.suffixes)) < len(self.suffixes):
            raise ValueError(f"--save names a format twice: {' '.join(self.save)}")

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of the files to write, with the dot."""
        return tuple(f".{text.lower().lstrip('.')}" for text in self.save)
