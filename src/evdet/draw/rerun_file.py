"""Pictures, boxes and trails -> an .rrd file; the only module that imports rerun."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evdet.atomic_file import replacing
from evdet.draw.boxes import class_color
from evdet.draw.images import encode_jpeg, encode_png
from evdet.draw.tracks import Trails, box_colors, box_texts
from evdet.shapes import BoxEvents, Picture

__all__ = ["RerunUnavailableError", "RerunWriter", "check_rerun_available"]


# Frames after which the file is flushed.
_FLUSH_PERIOD = 20


class RerunUnavailableError(RuntimeError):
    """The library rerun is missing; the message is one line."""


class RerunWriter:
    """Logs frame after frame to a file, in constant RAM.

    Args:
        path: the file; it gets its name, and replaces an older one, when the first frame is in it,
            and grows.
        label_map: class names by class_id, beginning with 'background'.

    Raises:
        RerunUnavailableError: rerun is not installed.

    Source:
        https://rerun.io/docs, "Timelines" and "Boxes2D".
    """

    def __init__(self, path: str | os.PathLike[str], label_map: Sequence[str]) -> None:
        check_rerun_available()
        self.path = Path(path)
        self._label_map = label_map
        self._recording: Any = None
        # Ends when the file gets its name; rerun writes on to it.
        self._naming = contextlib.ExitStack()
        self._has_name = False
        self._num_frames = 0

    def write(
        self,
        t: int,
        picture: Picture,
        boxes: BoxEvents,
        trails: Trails | None = None,
        *,
        is_photo: bool,
    ) -> None:
        """Log a frame.

        Args:
            t: its time in microseconds, later than the one before.
            picture: RGB, in the pixels of the boxes.
            boxes: `BOX_DTYPE` records; may be empty.
            trails: past positions of the tracks; colours are then those of the tracks.
            is_photo: store the picture as JPEG instead of PNG.

        Raises:
            OSError: the disk is full; the file has the frames written before, or, before the
                first, is the older one.
        """
        import rerun

        if self._recording is None:
            part = self._naming.enter_context(replacing(self.path))
            self._recording = rerun.RecordingStream("evdet")
            self._recording.save(part)
        log = self._recording.log
        self._recording.set_time("time", duration=t / 1e6)
        content, kind = (encode_jpeg, "jpeg") if is_photo else (encode_png, "png")
        log("source", rerun.EncodedImage(contents=content(picture), media_type=f"image/{kind}"))
        log(
            "source/boxes",
            rerun.Boxes2D(
                mins=np.stack([boxes["x"], boxes["y"]], axis=-1),
                sizes=np.stack([boxes["w"], boxes["h"]], axis=-1),
                class_ids=boxes["class_id"],
                labels=box_texts(boxes, self._label_map),
                colors=box_colors(boxes, by_track=trails is not None),
            ),
        )
        if trails is not None:
            tracks = list(trails.points)
            strips = [[point[1:] for point in trails.points[track]] for track in tracks]
            colors = [class_color(track) for track in tracks]
            log("source/trails", rerun.LineStrips2D(strips, colors=colors))
        self._num_frames += 1
        if self._num_frames == 1 or self._num_frames % _FLUSH_PERIOD == 0:
            self._flush()

    def close(self) -> None:
        """Finish the file; without frames it is not created. Closing again does nothing.

        Raises:
            OSError: the disk is full; the file has the frames written before.
        """
        if self._recording is None:
            return
        try:
            self._flush()
        finally:
            self._disconnect()

    def _flush(self) -> None:
        try:
            self._recording.flush()
        except RuntimeError as error:
            full = OSError(f"{error}. Is the disk full?")
            if not self._has_name:
                self._disconnect()
                with contextlib.suppress(OSError):
                    self._naming.__exit__(OSError, full, None)
            raise full from None
        if not self._has_name:
            self._naming.close()
            self._has_name = True

    def _disconnect(self) -> None:
        if self._recording is not None:
            self._recording.disconnect()
            self._recording = None


def check_rerun_available() -> None:
    """Check that .rrd files can be written, before any long work.

    Raises:
        RerunUnavailableError: rerun is not installed.
    """
    try:
        import rerun  # noqa: F401
    except ImportError as error:
        message = f"no .rrd ({error}): pip install 'evdet[rerun]'"
        raise RerunUnavailableError(message) from error
