"""`evdet convert`: a recording of any format -> DAT, RAW or HDF5, cut and cleaned on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from evdet.events import Conversion, Events, HotPixels, Recording

__all__ = ["ConvertOptions", "convert"]


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Write a recording in another format: .dat, .raw (EVT3), .h5 or .hdf5 (DSEC layout)."""

    source: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="IN")]]
    """A recording of any format."""
    output: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """The file to write; its ending chooses the format."""
    shift_time: bool = False
    """Count time from the recording's start; DAT and EVT3 cannot hold all absolute times."""
    size: Annotated[str | None, tyro.conf.arg(metavar="WIDTHxHEIGHT")] = None
    """The sensor's size, such as 346x260, where the recording does not state it."""
    remove_hot_pixels: bool = False
    """Leave out pixels that fire without cause."""
    remove_noise: Annotated[int | None, tyro.conf.arg(metavar="MICROSECONDS")] = None
    """Leave out events without a neighbour's in so many microseconds before; try 5000."""
    start: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Leave out what comes earlier, in seconds after the recording's start."""
    end: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Leave out what comes later, in seconds after the recording's start."""
    force: bool = False
    """Replace OUT if it exists."""


def convert(options: ConvertOptions) -> None:
    """Write the file, and say what became of the events.

    Args:
        options: what the user asked for.

    Raises:
        RecordingError: the recording is damaged; what lies before has been written.
    """
    from tqdm import tqdm

    from evdet.events import RecordingError, check_output, convert as write, open_recording

    check_output(options.output, overwrite=options.force)
    from evdet.events import parse_size

    size = None if options.size is None else parse_size(options.size, name="--size")
    recording = open_recording(options.source, size=size, shift_time=options.shift_time)
    filters = _filters(recording, options)
    num_bytes = options.source.stat().st_size
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
            start=_microseconds(options.start),
            end=_microseconds(options.end),
            filters=filters,
            progress=bar.update,
        )
    print("\n".join(_describe(options, conversion, num_bytes)))
    if conversion.problem is not None:
        raise RecordingError(
            f"{conversion.problem} {options.output} has the "
            f"{conversion.num_written:,} events before."
        )


def _filters(
    recording: "Recording", options: ConvertOptions
) -> "dict[str, Callable[[Events], Events]]":
    """What is removed, by name, in the order in which it is."""
    from evdet.events import (
        filter_background_activity,
        hot_pixel_mask,
        readable_size,
        remove_hot_pixels,
    )

    filters: dict[str, Callable[[Events], Events]] = {}
    if options.remove_hot_pixels:
        pixels = _find_hot_pixels(recording)
        mask = hot_pixel_mask(pixels, readable_size(recording))
        name = f"events of {len(pixels):,} hot pixel{'s' * (len(pixels) != 1)}"
        filters[name] = lambda events: remove_hot_pixels(events, mask)
    if options.remove_noise is not None:
        window, size, last_event_times = options.remove_noise, readable_size(recording), None

        def remove_noise(events: "Events") -> "Events":
            nonlocal last_event_times
            kept, last_event_times = filter_background_activity(
                events, size, window_us=window, last_event_times=last_event_times
            )
            return kept

        filters["events without a neighbour's shortly before"] = remove_noise
    return filters


def _find_hot_pixels(recording: "Recording") -> "HotPixels":
    """The first of two passes: over what can be read."""
    from tqdm import tqdm

    from evdet.events import pick_hot_pixels, summarize

    with tqdm(desc="Finding hot pixels", unit=" events", unit_scale=True, leave=False) as bar:
        summary = summarize(recording, progress=bar.update)
    return pick_hot_pixels(summary.pixel_counts, summary.duration + 1)


def _num_events(recording: "Recording") -> int | None:
    """The goal of the progress bar; a damaged recording may have none."""
    from evdet.events import RecordingError

    try:
        return len(recording)
    except RecordingError:
        return None


def _microseconds(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if not abs(seconds) < 1e9:
        raise ValueError(f"--start and --end are seconds, got {seconds}")
    return round(seconds * 1e6)


def _describe(options: ConvertOptions, conversion: "Conversion", num_bytes: int) -> list[str]:
    after = options.output.stat().st_size
    lines = [f"{options.output}: {conversion.num_written:,} events of {conversion.num_read:,} read"]
    lines += [
        f"  {count:,} events lie outside the stretch" for count in [conversion.num_cut] if count
    ]
    lines += [f"  {count:,} removed: {name}" for name, count in conversion.num_removed.items()]
    share = f", {after / num_bytes:.2f} times as many" if num_bytes else ""
    return [*lines, f"  {num_bytes:,} bytes before, {after:,} after{share}"]
