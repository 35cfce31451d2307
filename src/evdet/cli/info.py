"""`evdet info`: a recording -> its numbers, and a small picture of its event rate."""

import re
import shutil
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from evdet.atomic_file import write_bytes
from evdet.cli.options import ReadingOptions, check_writable, counted, default, required
from evdet.cli.terminal import tqdm
from evdet.events import (
    LONG_GAP,
    PEAK_WINDOW,
    HotPixels,
    RateOverTime,
    Recording,
    RecordingError,
    RecordingSummary,
    SensorSize,
    StreamChoiceError,
    Triggers,
    open_recording,
    parse_size,
    pick_hot_pixels,
    summarize,
)
from evdet.outputs import prepare_files, recording_files
from evdet.samples import find_recording

__all__ = ["InfoOptions", "describe_recording", "draw_rate", "info"]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ROWS = 3
_NUM_NAMED_PIXELS = 5
# Smaller files are read before a progress bar would be visible.
_LARGE_FILE = 100_000_000
# Some cameras count microseconds since 1970; a count between the years 2001 and 2096 is a date.
_DATES = (10**15, 4 * 10**15)


@dataclass(frozen=True, kw_only=True)
class InfoOptions:
    """Summarize event recordings: format, sensor, times, rates, faults."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, required("FILE ...")]
    """Event recordings of any format; sample and sample-nmnist are bundled with evdet."""
    png: Annotated[Path | None, default("none", "FILE")] = None
    """PNG file: event rate and events per pixel, hot pixels circled; one per recording."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""


def info(options: InfoOptions) -> None:
    """Describe each recording; one that cannot be read does not stop the others.

    Raises:
        RecordingError: a recording could not be read, or not to its end.
    """
    if not options.files:
        raise ValueError("no recording given: evdet info FILE ...")
    options = replace(options, files=tuple(find_recording(path) for path in options.files))
    pictures = _check_pictures(options)
    stated = options.sensor_size
    size = None if stated is None else parse_size(stated, name="--sensor-size")
    broken = []
    for path in options.files:
        print(path)
        problems = _describe_streams(options, path, size, pictures)
        print("".join(_line("problem", problem) + "\n" for problem in problems), end="")
        if problems:
            broken.append(str(path))
    if broken:
        raise RecordingError(
            f"{len(broken)} of {counted(len(options.files), 'recording')} not read to the end: "
            f"{', '.join(broken)} (problems are listed above)"
        )


def describe_recording(
    recording: Recording, summary: RecordingSummary, hot_pixels: HotPixels
) -> list[str]:
    """Put a recording's numbers into lines, without the picture of the rate.

    Args:
        recording: the recording.
        summary: its numbers.
        hot_pixels: its hot pixels, the worst first.
    """
    num_bytes = recording.num_bytes
    lines = [
        _line("format", f"{recording.format}, {' '.join(_short(num_bytes))}B"),
        _line("sensor", _sensor(recording, summary)),
    ]
    if summary.start is None or summary.end is None:
        return [*lines, _line("events", "none"), *_triggers(recording.triggers)]
    share = summary.num_on / summary.num_events
    per_event = f"{num_bytes / summary.num_events:.1f} bytes each"
    return [
        *lines,
        _line("start", _time(summary.start)),
        _line("duration", f"{summary.duration / 1e6:.6f} s"),
        _line("events", f"{summary.num_events:,}, {per_event}"),
        _line("rate", f"{_rate(summary.mean_rate)} on average, {_rate(summary.peak_rate)} at most "
              f"(over {PEAK_WINDOW // 1000} ms)"),
        _line("polarity", f"{share:.1%} ON, {1 - share:.1%} OFF"),
        _line("hot pixels", _hot_pixels(summary, hot_pixels)),
        _line("time order", _order(summary)),
        _line("gaps", _gaps(summary)),
        _line("dropped", f"{recording.num_dropped:,} events beyond the sensor" if
              recording.num_dropped else "none"),
        *_triggers(recording.triggers),
    ]  # fmt: skip


def draw_rate(rate: RateOverTime, *, columns: int, rows: int = _ROWS) -> list[str]:
    """Draw the rate over time with characters, the highest column from bottom to top.

    Args:
        rate: events over time.
        columns: characters to draw in.
        rows: lines to draw in.

    Returns:
        The lines, top first; none without events.
    """
    counts = rate.resample(columns).per_second().sum(axis=0)
    highest = counts.max(initial=0)
    if not highest:
        return []
    steps = len(_BLOCKS) - 1
    # A single event stays visible, however low its column.
    heights = [max(1, round(count / highest * rows * steps)) if count else 0 for count in counts]
    return [
        "".join(_BLOCKS[min(max(height - row * steps, 0), steps)] for height in heights).rstrip()
        for row in reversed(range(rows))
    ]


def _check_pictures(options: InfoOptions) -> list[Path | None]:
    """Refuse pictures that would replace a recording, or each other; returns their files."""
    pictures = [_picture_path(options, path) for path in options.files]
    for picture in pictures:
        check_writable(picture, suffixes=(".png",))
    read = [file for path in options.files for file in recording_files(path)]
    # Of a recording with several streams; how many it has is known when it is open.
    numbered = {file for picture in pictures if picture for file in _numbered_beside(picture)}
    prepare_files(pictures, derived=sorted(numbered - set(pictures)), read=read)
    return pictures


def _numbered_beside(picture: Path) -> list[Path]:
    """The existing files x-0.png, x-1.png, ... beside x.png."""
    name = re.compile(rf"{re.escape(picture.stem)}-\d+{re.escape(picture.suffix)}")
    return [path for path in picture.parent.iterdir() if name.fullmatch(path.name)]


def _describe_streams(
    options: InfoOptions, path: Path, size: SensorSize | None, pictures: Container[Path | None] = ()
) -> list[str]:
    """Print the numbers of the chosen stream, or of each one, and return the problems."""
    reading = options.reading.options()
    png = _picture_path(options, path)
    try:
        problem = _describe(open_recording(path, size=size, options=reading), png)
    except StreamChoiceError as error:
        if reading.stream is not None or not error.streams:
            return [str(error)]
        problems = []
        for number, stream in enumerate(error.streams):
            print(_line("stream", f"{stream} ({number + 1} of {len(error.streams)})"))
            chosen = replace(options, reading=replace(options.reading, stream=stream))
            own = None if png is None else png.with_stem(f"{png.stem}-{number}")
            if own is not None and own in pictures:
                raise ValueError(
                    f"cannot write {own}: two recordings would write it; describe them one by one"
                ) from None
            chosen = replace(chosen, png=own, files=(path,))
            problems += _describe_streams(chosen, path, size)
        print(_line("streams", "every other command reads one of them: --stream "
                    f"{' or --stream '.join(error.streams)}"))  # fmt: skip
        return problems
    except RecordingError as error:
        problem = str(error)
    return [] if problem is None else [problem]


def _describe(recording: Recording, png: Path | None) -> str | None:
    """Print the numbers of a recording, and return its problem."""
    is_small = recording.num_bytes < _LARGE_FILE
    with tqdm(
        desc="Reading", unit=" events", unit_scale=True, leave=False, disable=is_small
    ) as bar:
        summary = summarize(recording, progress=bar.update)
    hot_pixels = pick_hot_pixels(summary.pixel_counts, summary.duration + 1)
    print("\n".join(describe_recording(recording, summary, hot_pixels)))
    if summary.num_events:
        columns = max(16, min(shutil.get_terminal_size().columns, 120) - 4)
        print("\n".join(f"  |{line}" for line in draw_rate(summary.rate, columns=columns)))
        highest = summary.rate.resample(columns).per_second().sum(axis=0).max()
        print(f"  |rate over time; the highest column is {_rate(float(highest))}")
    if png is not None and summary.num_events:
        # Here, because matplotlib triples the time of a plain `evdet info`.
        from evdet.report import plot_recording

        write_bytes(png, plot_recording(recording.path.name, summary, hot_pixels))
        print(_line("picture", str(png)))
    return summary.problem


def _picture_path(options: InfoOptions, path: Path) -> Path | None:
    if options.png is None or len(options.files) == 1:
        return options.png
    return options.png.with_stem(f"{options.png.stem}-{path.name}")


def _line(name: str, value: str) -> str:
    return f"  {name:12} {value}"


def _sensor(recording: Recording, summary: RecordingSummary) -> str:
    # Not `recording.size`: it may need another pass over the events, which the damage ends.
    size = SensorSize(*summary.pixel_counts.shape)
    return f"{size}, {recording.size_source}" if size.width else "unknown"


def _time(time: int) -> str:
    said = f"{time / 1e6:.6f} s"
    if not _DATES[0] <= time < _DATES[1]:
        return said
    date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
    return f"{said}, which is {date:%Y-%m-%d %H:%M:%S} UTC if the camera counts from 1970"


def _triggers(triggers: Triggers) -> list[str]:
    """A line for each channel: its edges, and how often they rise."""
    lines = []
    for channel in np.unique(triggers["id"]).tolist():
        own = triggers[triggers["id"] == channel]
        rising = own["t"][own["p"] == 1]
        said = f"channel {channel}: {len(rising):,} rising, {len(own) - len(rising):,} falling"
        if len(rising) > 1 and rising[-1] > rising[0]:
            rate = (len(rising) - 1) / float(rising[-1] - rising[0]) * 1e6
            said += f"; {rate:.6g} rising per second, from {rising[0] / 1e6:.6f} s"
        lines.append(_line("triggers", said))
    return lines


def _order(summary: RecordingSummary) -> str:
    if not summary.largest_step_back:
        return "sorted by time"
    steps = "1 step" if summary.num_steps_back == 1 else f"{summary.num_steps_back:,} steps"
    return (
        f"{steps} back, the largest by {summary.largest_step_back:,} us; "
        "events are sorted within a time bin"
    )


def _gaps(summary: RecordingSummary) -> str:
    if summary.longest_gap_start is None or summary.start is None:
        return "none"
    where = f"{(summary.longest_gap_start - summary.start) / 1e6:.3f} s"
    longest = f"the longest of {_seconds(summary.longest_gap)} at {where}"
    if not summary.num_gaps:
        return f"none over {LONG_GAP / 1e6:g} s; {longest}"
    return (
        f"{summary.num_gaps:,} over {LONG_GAP / 1e6:g} s, together "
        f"{_seconds(summary.gaps_duration)}; {longest}"
    )


def _hot_pixels(summary: RecordingSummary, hot_pixels: HotPixels) -> str:
    if not len(hot_pixels):
        return "none"
    share = summary.pixel_counts[hot_pixels["y"], hot_pixels["x"]].sum() / summary.num_events
    worst = hot_pixels[:_NUM_NAMED_PIXELS]
    named = ", ".join(f"({pixel['x']}, {pixel['y']})" for pixel in worst)
    more = ", ..." if len(hot_pixels) > len(worst) else ""
    return (
        f"{len(hot_pixels):,}, with {share * 100:.2g}% of the events; at (x, y) {named}{more}, "
        f"the worst with {_rate(float(hot_pixels['rate'][0]))}"
    )


def _rate(rate: float | int) -> str:
    return f"{''.join(_short(rate))} events/s"


def _short(number: float | int) -> tuple[str, str]:
    """A number and the letter of its thousands: 2.1 and M."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g}", letter
    return f"{number:.3g}", ""


def _seconds(time: int) -> str:
    return f"{time / 1e6:.3g} s" if time >= 100_000 else f"{time / 1e3:.3g} ms"
