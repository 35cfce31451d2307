"""open_outputs: detected frames -> files that are complete at any moment.

with open_outputs(["found.csv", "found.mp4"], stream, class_names) as outputs:
for found in detect(stream, detector):
outputs.write(found)
"""

import contextlib
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evdet.atomic_file import WriteError, write_error
from evdet.draw import (
    RerunWriter,
    Trails,
    VideoWriter,
    check_rerun_available,
    check_video_available,
    draw_caption,
)
from evdet.labels import BOX_SUFFIXES, BoxWriter
from evdet.outputs.found_pictures import draw_found, picture_of
from evdet.outputs.picture_size import enlargement
from evdet.outputs.unbroken import UnbrokenWrites
from evdet.outputs.written_files import prepare_files
from evdet.pipeline import DetectedFrame
from evdet.processes import only_writer
from evdet.shapes import Picture
from evdet.sources import FrameStream

__all__ = [
    "OUTPUT_SUFFIXES",
    "OutputError",
    "Outputs",
    "check_output_libraries",
    "check_outputs",
    "open_outputs",
]

_VIDEO_SUFFIX, _RERUN_SUFFIX = ".mp4", ".rrd"
OUTPUT_SUFFIXES = (_VIDEO_SUFFIX, *BOX_SUFFIXES, _RERUN_SUFFIX)
"""File name endings of outputs: a video, boxes, a recording for the viewer rerun."""

# For shorter time bins every n-th is drawn.
_MAX_FRAMES_PER_SECOND = 60
_LEGEND = "   dashed: no events, from memory"
_LEGEND_OF_TRACKS = "   grey: no track"


class OutputError(RuntimeError):
    """An output cannot be written or continued."""


def open_outputs(
    paths: Sequence[str | os.PathLike[str]],
    stream: FrameStream,
    class_names: Sequence[str] | Mapping[int, str],
    *,
    first_bin: int | None = None,
    is_tracked: bool = False,
    has_ages: bool = False,
) -> "Outputs":
    """Open files for detected frames; a context manager.

    The files are readable at any moment, also after a Ctrl-C, with a full disk or a damaged source.
    The first frame replaces older files; without frames the end of the source does.

    Args:
        paths: the files; the ending gives the format: .mp4 video, .npy box events, .csv table,
            .json COCO results, .txt MOT, .rrd recording for the viewer rerun.
        stream: the stream of the frames.
        class_names: the detector's classes in its order, numbered from 0 on disk; or the id on
            disk and the name of each, as `choose_label_ids` gives them.
        first_bin: index of the time bin in which an event recording starts; bin 0 starts at time
            0. None takes the first bin that is written.
        is_tracked: whether the boxes have track ids, so that trails are drawn, and boxes without
            a track are left out of MOT text, whose readers refuse them.
        has_ages: give each box its age, as `age_us`, in all box files but MOT text.

    Raises:
        ValueError: an unknown ending, a missing folder, or a file that is named twice.
        VideoUnavailableError, RerunUnavailableError: a library is missing.
    """
    files = [Path(path) for path in paths]
    check_outputs(files, ())
    label_ids = class_names if isinstance(class_names, Mapping) else dict(enumerate(class_names))
    return Outputs(
        files, stream, label_ids, first_bin=first_bin, is_tracked=is_tracked, has_ages=has_ages
    )


def check_outputs(paths: Sequence[Path], sources: Sequence[Path]) -> None:
    """Check that outputs can be written, before any long work.

    Args:
        paths: the files to write.
        sources: files that are read; they cannot be outputs.

    Raises:
        ValueError: an unsupported ending, a missing folder, a file that is named twice or read.
        VideoUnavailableError, RerunUnavailableError: a library is missing.
    """
    for path in paths:
        if path.suffix.lower() not in OUTPUT_SUFFIXES:
            raise ValueError(
                f"cannot write {path}: unsupported format {path.suffix!r} "
                f"(supported: {', '.join(OUTPUT_SUFFIXES)})"
            )
        if path.is_dir():
            raise ValueError(f"cannot write {path}: it is a folder")
        if not path.absolute().parent.is_dir():
            raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist")
    prepare_files(paths, read=sources)
    check_output_libraries([path.suffix.lower() for path in paths])


def check_output_libraries(suffixes: Collection[str]) -> None:
    """Check that the libraries of outputs are installed.

    Args:
        suffixes: the endings of the outputs, in small letters.

    Raises:
        VideoUnavailableError, RerunUnavailableError: a library is missing.
    """
    if _VIDEO_SUFFIX in suffixes:
        check_video_available()
    if _RERUN_SUFFIX in suffixes:
        check_rerun_available()


class Outputs:
    """All outputs of a detection; `open_outputs` makes it.

    Args:
        paths: the files to write, checked by `check_outputs`.
        stream: the stream of the frames.
        label_ids: id on disk and name of each class, in the detector's order.
        first_bin: as `open_outputs` takes it.
        is_tracked: as `open_outputs` takes it.
        has_ages: as `open_outputs` takes it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        stream: FrameStream,
        label_ids: Mapping[int, str],
        *,
        first_bin: int | None = None,
        is_tracked: bool = False,
        has_ages: bool = False,
    ) -> None:
        self.paths = tuple(paths)
        self._stream = stream
        self._label_ids = label_ids
        self._label_map = ["background", *label_ids.values()]
        self._first_bin = first_bin
        self._first_index: int | None = None
        self._last_index = -1
        self._trails = Trails() if is_tracked else None
        self._has_ages = has_ages
        self._without_pictures: DetectedFrame | None = None
        self.num_untracked = 0
        """Boxes that MOT text leaves out, since they have no track."""
        self._older: dict[Path, _Version | None] = {}
        self._writers: list[tuple[Path, _Writer]] = []
        self._interrupts = UnbrokenWrites()
        self._locks = contextlib.ExitStack()

    def __enter__(self) -> "Outputs":
        """Delay signals from now on while a frame is written.

        Raises:
            BusyError: another process writes one of the files.
        """
        with contextlib.ExitStack() as locks:
            for path in self.paths:
                busy = f"cannot write {path}: another process writes it; name another file"
                lock = only_writer(path.with_name(f".{path.name}.lock"), busy=busy)
                with contextlib.suppress(WriteError):  # the first write says it of the file
                    locks.enter_context(lock)
            self._locks = locks.pop_all()
        self._interrupts.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish all files; a source without frames gives files without boxes.

        Raises:
            OutputError: one of them cannot be finished; the frames before stay in it.
        """
        try:
            with self.unbroken():
                try:
                    if kind is None:
                        self._open_all()
                    if kind is None or not issubclass(kind, OutputError):
                        self.write_pictures()
                finally:
                    self._close_all()
        finally:
            self._interrupts.__exit__()
            self._locks.close()

    def unbroken(self) -> contextlib.AbstractContextManager[None]:
        """Delay Ctrl-C until the end of a block that does more than `write`."""
        return self._interrupts.held()

    def write(self, found: DetectedFrame, *, age: int = 0) -> None:
        """Write the next frame and its boxes.

        Args:
            found: the frame.
            age: of its boxes, in microseconds, for outputs with ages.

        Raises:
            OutputError: the disk is full; the frames before are complete.
        """
        with self.unbroken():
            self.write_boxes(found, age=age)
            self.write_pictures()

    def write_boxes(self, found: DetectedFrame, *, age: int = 0) -> None:
        """Write the next frame to the box files: `write_pictures`, or the end, writes the rest.

        Args:
            found: the frame.
            age: as `write` takes it.

        Raises:
            OutputError: the disk is full; the frames before are complete.
        """
        with self.unbroken():
            self._open_all()
            self._index(found)
            self._write(found, age, shows_pictures=False)
            self._without_pictures = found

    def write_pictures(self) -> None:
        """Write the frame that `write_boxes` wrote last to the videos, which takes longer.

        Raises:
            OutputError: the disk is full; the frames before are complete.
        """
        with self.unbroken():
            found, self._without_pictures = self._without_pictures, None
            if found is None:
                return
            if self._trails is not None:
                self._trails.add(found.t, found.boxes)
            self._write(found, 0, shows_pictures=True)

    def _write(self, found: DetectedFrame, age: int, *, shows_pictures: bool) -> None:
        for path, writer in self._writers:
            if writer.shows_pictures == shows_pictures:
                with _naming(path):
                    writer.write(found, self._last_index, age)

    @property
    def written(self) -> tuple[Path, ...]:
        """The files that were created or replaced."""
        return tuple(path for path, older in self._older.items() if _version_of(path) != older)

    def _open_all(self) -> None:
        """Replace older files by empty ones, in the first call."""
        if self._writers:
            return
        self._older = {path: _version_of(path) for path in self.paths}
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
        writer = BoxWriter(path, self._label_ids, has_ages=self._has_ages)
        ids = np.array([0, *(class_id + 1 for class_id in self._label_ids)], np.uint32)
        # Readers of tracks refuse an id that occurs twice in a frame, -1 included.
        only_tracks = self._trails is not None and path.suffix.lower() == ".txt"

        def write(found: DetectedFrame, index: int, age: int) -> None:
            boxes = found.boxes.copy()
            boxes["class_id"] = ids[boxes["class_id"]]
            if only_tracks:
                self.num_untracked += int((boxes["track_id"] == 0).sum())
                boxes = boxes[boxes["track_id"] > 0]
            writer.write(boxes, frame=index, age=age)

        return _Writer(write, writer.close, shows_pictures=False)

    def _video(self, path: Path) -> "_Writer":
        rate = 1e6 / self._stream.delta_t
        every = math.ceil(rate / _MAX_FRAMES_PER_SECOND)
        writer = VideoWriter(path, rate / every)
        scale = enlargement(self._stream.size)
        shown: int | None = None

        def write(found: DetectedFrame, index: int, age: int) -> None:
            nonlocal shown
            # The times of pictures may be far apart where the rate of their file is high.
            is_photo = found.frame.picture is not None
            # Frames of several time bins, and skipped ones, may pass a multiple of `every`.
            number = (index - (self._first_index or 0)) // every
            if is_photo or number != shown:
                writer.write(self._picture(found, index, scale), found.t)
            shown = number

        return _Writer(write, writer.close, shows_pictures=True)

    def _rerun(self, path: Path) -> "_Writer":
        writer = RerunWriter(path, self._label_map)

        def write(found: DetectedFrame, index: int, age: int) -> None:
            picture = picture_of(found, self._stream.size)
            is_photo = found.frame.picture is not None
            writer.write(found.t, picture, found.boxes, self._trails, is_photo=is_photo)

        return _Writer(write, writer.close, shows_pictures=True)

    def _picture(self, found: DetectedFrame, index: int, scale: int) -> Picture:
        size = self._stream.size
        drawn = draw_found(found, size, self._label_map, self._trails, scale=scale)
        # Pictures have their own times; a time bin is named by its start, from that of the first.
        is_photo = found.frame.picture is not None
        time = found.t if is_photo else index * self._stream.delta_t
        legend = "" if found.frame.events is None else _LEGEND
        if self._trails is not None:
            legend += _LEGEND_OF_TRACKS
        return draw_caption(drawn, f"{time / 1e6:.3f} s{legend}")

    def _index(self, found: DetectedFrame) -> None:
        """Count a frame: its index is from 0 at the start of its source, as label files count."""
        delta_t = self._stream.delta_t
        if found.frame.events is None:
            # Times of pictures may be uneven: only the first index follows from its time.
            is_first = self._first_index is None
            index = round(found.t / delta_t) if is_first else self._last_index + 1
        else:
            # The time of a bin's frame is its end.
            time_bin = found.t // delta_t - 1
            if self._first_bin is None:
                # A frame of several time bins starts with the first of them.
                self._first_bin = (found.t - found.frame.delta_t) // delta_t
            index = time_bin - self._first_bin
        if self._first_index is None:
            self._first_index = index
        self._last_index = index


class _Writer(NamedTuple):
    """An opened output."""

    write: Callable[[DetectedFrame, int, int], None]
    """Takes a frame, its index, and the age of its boxes."""
    close: Callable[[], None]
    shows_pictures: bool
    """Whether it writes pictures, which takes longer than boxes."""


class _Version(NamedTuple):
    """Tells a file from the one that it replaces."""

    inode: int
    modified_ns: int
    num_bytes: int


def _version_of(path: Path) -> _Version | None:
    if not path.exists():
        return None
    status = path.stat()
    return _Version(status.st_ino, status.st_mtime_ns, status.st_size)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the output in its errors."""
    try:
        yield
    except OSError as error:
        raise OutputError(str(write_error(path, error))) from error
