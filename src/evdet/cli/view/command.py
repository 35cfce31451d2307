"""`evdet view`: recordings and their boxes -> videos, pictures, or pictures to annotate."""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from evdet.atomic_file import write_bytes
from evdet.cli.many import (
    DoJob,
    Job,
    ManyCommand,
    OpenBar,
    Place,
    is_one_input,
    run_many,
    settings_of,
)
from evdet.cli.options import (
    asked_size,
    check_above,
    check_at_least,
    check_writable,
)
from evdet.cli.terminal import tqdm
from evdet.cli.view.frames import write_frames
from evdet.cli.view.options import MAX_FRAMES_PER_SECOND, ViewOptions
from evdet.cli.view.progress import Progress
from evdet.data import find_recordings, labels_beside
from evdet.draw import encode_png, write_video
from evdet.events import (
    Recording,
    SensorSize,
)
from evdet.labels import (
    LabelError,
    read_boxes,
)
from evdet.outputs import (
    ShownBoxes,
    View,
    bins_to_show,
    contact_sheet,
    enlargement,
    fit_sheet,
    show_boxes,
    view_frames,
)
from evdet.samples import find_recording

__all__ = ["view"]

# Pixels of a side of H.264.
_MAX_SIDE = 8192
_SUFFIXES = (".mp4", ".png")


def view(options: ViewOptions) -> None:
    """Write the video, the picture or the pictures; or those of many recordings.

    Raises:
        ValueError: an option is out of range.
        RecordingError: the recording is damaged; a video ends before the damage.
        FailedFilesError: some of many recordings failed; the others are done.
    """
    if not options.recordings:
        raise ValueError("no recording given: evdet view RECORDING ...")
    check_at_least(0, options, "start")
    check_at_least(1, options, "delta_t", "pictures", "scale")
    check_above(0, options, "speed", "duration")
    options.reading.options()
    asked_size(options.sensor_size)
    options.many_files.check(tuple(suffix[1:] for suffix in _SUFFIXES))
    if options.many_files.output_dir is not None:
        _view_many(options)
        return
    if len(options.recordings) > 1 or not is_one_input(str(options.recording)):
        raise ValueError(
            "view writes one recording: for several, or a folder, give --output-dir DIR and "
            "--save, such as --save mp4"
        )
    options = replace(options, recordings=(find_recording(options.recording),))
    if options.frames is not None:
        write_frames(options, options.frames)
        return
    if options.output is None:
        raise ValueError("nothing to write: give --output FILE or --frames DIR")
    for name in ("prelabels", "force"):
        if getattr(options, name):
            raise ValueError(f"--{name} belongs to --frames DIR")
    _check_output(options, options.output)
    _write_view(options, options.output, tqdm)


def _view_many(options: ViewOptions) -> None:
    for name in ("output", "frames", "prelabels", "force", "boxes"):
        if getattr(options, name):
            raise ValueError(f"--{name} is for one recording: leave --output-dir or it out")
    run_many(
        ManyCommand(
            name="view",
            doing="Drawing",
            words=[str(path) for path in options.recordings],
            work=_ViewWork(options),
            find_in=find_recordings,
            settings=settings_of(options, but=("recordings", "many_files")),
            read=[] if options.label_map is None else [options.label_map],
        ),
        options.many_files,
    )


@dataclass(frozen=True)
class _ViewWork:
    """The video, or the picture, of one of many recordings."""

    options: ViewOptions

    def start(self, place: Place) -> DoJob:
        """There is nothing to open."""
        return self.do

    def do(self, job: Job, open_bar: OpenBar) -> None:
        """Write each output."""
        options = replace(self.options, recordings=(job.source,))
        for output in job.outputs:
            _check_output(options, output)
            _write_view(options, output, open_bar)


def _write_view(options: ViewOptions, output: Path, open_bar: OpenBar) -> None:
    recording = options.open()
    if options.scale is not None:
        _check_scale(options.scale, recording.size)
    shown = _boxes_of(recording, options)
    start = round(options.start * 1e6)
    shown_view = View(
        delta_t=options.delta_t,
        start=start,
        end=None if options.duration is None else start + max(1, round(options.duration * 1e6)),
        scale=options.scale or enlargement(recording.size),
    )
    if output.suffix.lower() == ".png":
        count = options.pictures
        if options.scale is None:
            shown_view = fit_sheet(recording, shown, shown_view, num_pictures=count)
        sheet = contact_sheet(recording, shown, shown_view, num_pictures=count)
        write_bytes(output, encode_png(sheet))
        print(f"picture: {output}")
        return
    total = len(bins_to_show(recording, shown_view))
    frames = Progress(view_frames(recording, shown, shown_view), total, open_bar=open_bar)
    with contextlib.closing(frames):
        write_video(output, frames, 1e6 / options.delta_t * options.speed)
    print(f"video: {output}")
    frames.raise_problem("The video shows the time bins before the damage.")


def _check_scale(scale: int, size: SensorSize) -> None:
    if scale * max(size) > _MAX_SIDE:
        raise ValueError(
            f"--scale {scale} makes pictures of {scale * size.width}x{scale * size.height} "
            f"pixels: at most {_MAX_SIDE} a side are supported (try --scale "
            f"{max(1, _MAX_SIDE // max(size))})"
        )


def _check_output(options: ViewOptions, output: Path) -> None:
    check_writable(output, suffixes=_SUFFIXES, read=options.files_read)
    rate = 1e6 / options.delta_t * options.speed
    if output.suffix.lower() == ".mp4" and rate > MAX_FRAMES_PER_SECOND:
        raise ValueError(
            f"cannot write {output}: {rate:g} frames/s, at most {MAX_FRAMES_PER_SECOND} "
            f"are supported (try --speed {MAX_FRAMES_PER_SECOND * options.delta_t / 1e6 / 4:.2g})"
        )


def _boxes_of(recording: Recording, options: ViewOptions) -> ShownBoxes:
    """The boxes to draw, with the names of their classes."""
    paths = labels_beside(options.recording) if options.boxes is None else [options.boxes]
    label_map, reasons = options.class_names(), []
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
