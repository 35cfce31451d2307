"""`evdet convert`: recordings of any format -> DAT, RAW or HDF5, cut and filtered on the way."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from evdet.cli.many import (
    DoJob,
    Job,
    ManyCommand,
    ManyOptions,
    OpenBar,
    Place,
    run_many,
    settings_of,
)
from evdet.cli.options import (
    Flag,
    ReadingOptions,
    asked_size,
    check_above,
    check_at_least,
    counted,
    default,
    required,
)
from evdet.cli.terminal import tqdm
from evdet.data import find_recordings
from evdet.events import (
    Conversion,
    Events,
    HotPixels,
    Recording,
    RecordingError,
    check_output,
    convert as write,
    hot_pixel_mask,
    open_recording,
    pick_hot_pixels,
    readable_size,
    remove_hot_pixels,
    summarize,
)
from evdet.outputs import prepare_files, recording_files
from evdet.samples import find_recording
from evdet.sources import NoiseRemoval

__all__ = ["ConvertOptions", "convert"]

_LOG = logging.getLogger(__name__)

_FORMATS = ("dat", "raw", "h5", "hdf5")
_NUM_PATHS = 2


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Convert recordings to .dat, .raw (EVT3), .h5 or .hdf5 (DSEC layout)."""

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional, required("IN OUT")]
    """IN: event recording of any format; sample and sample-nmnist are bundled with evdet. OUT: file
    to write; the ending is the format: .dat, .raw (EVT3), .h5 or .hdf5 (DSEC layout). With
    --output-dir: recordings and folders, IN ..."""
    many_files: tyro.conf.OmitArgPrefixes[ManyOptions] = field(default_factory=ManyOptions)
    """Several files or folders, and their results."""
    shift_time: Flag = False
    """Count time from the start of the recording; DAT and EVT3 cannot store every absolute time."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    remove_hot_pixels: Flag = False
    """Drop the events of hot pixels."""
    background_filter: Annotated[int, tyro.conf.arg(metavar="US")] = 0
    """Drops events without a neighbouring event in the last US microseconds; 0 disables it."""
    start: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 0.0
    """Start of the interval to convert, in seconds from the start of the recording."""
    duration: Annotated[float | None, default("up to the end", "SECONDS")] = None
    """Duration of the interval to convert, in seconds."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""
    force: Flag = False
    """Overwrite OUT if it exists."""

    @property
    def source(self) -> Path:
        """The recording to convert."""
        return self.paths[0]

    @property
    def output(self) -> Path:
        """The file to write."""
        return self.paths[1]


def convert(options: ConvertOptions) -> None:
    """Write the file, and print how many events it has; or many files.

    Raises:
        ValueError: an option is out of range.
        RecordingError: the recording is damaged; the events before the damage are written.
        FailedFilesError: some of many recordings failed; the others are converted.
    """
    check_at_least(0, options, "start", "background_filter")
    check_above(0, options, "duration")
    options.reading.options()
    asked_size(options.sensor_size)
    if not options.paths:
        raise ValueError("no recording given: evdet convert IN OUT")
    if options.many_files.output_dir is not None:
        _convert_many(options)
        return
    options.many_files.check(_FORMATS)
    if len(options.paths) != _NUM_PATHS:
        raise ValueError(
            f"convert takes one recording and the file to write, IN OUT, got "
            f"{counted(len(options.paths), 'path')}: for several recordings give --output-dir DIR "
            "and --save, such as --save h5"
        )
    _convert_one(options, tqdm)


def _convert_many(options: ConvertOptions) -> None:
    if options.force:
        raise ValueError("--force is for IN OUT: with --output-dir use --overwrite")
    options.many_files.check(_FORMATS)
    run_many(
        ManyCommand(
            name="convert",
            doing="Converting",
            words=[str(path) for path in options.paths],
            work=_ConvertWork(options),
            find_in=find_recordings,
            settings=settings_of(options, but=("paths", "many_files", "force")),
        ),
        options.many_files,
    )


@dataclass(frozen=True)
class _ConvertWork:
    """The conversion of one of many recordings."""

    options: ConvertOptions

    def start(self, place: Place) -> DoJob:
        """There is nothing to open."""
        return self.do

    def do(self, job: Job, open_bar: OpenBar) -> None:
        """Write the recording in each format."""
        for output in job.outputs:
            _convert_one(replace(self.options, paths=(job.source, output), force=True), open_bar)


def _convert_one(options: ConvertOptions, open_bar: OpenBar) -> None:
    check_output(options.output, overwrite=options.force)
    options = replace(options, paths=(find_recording(options.source), options.output))
    prepare_files([options.output], read=recording_files(options.source))
    size = asked_size(options.sensor_size)
    start, end = _interval(options)
    recording = open_recording(
        options.source,
        size=size,
        shift_time=options.shift_time,
        options=options.reading.options(),
    )
    filters = _filters(recording, options, open_bar)
    num_bytes = recording.num_bytes
    with open_bar(
        total=_num_events(recording),
        desc="Converting",
        unit=" events",
        unit_scale=True,
        leave=False,
    ) as bar:
        conversion = write(
            recording,
            options.output,
            start=start,
            end=end,
            filters=filters,
            progress=bar.update,
        )
    print("\n".join(_describe(options, conversion, num_bytes)))
    if not conversion.num_written and conversion.problem is None:
        reason = "the options remove all" if len(recording) else f"{options.source} has none"
        _LOG.warning("%s has no events: %s", options.output, reason)
    if conversion.problem is not None:
        raise RecordingError(
            f"{conversion.problem} {options.output} has the "
            f"{conversion.num_written:,} events before the damage."
        )


def _interval(options: ConvertOptions) -> tuple[int | None, int | None]:
    """Start and end in microseconds; None does not cut."""
    start = round(options.start * 1e6)
    if options.duration is None:
        return start or None, None
    return start, start + max(1, round(options.duration * 1e6))


def _filters(
    recording: Recording, options: ConvertOptions, open_bar: OpenBar
) -> dict[str, Callable[[Events], Events]]:
    """The filters by what they remove, in the order in which they run."""
    filters: dict[str, Callable[[Events], Events]] = {}
    if options.remove_hot_pixels:
        pixels = _find_hot_pixels(recording, open_bar)
        mask = hot_pixel_mask(pixels, readable_size(recording))
        name = f"events of {counted(len(pixels), 'hot pixel')}"
        filters[name] = lambda events: remove_hot_pixels(events, mask)
    if options.background_filter:
        removal = NoiseRemoval(
            readable_size(recording), background_filter=options.background_filter
        )
        filters["events of background activity"] = lambda events: removal.clean(events)[0]
    return filters


def _find_hot_pixels(recording: Recording, open_bar: OpenBar) -> HotPixels:
    """The first of two passes: over what can be read."""
    with open_bar(desc="Finding hot pixels", unit=" events", unit_scale=True, leave=False) as bar:
        summary = summarize(recording, progress=bar.update)
    return pick_hot_pixels(summary.pixel_counts, summary.duration + 1)


def _num_events(recording: Recording) -> int | None:
    """The goal of the progress bar; a damaged recording may have none."""
    try:
        return len(recording)
    except RecordingError:
        return None


def _describe(options: ConvertOptions, conversion: Conversion, num_bytes: int) -> list[str]:
    after = options.output.stat().st_size
    lines = [f"{options.output}: {conversion.num_written:,} events of {conversion.num_read:,} read"]
    lines += [
        f"  {counted(count, 'event')} outside the interval"
        for count in [conversion.num_cut]
        if count
    ]
    lines += [f"  {count:,} removed: {name}" for name, count in conversion.num_removed.items()]
    share = f" ({after / num_bytes:.2f}x)" if num_bytes else ""
    return [*lines, f"  {num_bytes:,} bytes before, {after:,} after{share}"]
