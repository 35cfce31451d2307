"""`evdet view`: a recording and its boxes -> a video, a picture, or pictures to annotate."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

from evdet.atomic_file import remove_leftovers, write_bytes
from evdet.cli.options import (
    Flag,
    ReadingOptions,
    check_above,
    check_at_least,
    check_writable,
    counted,
    default,
)
from evdet.cli.terminal import tqdm
from evdet.data import labels_beside
from evdet.draw import encode_png, write_video
from evdet.events import (
    Recording,
    RecordingError,
    SensorSize,
    open_recording,
    parse_size,
    readable_size,
)
from evdet.labels import (
    LABEL_MAP_FILE,
    PRELABEL_SUFFIXES,
    FramesToLabel,
    LabeledTimes,
    LabelError,
    RecordingSpan,
    describe_counts,
    find_label_map,
    read_boxes,
    read_label_map,
    write_cvat,
    write_label_studio,
)
from evdet.outputs import (
    ShownBoxes,
    View,
    bins_to_show,
    check_folder_apart,
    check_picture_folder,
    contact_sheet,
    enlargement,
    fit_sheet,
    label_maps_of,
    number_of_picture,
    picture_name,
    prepare_files,
    recording_files,
    show_boxes,
    view_frames,
    write_pictures,
)
from evdet.samples import find_recording
from evdet.shapes import Picture

__all__ = ["ViewOptions", "view"]

# Screens show no more.
_MAX_FRAMES_PER_SECOND = 240
_MAX_SIDE = 8192  # pixels of H.264
_SUFFIXES = (".mp4", ".png")


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Render a recording and its boxes as a video or as one picture, or its frames to annotate."""

    recording: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RECORDING")]]
    """Event recording of any format; sample and sample-nmnist are bundled with evdet."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""
    output: Annotated[Path | None, default("none", "FILE")] = None
    """File to write: .mp4 a video of every time bin, .png a picture of several of them."""
    frames: Annotated[Path | None, default("none", "DIR")] = None
    """Folder for pictures to annotate: each time bin, in the sensor's size, without boxes."""
    prelabels: Annotated[Path | None, default("none", "FILE")] = None
    """File to write the boxes to for the annotation tool: .xml for CVAT, .json for Label Studio."""
    boxes: Annotated[Path | None, default("the labels next to the recording", "FILE")] = None
    """Label file with the boxes to draw, or for --prelabels."""
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
    scale: Annotated[
        int | None,
        default("small sensors fill 600 pixels, a .png at most about 1920", "INT"),
    ] = None
    """Enlargement factor."""
    force: Flag = False
    """With --frames: overwrite files that exist."""


def view(options: ViewOptions) -> None:
    """Write the video, the picture or the pictures.

    Raises:
        ValueError: an option is out of range.
        RecordingError: the recording is damaged; a video ends before the damage.
    """
    check_at_least(0, options, "start")
    check_at_least(1, options, "delta_t", "pictures", "scale")
    check_above(0, options, "speed", "duration")
    options = replace(options, recording=find_recording(options.recording))
    if options.frames is not None:
        _write_frames(options, options.frames)
        return
    if options.output is None:
        raise ValueError("nothing to write: give --output FILE or --frames DIR")
    for name in ("prelabels", "force"):
        if getattr(options, name):
            raise ValueError(f"--{name} belongs to --frames DIR")
    _check_output(options, options.output)
    _write_view(options, options.output)


def _open(options: ViewOptions) -> Recording:
    stated = options.sensor_size
    size = None if stated is None else parse_size(stated, name="--sensor-size")
    return open_recording(options.recording, size=size, options=options.reading.options())


def _write_view(options: ViewOptions, output: Path) -> None:
    recording = _open(options)
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
    frames = _Progress(view_frames(recording, shown, shown_view), total)
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


class _Progress:
    """Pictures with a progress bar, up to the damage of the recording."""

    def __init__(self, pictures: Iterator[Picture], total: int) -> None:
        self._bar = tqdm(pictures, desc="Drawing", unit="frame", total=total, leave=False)
        self._problem: RecordingError | None = None
        self.count = 0

    def __iter__(self) -> Iterator[Picture]:
        try:
            for picture in self._bar:
                self.count += 1
                yield picture
        except RecordingError as error:
            if not self.count:
                raise
            self._problem = error

    def close(self) -> None:
        """Remove the bar, so that a message has a line of its own."""
        self._bar.close()

    def raise_problem(self, what: str) -> None:
        if self._problem is not None:
            raise RecordingError(f"{self._problem} {what}") from self._problem


def _write_frames(options: ViewOptions, folder: Path) -> None:
    """Write numbered pictures, and the video and the pre-labels that belong to them."""
    _check_frame_options(options)
    recording = _open(options)
    size = readable_size(recording)
    start = round(options.start * 1e6)
    end = None if options.duration is None else start + max(1, round(options.duration * 1e6))
    bins = bins_to_show(recording, View(delta_t=options.delta_t, start=start, end=end))
    first = bins.start - recording.start // options.delta_t
    frames = range(first, first + len(bins))
    check_picture_folder(folder, frames, overwrite=options.force)
    check_folder_apart(folder, read=_files_read(options))
    there = (path for path in _pictures_in(folder) if number_of_picture(path) in frames)
    prepare_files([], derived=there, read=_files_read(options))
    remove_leftovers([], folders=[folder])
    _check_counted(options, size, first)
    prelabels = None if options.prelabels is None else _labels_for(options, recording, size)
    pictures = _Progress(
        write_pictures(recording, folder, delta_t=options.delta_t, bins=bins, size=size), len(bins)
    )
    with contextlib.closing(pictures):
        if options.output is None:
            for _ in pictures:
                pass
        else:
            write_video(options.output, pictures, 1e6 / options.delta_t)
    last = first + pictures.count - 1
    sides = f"{size.width}x{size.height} pixels"
    print(f"pictures: {folder}, {picture_name(first)} to {picture_name(last)}, {sides}")
    if options.output is not None:
        print(f"video: {options.output}, {counted(pictures.count, 'frame')}")
    if options.prelabels is not None and prelabels is not None:
        shown = FramesToLabel(bins.start, pictures.count, options.delta_t, size)
        _write_prelabels(options, options.prelabels, prelabels, shown)
    print(
        f"a frame lasts {options.delta_t} us: read the labels back with "
        f"--frame-period {options.delta_t} (evdet check, train, score)"
    )
    if first:
        print(
            f"the first picture is frame {first}: export a format that names the pictures (CVAT "
            "for images, COCO, YOLO, VOC, Datumaro), since those that count them (CVAT for video, "
            "MOT) start at 0"
        )
    pictures.raise_problem("The pictures show the time bins before the damage.")


def _pictures_in(folder: Path) -> list[Path]:
    paths = folder.iterdir() if folder.is_dir() else ()
    return [path for path in paths if number_of_picture(path) is not None]


def _check_frame_options(options: ViewOptions) -> None:
    unsuited = [
        name
        for name, is_given in (
            ("--speed", options.speed != 1),
            ("--scale", options.scale is not None),
            ("--boxes", options.boxes is not None and options.prelabels is None),
        )
        if is_given
    ]
    if unsuited:
        raise ValueError(
            f"--frames writes plain pictures in the sensor's size, in real time: leave out "
            f"{unsuited[0]}" + (" or give --prelabels FILE" if unsuited[0] == "--boxes" else "")
        )
    for path, suffixes in ((options.output, (".mp4",)), (options.prelabels, PRELABEL_SUFFIXES)):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise ValueError(
                f"cannot write {path}: with --frames the ending must be {' or '.join(suffixes)}"
            )
        check_writable(path, read=_files_read(options))
        if path.exists() and not options.force:
            raise ValueError(f"cannot write {path}: it exists (--force overwrites it)")
    prepare_files([options.output, options.prelabels], read=_files_read(options))
    if options.output is not None and 1e6 / options.delta_t > _MAX_FRAMES_PER_SECOND:
        raise ValueError(
            f"cannot write {options.output}: {1e6 / options.delta_t:g} frames/s, at most "
            f"{_MAX_FRAMES_PER_SECOND} are supported (try a longer --delta-t)"
        )


def _check_counted(options: ViewOptions, size: SensorSize, first: int) -> None:
    """Refuse a video or pre-labels whose frames would not be those of the recording."""
    path = options.output or options.prelabels
    if first and path is not None:
        raise ValueError(
            f"cannot write {path}: its frames count from 0, and the part begins with frame "
            f"{first}, so its labels would be placed {first} frames early. Cut the part out first: "
            f"evdet convert {options.recording} PART.h5 --start {options.start:g}"
            + ("" if options.duration is None else f" --duration {options.duration:g}")
        )
    height, width = size
    if options.output is not None and (height % 2 or width % 2):
        raise ValueError(
            f"cannot write {options.output}: the sides of a video are even, those of the sensor "
            f"are {size}. Annotate the pictures instead"
        )


class _Prelabels(NamedTuple):
    path: Path
    labeled: LabeledTimes
    label_map: dict[int, str]


def _labels_for(options: ViewOptions, recording: Recording, size: SensorSize) -> _Prelabels:
    found = labels_beside(options.recording) if options.boxes is None else [options.boxes]
    if not found:
        raise ValueError(f"no labels next to {options.recording}: give --boxes FILE")
    label_map = _label_map(options)
    if not label_map:
        raise ValueError(
            f"pre-labels need the names of the classes: give --label-map FILE, such as "
            f"{LABEL_MAP_FILE}"
        )
    span = RecordingSpan(size, recording.start, recording.end)
    labeled = read_boxes(found[0], label_map, recording=span, frame_period=options.delta_t)
    unknown = set((labeled.boxes["class_id"].astype(int) - 1).tolist()) - set(label_map)
    if unknown:
        raise ValueError(
            f"{found[0]} has boxes of the class id {min(unknown)}, and the label map has "
            f"{', '.join(map(str, label_map))}: give the label map of these boxes, --label-map FILE"
        )
    return _Prelabels(found[0], labeled, label_map)


def _write_prelabels(
    options: ViewOptions, path: Path, found: _Prelabels, frames: FramesToLabel
) -> None:
    if path.suffix.lower() == ".xml":
        count = write_cvat(path, found.labeled, found.label_map, frames)
    else:
        video = options.output.name if options.output is not None else "video.mp4"
        count = write_label_studio(
            path, found.labeled, found.label_map, frames, video=f"/data/local-files/?d={video}"
        )
    num_boxes = counted(len(found.labeled.boxes), "box")
    print(f"pre-labels: {path}, {count:,} of {num_boxes} of {found.path}")
    for text in describe_counts(found.labeled.counts):
        print(f"  {text}, and left out")


def _check_output(options: ViewOptions, output: Path) -> None:
    check_writable(output, suffixes=_SUFFIXES, read=_files_read(options))
    rate = 1e6 / options.delta_t * options.speed
    if output.suffix.lower() == ".mp4" and rate > _MAX_FRAMES_PER_SECOND:
        raise ValueError(
            f"cannot write {output}: {rate:g} frames/s, at most {_MAX_FRAMES_PER_SECOND} "
            f"are supported (try --speed {_MAX_FRAMES_PER_SECOND * options.delta_t / 1e6 / 4:.2g})"
        )


def _files_read(options: ViewOptions) -> list[Path | None]:
    belong = [*recording_files(options.recording), *label_maps_of(options.boxes)]
    return [*belong, options.boxes, options.label_map]


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
