"""The files that `evdet detect` writes, frame by frame, all of them complete at any moment."""

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from evdet.draw import (
    RerunWriter,
    Trails,
    VideoWriter,
    check_rerun_available,
    check_video_available,
    draw_tracks,
)
from evdet.labels import BOX_SUFFIXES, BoxWriter

if TYPE_CHECKING:
    import numpy as np

    from evdet.pipeline import DetectedFrame
    from evdet.sources import FrameStream

__all__ = ["OutputError", "Outputs", "UnbrokenWrites", "check_outputs"]

VIDEO_SUFFIX, RERUN_SUFFIX = ".mp4", ".rrd"
OUTPUT_SUFFIXES = (VIDEO_SUFFIX, *BOX_SUFFIXES, RERUN_SUFFIX)

# Pictures are at least so wide: boxes and names need the room.
_WIDTH = 600
# More are not seen; of shorter windows every n-th is drawn.
_MAX_FRAMES_PER_SECOND = 60


class OutputError(RuntimeError):
    """An output cannot be written, or not further."""


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
    if VIDEO_SUFFIX in suffixes:
        check_video_available()
    if RERUN_SUFFIX in suffixes:
        check_rerun_available()


class Outputs:
    """All outputs of a detection.

    Args:
        paths: the files to write; `check_outputs` has seen them.
        stream: what is played.
        label_ids: id on disk and name of each class, in the detector's order.
        first_bin: number of the bin in which an event recording starts, from bin 0 at time 0;
            None takes the first bin that is written.
        is_tracked: the boxes have track numbers: draw trails.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        stream: "FrameStream",
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

    def open(self) -> None:
        """Replace older files by ones that hold nothing yet; opened once, it does nothing.

        Raises:
            OutputError: a file cannot be written.
        """
        if self._writers:
            return
        for path in self.paths:
            with _naming(path):
                self._writers.append((path, self._open(path)))

    def write(self, found: "DetectedFrame") -> None:
        """Write the boxes of a frame, and what they are drawn on.

        Args:
            found: the next frame.

        Raises:
            OutputError: the disk is full; what was written before is complete.
        """
        self.open()
        number = self._number(found)
        if self._trails is not None:
            self._trails.add(found.t, found.boxes)
        for path, writer in self._writers:
            with _naming(path):
                writer.write(found, number)

    def close(self) -> None:
        """Finish all files.

        Raises:
            OutputError: one of them could not be finished, and what was written before stays.
        """
        with contextlib.ExitStack() as stack:
            for path, writer in self._writers:
                stack.enter_context(_naming(path))
                stack.callback(writer.close)
        self._writers = []

    def _open(self, path: Path) -> "_Writer":
        suffix = path.suffix.lower()
        if suffix == VIDEO_SUFFIX:
            return self._video(path)
        if suffix == RERUN_SUFFIX:
            return self._rerun(path)
        return self._boxes(path)

    def _boxes(self, path: Path) -> "_Writer":
        import numpy as np

        writer = BoxWriter(path, self._label_ids)
        ids = np.array([0, *(class_id + 1 for class_id in self._label_ids)], np.uint32)

        def write(found: "DetectedFrame", number: int) -> None:
            boxes = found.boxes.copy()
            boxes["class_id"] = ids[boxes["class_id"]]
            writer.write(boxes, frame=number)

        return _Writer(write, writer.close)

    def _video(self, path: Path) -> "_Writer":
        rate = 1e6 / self._stream.delta_t
        every = math.ceil(rate / _MAX_FRAMES_PER_SECOND)
        writer = VideoWriter(path, rate / every)
        scale = max(1, -(-_WIDTH // self._stream.size.width))

        def write(found: "DetectedFrame", number: int) -> None:
            place, rest = divmod(number - (self._first_number or 0), every)
            if not rest:
                writer.write(self._picture(found, number, scale), place)

        return _Writer(write, writer.close)

    def _rerun(self, path: Path) -> "_Writer":
        writer = RerunWriter(path, self._label_map)

        def write(found: "DetectedFrame", number: int) -> None:
            picture = _plain_picture(found, self._stream)
            is_photo = found.frame.picture is not None
            writer.write(found.t, picture, found.boxes, self._trails, is_photo=is_photo)

        return _Writer(write, writer.close)

    def _picture(self, found: "DetectedFrame", number: int, scale: int) -> "np.ndarray":
        from evdet.draw import draw_caption, upscale

        plain = upscale(_plain_picture(found, self._stream), scale)
        drawn = draw_tracks(
            plain, found.boxes, self._label_map, self._trails, t=found.t, scale=scale
        )
        return draw_caption(drawn, f"{number * self._stream.delta_t / 1e6:.3f} s")

    def _number(self, found: "DetectedFrame") -> int:
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


class UnbrokenWrites:
    """Holds Ctrl-C back while an output is written: half a frame would make the file useless.

    As a context manager it takes over the signal; `held` is the inner context.
    """

    def __init__(self) -> None:
        self._is_writing = False
        self._is_pending = False

    def __enter__(self) -> "UnbrokenWrites":
        """Take the signal over, where this is the thread that gets it."""
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signal back."""
        if self._is_main:
            signal.signal(signal.SIGINT, self._before)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Do something whole; a Ctrl-C of that time raises KeyboardInterrupt afterwards."""
        self._is_writing = True
        try:
            yield
        finally:
            self._is_writing = False
        if self._is_pending:
            self._is_pending = False
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._is_writing:
            raise KeyboardInterrupt
        self._is_pending = True


class _Writer(NamedTuple):
    """An opened output."""

    write: "Callable[[DetectedFrame, int], None]"
    """Takes a frame and its number."""
    close: Callable[[], None]


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of an error which output it concerns."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error


def _plain_picture(found: "DetectedFrame", stream: "FrameStream") -> "np.ndarray":
    """The events of a frame, or the picture as its source has it."""
    from evdet.events import events_to_picture

    if found.frame.picture is not None:
        return found.frame.picture
    if found.frame.events is None:
        raise ValueError("a frame without events or a picture cannot be drawn")
    return events_to_picture(found.frame.events, stream.size)


def _absolute(paths: Sequence[Path]) -> list[Path]:
    return [path.absolute() for path in paths]
