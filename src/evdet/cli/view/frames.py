"""`evdet view --frames`: numbered pictures to annotate, and what an annotation tool reads."""

import contextlib
from pathlib import Path
from typing import NamedTuple

from evdet.atomic_file import remove_leftovers
from evdet.cli.options import (
    check_writable,
    counted,
)
from evdet.cli.view.options import MAX_FRAMES_PER_SECOND, ViewOptions
from evdet.cli.view.progress import Progress
from evdet.data import labels_beside
from evdet.draw import write_video
from evdet.events import (
    Recording,
    SensorSize,
    readable_size,
)
from evdet.labels import (
    LABEL_MAP_FILE,
    PRELABEL_SUFFIXES,
    FramesToLabel,
    LabeledTimes,
    RecordingSpan,
    describe_counts,
    read_boxes,
    write_cvat,
    write_label_studio,
)
from evdet.outputs import (
    View,
    bins_to_show,
    check_folder_apart,
    check_picture_folder,
    number_of_picture,
    picture_name,
    prepare_files,
    write_pictures,
)

__all__ = ["write_frames"]


def write_frames(options: ViewOptions, folder: Path) -> None:
    """Write numbered pictures, and the video and the pre-labels that belong to them.

    Args:
        options: of the command.
        folder: for the pictures.

    Raises:
        ValueError: options do not fit, or files would be replaced.
        RecordingError: the recording is damaged; the pictures show what comes before.
    """
    _check_frame_options(options)
    recording = options.open()
    size = readable_size(recording)
    start = round(options.start * 1e6)
    end = None if options.duration is None else start + max(1, round(options.duration * 1e6))
    bins = bins_to_show(recording, View(delta_t=options.delta_t, start=start, end=end))
    first = bins.start - recording.start // options.delta_t
    frames = range(first, first + len(bins))
    check_picture_folder(folder, frames, overwrite=options.force)
    check_folder_apart(folder, read=options.files_read)
    there = (path for path in _pictures_in(folder) if number_of_picture(path) in frames)
    prepare_files([], derived=there, read=options.files_read)
    remove_leftovers([], folders=[folder])
    _check_counted(options, size, first)
    prelabels = None if options.prelabels is None else _labels_for(options, recording, size)
    pictures = Progress(
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
        check_writable(path, read=options.files_read)
        if path.exists() and not options.force:
            raise ValueError(f"cannot write {path}: it exists (--force overwrites it)")
    prepare_files([options.output, options.prelabels], read=options.files_read)
    if options.output is not None and 1e6 / options.delta_t > MAX_FRAMES_PER_SECOND:
        raise ValueError(
            f"cannot write {options.output}: {1e6 / options.delta_t:g} frames/s, at most "
            f"{MAX_FRAMES_PER_SECOND} are supported (try a longer --delta-t)"
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
    label_map = options.class_names()
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
