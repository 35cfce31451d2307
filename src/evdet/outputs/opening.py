"""open_outputs: detected frames -> files that are complete at any moment.

with open_outputs(["found.csv", "found.mp4"], stream, class_names) as outputs:
for found in detect(stream, detector):
outputs.write(found)
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evdet.draw import (
    RerunWriter,
    Trails,
    VideoWriter,
    check_rerun_available,
    check_video_available,
    draw_caption,
    draw_tracks,
    upscale,
)
from evdet.events import events_to_picture
from evdet.labels import BOX_SUFFIXES, BoxWriter
from evdet.outputs.unbroken import UnbrokenWrites
from evdet.pipeline import DetectedFrame
from evdet.shapes import Picture
from evdet.sources import FrameStream

__all__ = ["OUTPUT_SUFFIXES", "OutputError", "Outputs", "check_outputs", "open_outputs"]

_VIDEO_SUFFIX, _RERUN_SUFFIX = ".mp4", ".rrd"
OUTPUT_SUFFIXES = (_VIDEO_SUFFIX, *BOX_SUFFIXES, _RERUN_SUFFIX)
"""How the names of outputs end: a video, boxes, a recording for the viewer rerun."""

# Pictures are at least so wide: boxes and names need the room.
_WIDTH = 600
# More are not seen; of shorter windows every n-th is drawn.
_MAX_FRAMES_PER_SECOND = 60


class OutputError(RuntimeError):
    """An output cannot be written, or not further."""


def open_outputs(
    paths: Sequence[str | os.PathLike[str]],
    stream: FrameStream,
    class_names: Sequence[str] | Mapping[int, str],
    *,
    first_bin: int | None = None,
    is_tracked: bool = False,
) -> "Outputs":
    """Write what is found to files, frame by frame; a context manager.

    The files can be read at any moment, after a Ctrl-C, a full disk or a damaged source, too. Older
    files are replaced when the first frame is written, or at the end of a source without frames.

    Args:
        paths: the files; their endings say what: .mp4 a video, .npy box events, .csv a table, .json
            COCO results, .txt MOT, .rrd a recording for the viewer rerun.
        stream: what is played.
        class_names: the detector's classes in its order, numbered from 0 on disk; or the id on
            disk and the name of each, as `choose_label_ids` gives them.
        first_bin: number of the bin in which an event recording starts, from bin 0 at time 0;
            None takes the first bin that is written.
        is_tracked: the boxes have track numbers: draw trails.

    Returns:
        The outputs; `write` takes the next frame.

    Raises:
        ValueError: an unknown ending, a missing folder, or a file that is named twice.
        VideoUnavailableError, RerunUnavailableError: a library is missing.
    """
    files = [Path(path) for path in paths]
    check_outputs(files, ())
    label_ids = class_names if isinstance(class_names, Mapping) else dict(enumerate(class_names))
    return Outputs(files, stream, label_ids, first_bin=first_bin, is_tracked=is_tracked)


def check_outputs(paths: Sequence[Path], sources: Sequence[Path]) -> None:
    """Refuse what cannot be written, before any long work.

    Args:
        paths: the files to write.
        sources: files that are read, and must stay.

    Raises:
        ValueError: an ending that nobody knows, a missing folder, or a file that is read.
        VideoUnavailableError, RerunUnavailableError: a library is missing.
    """
    for path in paths:
        if path.suffix.lower() not in OUTPUT_SUFFIXES:
            raise ValueError(
                f"nobody knows how to write {path}: outputs end in {', '.join(OUTPUT_SUFFIXES)}"
            )
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name a file to write")
        if not path.absolute().parent.is_dir():
            raise ValueError(f"there is no folder {path.parent} for {path.name}")
        for source in sources:
            if path.exists() and source.exists() and path.samefile(source):
                raise ValueError(f"{path} is read: name another file to write")
    twice = [path for i, path in enumerate(paths) if path.absolute() in _absolute(paths[:i])]
    if twice:
        raise ValueError(f"{twice[0]} is named twice as an output")
    suffixes = {path.suffix.lower() for path in paths}
    if _VIDEO_SUFFIX in suffixes:
        check_video_available()
    if _RERUN_SUFFIX in suffixes:
        check_rerun_available()


class Outputs:
    """All outputs of a detection; `open_outputs` makes them, and has checked the paths.

    Args:
        paths: the files to write.
        stream: what is played.
        label_ids: id on disk and name of each class, in the detector's order.
        first_bin: number of the bin in which an event recording starts, from bin 0 at time 0;
            None takes the first bin that is written.
        is_tracked: the boxes have track numbers: draw trails.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        stream: FrameStream,
        label_ids: Mapping[int, str],
        *,
        first_bin: int | None = None,
        is_tracked: bool = False,
    ) -> None:
        self.paths = tuple(paths)
        self._stream = stream
        self._label_ids = label_ids
        self._label_map = ["background", *label_ids.values()]
        self._first_bin = first_bin
        self._first_number: int | None = None
        self._last_number = -1
        self._trails = Trails() if is_tracked else None
        self._writers: list[tuple[Path, _Writer]] = []
        self._interrupts = UnbrokenWrites()

    def __enter__(self) -> "Outputs":
        """Hold Ctrl-C back from now on, where it would leave half a frame."""
        self._interrupts.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish all files; a source that ended without frames leaves files without boxes.

        Raises:
            OutputError: one of them could not be finished, and what was written before stays.
        """
        try:
            with self.unbroken():
                try:
                    if kind is None:
                        self._open_all()
                finally:
                    self._close_all()
        finally:
            self._interrupts.__exit__()

    def unbroken(self) -> contextlib.AbstractContextManager[None]:
        """Do more than `write` as a whole: a Ctrl-C of that time comes afterwards."""
        return self._interrupts.held()

    def write(self, found: DetectedFrame) -> None:
        """Write the boxes of a frame, and what they are drawn on.

        Args:
            found: the next frame.

        Raises:
            OutputError: the disk is full; what was written before is complete.
        """
        with self.unbroken():
            self._open_all()
            number = self._number(found)
            if self._trails is not None:
                self._trails.add(found.t, found.boxes)
            for path, writer in self._writers:
                with _naming(path):
                    writer.write(found, number)

    def _open_all(self) -> None:
        """Replace older files by ones that hold nothing yet; opened once, it does nothing."""
        if self._writers:
            return
        for path in self.paths:
            with _naming(path):
                self._writers.append((path, self._open(path)))

    def _close_all(self) -> None:
        with contextlib.ExitStack() as stack:
            for path, writer in self._writers:
                stack.enter_context(_naming(path))
                stack.callback(writer.close)
        self._writers = []

    def _open(self, path: Path) -> "_Writer":
        suffix = path.suffix.lower()
        if suffix == _VIDEO_SUFFIX:
            return self._video(path)
        if suffix == _RERUN_SUFFIX:
            return self._rerun(path)
        return self._boxes(path)

    def _boxes(self, path: Path) -> "_Writer":
        writer = BoxWriter(path, self._label_ids)
        ids = np.array([0, *(class_id + 1 for class_id in self._label_ids)], np.uint32)

        def write(found: DetectedFrame, number: int) -> None:
            boxes = found.boxes.copy()
            boxes["class_id"] = ids[boxes["class_id"]]
            writer.write(boxes, frame=number)

        return _Writer(write, writer.close)

    def _video(self, path: Path) -> "_Writer":
        rate = 1e6 / self._stream.delta_t
        every = math.ceil(rate / _MAX_FRAMES_PER_SECOND)
        writer = VideoWriter(path, rate / every)
        scale = max(1, -(-_WIDTH // self._stream.size.width))

        def write(found: DetectedFrame, number: int) -> None:
            place, rest = divmod(number - (self._first_number or 0), every)
            if not rest:
                writer.write(self._picture(found, number, scale), place)

        return _Writer(write, writer.close)

    def _rerun(self, path: Path) -> "_Writer":
        writer = RerunWriter(path, self._label_map)

        def write(found: DetectedFrame, number: int) -> None:
            picture = _plain_picture(found, self._stream)
            is_photo = found.frame.picture is not None
            writer.write(found.t, picture, found.boxes, self._trails, is_photo=is_photo)

        return _Writer(write, writer.close)

    def _picture(self, found: DetectedFrame, number: int, scale: int) -> Picture:
        plain = upscale(_plain_picture(found, self._stream), scale)
        drawn = draw_tracks(
            plain, found.boxes, self._label_map, self._trails, t=found.t, scale=scale
        )
        return draw_caption(drawn, f"{number * self._stream.delta_t / 1e6:.3f} s")

    def _number(self, found: DetectedFrame) -> int:
        """Number of a frame, from 0 at the start of its source, as readers of labels count."""
        delta_t = self._stream.delta_t
        if found.frame.events is None:
            # Of pictures whose times are not even the first alone has a number by its time.
            is_first = self._first_number is None
            number = round(found.t / delta_t) if is_first else self._last_number + 1
        else:
            # A bin is stamped with its end.
            time_bin = found.t // delta_t - 1
            if self._first_bin is None:
                self._first_bin = time_bin
            number = time_bin - self._first_bin
        if self._first_number is None:
            self._first_number = number
        self._last_number = number
        return number


class _Writer(NamedTuple):
    """An opened output."""

    write: Callable[[DetectedFrame, int], None]
    """Takes a frame and its number."""
    close: Callable[[], None]


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of an error which output it concerns."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error


def _plain_picture(found: DetectedFrame, stream: FrameStream) -> Picture:
    """The events of a frame, or the picture as its source has it."""
    if found.frame.picture is not None:
        return found.frame.picture
    if found.frame.events is None:
        raise ValueError("a frame without events or a picture cannot be drawn")
    return events_to_picture(found.frame.events, stream.size)


def _absolute(paths: Sequence[Path]) -> list[Path]:
    return [path.absolute() for path in paths]
