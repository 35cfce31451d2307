"""`evdet view`: a recording and its boxes -> a video, or a picture of several time bins."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from evdet.atomic_file import write_bytes
from evdet.cli.options import ReadingOptions, check_above, check_at_least, default
from evdet.data import labels_beside
from evdet.draw import encode_png, write_video
from evdet.events import Recording, RecordingError, open_recording, parse_size
from evdet.labels import LabelError, find_label_map, read_boxes, read_label_map
from evdet.outputs import ShownBoxes, View, bins_to_show, contact_sheet, show_boxes, view_frames
from evdet.shapes import Picture

__all__ = ["ViewOptions", "view"]

# The least width of a picture in pixels: boxes and names need the room.
_WIDTH = 600
# Screens show no more.
_MAX_FRAMES_PER_SECOND = 240
_SUFFIXES = (".mp4", ".png")


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Render a recording and its boxes as a video or as one picture."""

    recording: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RECORDING")]]
    """Event recording of any format."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """File to write: .mp4 a video of every time bin, .png a picture of several of them."""
    boxes: Annotated[Path | None, default("the labels next to the recording", "FILE")] = None
    """Label file with the boxes to draw."""
    label_map: Annotated[
        Path | None, default("label_map_dictionary.json of the data set", "FILE")
    ] = None
    """JSON file with the class names."""
    delta_t: Annotated[int, tyro.conf.arg(metavar="US")] = 50_000
    """Duration of a time bin in microseconds."""
    speed: float = 1.0
    """Playback speed of the video; 1 is real time, 0.1 slow motion."""
    start: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 0.0
    """Start of the interval to render, in seconds from the start of the recording."""
    duration: Annotated[float | None, default("up to the end", "SECONDS")] = None
    """Duration of the interval to render, in seconds."""
    pictures: int = 9
    """Time bins on a .png, evenly spread over those with boxes, or over all without boxes."""
    scale: Annotated[int | None, default("small sensors fill 600 pixels", "INT")] = None
    """Enlargement factor."""


def view(options: ViewOptions) -> None:
    """Write the video or the picture.

    Raises:
        ValueError: an option is out of range.
        RecordingError: the recording is damaged; a video ends before the damage.
    """
    check_at_least(0, options, "start")
    check_at_least(1, options, "delta_t", "pictures", "scale")
    check_above(0, options, "speed", "duration")
    _check_output(options)
    stated = options.sensor_size
    size = None if stated is None else parse_size(stated, name="--sensor-size")
    recording = open_recording(options.recording, size=size, options=options.reading.options())
    shown = _boxes_of(recording, options)
    start = round(options.start * 1e6)
    shown_view = View(
        delta_t=options.delta_t,
        start=start,
        end=None if options.duration is None else start + max(1, round(options.duration * 1e6)),
        scale=options.scale or max(1, -(-_WIDTH // recording.size.width)),
    )
    if options.output.suffix.lower() == ".png":
        sheet = contact_sheet(recording, shown, shown_view, num_pictures=options.pictures)
        write_bytes(options.output, encode_png(sheet))
        print(f"picture: {options.output}")
        return
    problem: RecordingError | None = None

    def frames() -> Iterator[Picture]:
        nonlocal problem
        bar = tqdm(
            view_frames(recording, shown, shown_view),
            desc="Drawing",
            unit="frame",
            total=len(bins_to_show(recording, shown_view)),
            leave=False,
        )
        try:
            yield from bar
        except RecordingError as error:
            if not bar.n:
                raise
            problem = error

    write_video(options.output, frames(), 1e6 / options.delta_t * options.speed)
    print(f"video: {options.output}")
    if problem is not None:
        raise RecordingError(
            f"{problem} The video shows the time bins before the damage."
        ) from problem


def _check_output(options: ViewOptions) -> None:
    suffix = options.output.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(
            f"cannot write {options.output}: unsupported format {suffix!r} "
            f"(supported: {', '.join(_SUFFIXES)})"
        )
    if (
        options.output.exists()
        and options.recording.exists()
        and (options.output.samefile(options.recording))
    ):
        raise ValueError(f"cannot write {options.output}: it is the recording itself")
    if not options.output.absolute().parent.is_dir():
        raise ValueError(
            f"cannot write {options.output}: folder {options.output.parent} does not exist"
        )
    rate = 1e6 / options.delta_t * options.speed
    if suffix == ".mp4" and rate > _MAX_FRAMES_PER_SECOND:
        raise ValueError(
            f"cannot write {options.output}: {rate:g} frames/s, at most {_MAX_FRAMES_PER_SECOND} "
            f"are supported (try --speed {_MAX_FRAMES_PER_SECOND * options.delta_t / 1e6 / 4:.2g})"
        )


def _boxes_of(recording: Recording, options: ViewOptions) -> ShownBoxes:
    """The boxes to draw, with the names of their classes."""
    paths = labels_beside(options.recording) if options.boxes is None else [options.boxes]
    label_map, reasons = _label_map(options), []
    for path in paths:
        try:
            labeled = read_boxes(path, label_map, recording=recording, frame_period=options.delta_t)
        except LabelError as error:
            if options.boxes is not None:
                raise
            reasons.append(f"not drawn: {error}")
        else:
            print(f"boxes: {path}, {len(labeled.boxes):,}")
            return show_boxes(labeled, label_map)
    print("\n".join(reasons or [f"no labels next to {options.recording}: events only"]))
    return ShownBoxes()


def _label_map(options: ViewOptions) -> dict[int, str]:
    if options.label_map is not None:
        return read_label_map(options.label_map)
    found = find_label_map(options.recording)
    return {} if found is None else found.names
