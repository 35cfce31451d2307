"""`evdet view`: a recording and its boxes as a video, or as some moments on one picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from evdet.atomic_file import write_bytes

if TYPE_CHECKING:
    import numpy as np

    from evdet.events import Recording
    from evdet.outputs import ShownBoxes

__all__ = ["ViewOptions", "view"]

# Pictures are at least so wide: boxes and names need the room.
_WIDTH = 600
# What screens show.
_MAX_FRAMES_PER_SECOND = 240


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Show a recording with its ground truth, as a video or as one picture."""

    recording: tyro.conf.Positional[Path]
    """A recording of any format."""
    output: Annotated[Path, tyro.conf.arg(metavar="OUT.mp4|OUT.png")]
    """An .mp4 shows all of it, a .png some moments side by side."""
    boxes: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Boxes to draw; by default those beside the recording."""
    label_map: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Names of the classes, as JSON; by default label_map_dictionary.json of the data set."""
    delta_t: int = 50_000
    """Microseconds of events on one picture."""
    speed: float = 1.0
    """How much faster than life the video plays; 0.1 is slow motion."""
    start: float = 0.0
    """Seconds after the recording's start at which to begin."""
    duration: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Seconds to show; by default all that follow."""
    pictures: int = 9
    """Moments on a .png: evenly spread, over those with boxes if there are any."""
    scale: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Enlargement; by default such that small sensors fill 600 pixels."""

    def __post_init__(self) -> None:
        for name in ("delta_t", "speed", "duration", "pictures", "scale"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be more than 0, got {value}")
        if not 0 <= self.start < float("inf"):
            raise ValueError(f"start must be 0 or more seconds, got {self.start}")
        if self.output.suffix.lower() not in (".mp4", ".png"):
            raise ValueError(f"the output must end in .mp4 or .png, got {self.output}")


def view(options: ViewOptions) -> None:
    """Write the video or the picture.

    Args:
        options: what the user asked for.

    Raises:
        RecordingError: the recording is damaged; a video then ends where the damage begins.
    """
    from tqdm import tqdm

    from evdet.draw import encode_png, write_video
    from evdet.events import RecordingError, open_recording
    from evdet.outputs import View, bins_to_show, contact_sheet, view_frames

    _check_output(options)
    recording = open_recording(options.recording)
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

    def frames() -> "Iterator[np.ndarray]":
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
        raise RecordingError(f"{problem} The video shows what lies before.") from problem


def _check_output(options: ViewOptions) -> None:
    if (
        options.output.exists()
        and options.recording.exists()
        and (options.output.samefile(options.recording))
    ):
        raise ValueError(f"{options.output} is the recording itself: name another file to write")
    if not options.output.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {options.output.parent} for {options.output.name}")
    rate = 1e6 / options.delta_t * options.speed
    if options.output.suffix.lower() == ".mp4" and rate > _MAX_FRAMES_PER_SECOND:
        raise ValueError(
            f"{rate:g} frames/s are more than screens show: slow the video down with "
            f"--speed {_MAX_FRAMES_PER_SECOND * options.delta_t / 1e6 / 4:.2g} or so"
        )


def _boxes_of(recording: "Recording", options: ViewOptions) -> "ShownBoxes":
    """The boxes to draw, with the names of their classes."""
    from evdet.data import labels_beside
    from evdet.labels import LabelError, read_boxes
    from evdet.outputs import ShownBoxes, show_boxes

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
    print("\n".join(reasons or [f"no boxes beside {options.recording}: the events alone"]))
    return ShownBoxes()


def _label_map(options: ViewOptions) -> dict[int, str]:
    from evdet.labels import find_label_map, read_label_map

    if options.label_map is not None:
        return read_label_map(options.label_map)
    found = find_label_map(options.recording)
    return {} if found is None else found.names
