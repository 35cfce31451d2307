"""`evdet convert`: a recording of any format -> DAT, RAW or HDF5, cut and filtered on the way."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from evdet.cli.options import Flag, ReadingOptions, check_above, check_at_least, counted, default
from evdet.cli.terminal import tqdm
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
    parse_size,
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


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Convert a recording to .dat, .raw (EVT3), .h5 or .hdf5 (DSEC layout)."""

    source: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="IN")]]
    """Event recording of any format; sample and sample-nmnist are bundled with evdet."""
    output: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """File to write; the ending is the format: .dat, .raw (EVT3), .h5 or .hdf5 (DSEC layout)."""
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


def convert(options: ConvertOptions) -> None:
    """Write the file, and print how many events it has.

    Raises:
        ValueError: an option is out of range.
        RecordingError: the recording is damaged; the events before the damage are written.
    """
    check_at_least(0, options, "start", "background_filter")
    check_above(0, options, "duration")
    check_output(options.output, overwrite=options.force)
    options = replace(options, source=find_recording(options.source))
    prepare_files([options.output], read=recording_files(options.source))
    stated = options.sensor_size
    size = None if stated is None else parse_size(stated, name="--sensor-size")
    start, end = _interval(options)
    recording = open_recording(
        options.source,
        size=size,
        shift_time=options.shift_time,
        options=options.reading.options(),
    )
    filters = _filters(recording, options)
    num_bytes = recording.num_bytes
    with tqdm(
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
    recording: Recording, options: ConvertOptions
) -> dict[str, Callable[[Events], Events]]:
    """The filters by what they remove, in the order in which they run."""
    filters: dict[str, Callable[[Events], Events]] = {}
    if options.remove_hot_pixels:
        pixels = _find_hot_pixels(recording)
        mask = hot_pixel_mask(pixels, readable_size(recording))
        name = f"events of {counted(len(pixels), 'hot pixel')}"
        filters[name] = lambda events: remove_hot_pixels(events, mask)
    if options.background_filter:
        removal = NoiseRemoval(
            readable_size(recording), background_filter=options.background_filter
        )
        filters["events of background activity"] = lambda events: removal.clean(events)[0]
    return filters


def _find_hot_pixels(recording: Recording) -> HotPixels:
    """The first of two passes: over what can be read."""
    with tqdm(desc="Finding hot pixels", unit=" events", unit_scale=True, leave=False) as bar:
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
