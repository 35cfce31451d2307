"""`evdet info`: recordings -> their numbers, and a small picture of the event rate of each."""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from evdet.atomic_file import write_text
from evdet.cli.info.description import print_streams
from evdet.cli.info.pictures import check_pictures, pictures_of
from evdet.cli.many import (
    DoJob,
    Job,
    ManyCommand,
    ManyOptions,
    OpenBar,
    Place,
    is_one_input,
    run_many,
    settings_of,
)
from evdet.cli.options import ReadingOptions, asked_size, default, required
from evdet.cli.terminal import tqdm
from evdet.events import RecordingError
from evdet.samples import find_recording

__all__ = ["InfoOptions", "info"]

_FORMATS = ("png", "txt")


@dataclass(frozen=True, kw_only=True)
class InfoOptions:
    """Summarize event recordings: format, sensor, times, rates, faults."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, required("FILE ...")]
    """Event recordings of any format, and folders of them; sample and sample-nmnist are bundled
    with evdet."""
    png: Annotated[Path | None, default("none", "FILE")] = None
    """PNG file: event rate and events per pixel, hot pixels circled; one per recording."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    many_files: tyro.conf.OmitArgPrefixes[ManyOptions] = field(default_factory=ManyOptions)
    """Several files or folders, and their results."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""


def info(options: InfoOptions) -> None:
    """Describe each recording; one that cannot be read does not stop the others.

    Raises:
        RecordingError: the recording could not be read, or not to its end.
        FailedFilesError: the same of some of many recordings.
    """
    if not options.files:
        raise ValueError("no recording given: evdet info FILE ...")
    options.many_files.check(_FORMATS)
    options.reading.options()
    asked_size(options.sensor_size)
    if options.png is not None and options.many_files.output_dir is not None:
        raise ValueError("--png names the pictures itself: with --output-dir use --save png")
    first = options.files[0]
    is_alone = len(options.files) == 1 and options.many_files.output_dir is None
    if is_alone and is_one_input(str(first)):
        first = find_recording(first)
        check_pictures([] if options.png is None else [options.png], [first])
        print(first)
        _print_one(options, first, options.png, frozenset(), tqdm)
        return
    run_many(
        ManyCommand(
            name="info",
            doing="Reading",
            words=[str(path) for path in options.files],
            work=_InfoWork(options, pictures_of(options.png, options.files)),
            find_in=_find_recordings,
            settings=settings_of(options, but=("files", "many_files", "png")),
            shows_blocks=True,
        ),
        options.many_files,
    )


def _find_recordings(folder: Path) -> list[Path]:
    # Here, because it loads torch, which takes longer than `evdet info`.
    from evdet.data import find_recordings

    return find_recordings(folder)


@dataclass(frozen=True)
class _InfoWork:
    """The description of one of many recordings."""

    options: InfoOptions
    pictures: Mapping[Path, Path]
    """The picture of each recording that `--png` asks for."""

    def start(self, place: Place) -> DoJob:
        """There is nothing to open."""
        return self.do

    def do(self, job: Job, open_bar: OpenBar) -> None:
        """Print the numbers of a recording, and write them where that is asked for."""
        png = job.output(".png") or self.pictures.get(job.source)
        text = job.output(".txt")
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                _print_one(self.options, job.source, png, self._taken, open_bar)
        finally:
            print(printed.getvalue(), end="")
        if text is not None:
            write_text(text, f"{job.source}\n{printed.getvalue()}")

    @property
    def _taken(self) -> frozenset[Path]:
        return frozenset(self.pictures.values())


def _print_one(
    options: InfoOptions,
    path: Path,
    png: Path | None,
    taken: frozenset[Path],
    open_bar: OpenBar,
) -> None:
    problems = print_streams(
        path,
        size=asked_size(options.sensor_size),
        reading=options.reading.options(),
        png=png,
        taken=taken,
        open_bar=open_bar,
    )
    print("".join(f"  {'problem':12} {problem}\n" for problem in problems), end="")
    if problems:
        raise RecordingError("; ".join(problems))
