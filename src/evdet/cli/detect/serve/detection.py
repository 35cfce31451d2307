"""A detection of the page: a source -> videos, boxes and counts; runs in the worker's process."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evdet.cli.detect import SCORE_THRESH
from evdet.cli.detect.serve.requests import DetectionRequest
from evdet.cli.options import chosen_start_thresh, line_without_tracks
from evdet.draw import VideoUnavailableError, VideoWriter, check_video_available, upscale
from evdet.events import Recording, RecordingError, SensorSize, open_recording
from evdet.labels import choose_label_ids
from evdet.models import DetectorProtocol
from evdet.outputs import enlargement, open_outputs, picture_of
from evdet.pipeline import DetectedFrame, detect, frame_spec_of, frames_for
from evdet.sources import FrameStream, is_pictures, is_video, open_frames
from evdet.tracking import Tracker

__all__ = ["RESULT_FILES", "Progress", "Result", "run_detection"]

RESULT_FILES = {
    "boxes.mp4": "video/mp4",
    "events.mp4": "video/mp4",
    "boxes.csv": "text/csv",
    "boxes.npy": "application/octet-stream",
    "boxes.json": "application/json",
}
"""The files of a result, and their types; no other file is sent."""

_BOX_FILES = ("boxes.csv", "boxes.npy", "boxes.json")
_FRAMES_PER_SECOND = 60  # of a video; of shorter time bins every n-th is shown
_MOST_PIXELS = 1 << 23  # of a source: a damaged file may state any size
_REPORT_EVERY = 0.2  # seconds


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a detection is."""

    num_frames: int
    """Frames that are done."""
    total: int | None
    """All frames, where their number is known."""
    num_boxes: int
    """Boxes on them."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a detection found."""

    source: str
    """One line about the source."""
    num_frames: int
    """Frames of it."""
    duration: float
    """Their duration in seconds."""
    seconds: float
    """What the detection took."""
    counts: list[tuple[str, int, int]]
    """Name, boxes and tracks of each class that was found, the most boxes first."""
    files: list[str]
    """Names of `RESULT_FILES` that were written."""
    notes: list[str]
    """Why the result is not whole, or lacks something; one line each."""


def run_detection(
    request: DetectionRequest,
    path: Path,
    folder: Path,
    detector: DetectorProtocol,
    *,
    report: Callable[[Progress], None],
) -> Result:
    """Detect in a recording or a video, and write all files of the result.

    Args:
        request: what was asked for.
        path: of the source.
        folder: an empty one, for the files.
        detector: in evaluation mode.
        report: called with the progress, a few times a second.

    Raises:
        ValueError: source, options and detector do not fit.
        RecordingError: the source cannot be read.
    """
    began = time.monotonic()
    stream, about, first_bin = _open(request, path, detector)
    tracker = _tracker(request, stream.delta_t)
    # An upload belongs to no data set, whatever lies in the folders above it.
    of_data_set = path if request.is_sample else None
    label_ids = choose_label_ids(frame_spec_of(detector).class_names, of_data_set, None)
    shown_thresh = SCORE_THRESH if request.score_thresh is None else request.score_thresh
    # A track goes on with boxes that are not shown otherwise.
    lowest = shown_thresh
    if tracker is not None and request.score_thresh is None:
        lowest = min(shown_thresh, tracker.extend_thresh)
    found = detect(stream, detector, score_thresh=lowest, tracker=tracker)
    notes, names = [], list(_BOX_FILES)
    try:
        check_video_available()
        names.append("boxes.mp4")
    except VideoUnavailableError as error:
        notes.append(str(error))
    outputs = open_outputs(
        [folder / name for name in names],
        stream,
        label_ids,
        first_bin=first_bin,
        is_tracked=tracker is not None,
    )
    tally = _Tally(["background", *label_ids.values()], stream, report)
    plain = _PlainVideo(folder / "events.mp4", stream) if "boxes.mp4" in names else None
    try:
        with outputs:
            for frame in found:
                shown = _likely(frame, shown_thresh)
                outputs.write(shown)
                if plain is not None:
                    plain.write(shown)
                tally.add(shown)
    except RecordingError as error:
        if not tally.num_frames:
            raise
        notes.append(f"{str(error).rstrip('.')}. The result shows what is before.")
    finally:
        if plain is not None:
            plain.close()
    if not tally.num_frames:
        raise RecordingError(f"{path} has nothing to detect in: no events, and no pictures")
    without = None if tracker is None else line_without_tracks(tracker)
    notes += [] if without is None else [without]
    return Result(
        source=about,
        num_frames=tally.num_frames,
        duration=tally.played / 1e6,
        seconds=time.monotonic() - began,
        counts=tally.counts(),
        files=[name for name in RESULT_FILES if (folder / name).is_file()],
        notes=notes,
    )


def _open(
    request: DetectionRequest, path: Path, detector: DetectorProtocol
) -> tuple[FrameStream, str, int | None]:
    """The frames of a source, a line about it, and the time bin in which it starts."""
    spec = frames_for(detector)
    if is_pictures(path):
        stream = open_frames(path, spec, size=request.size)
        _check_size(path, stream.size)
        return stream, f"{'video' if is_video(path) else 'image'}, {stream.size}", None
    recording = open_recording(path, size=request.size, options=request.reading)
    _check_size(path, recording.size)
    events = open_frames(recording, spec)
    return events, _about(recording), recording.start // events.delta_t


def _about(recording: Recording) -> str:
    return (
        f"{recording.format}, {recording.size.width}x{recording.size.height}, "
        f"{len(recording):,} events in {recording.duration / 1e6:.3f} s"
    )


def _check_size(path: Path, size: SensorSize) -> None:
    if size.height * size.width > _MOST_PIXELS:
        raise ValueError(
            f"{path} has a size of {size.width}x{size.height}, more than this page shows "
            f"({_MOST_PIXELS / 1e6:.1f} million pixels): use `evdet detect`"
        )


def _tracker(request: DetectionRequest, delta_t: int) -> Tracker | None:
    if not request.is_tracked:
        return None
    start_thresh = chosen_start_thresh(None, request.score_thresh)
    return Tracker("bytetrack", delta_t=delta_t, start_thresh=start_thresh)


def _likely(found: DetectedFrame, score_thresh: float) -> DetectedFrame:
    """A frame without boxes of low scores that extend no track."""
    boxes = found.boxes
    kept = (boxes["track_id"] > 0) | (boxes["class_confidence"] >= score_thresh)
    return found._replace(boxes=boxes[kept])


class _PlainVideo:
    """The video beside that of the boxes: the same frames, without boxes."""

    def __init__(self, path: Path, stream: FrameStream) -> None:
        rate = 1e6 / stream.delta_t
        self._every = math.ceil(rate / _FRAMES_PER_SECOND)
        self._size = stream.size
        self._scale = enlargement(stream.size)
        self._delta_t = stream.delta_t
        self._writer = VideoWriter(path, rate / self._every)
        self._first: int | None = None
        self._shown: int | None = None

    def write(self, found: DetectedFrame) -> None:
        bin_index = found.t // self._delta_t
        self._first = bin_index if self._first is None else self._first
        number = (bin_index - self._first) // self._every
        if found.frame.picture is not None or number != self._shown:
            self._writer.write(upscale(picture_of(found, self._size), self._scale), found.t)
        self._shown = number

    def close(self) -> None:
        self._writer.close()


class _Tally:
    """Counts what was found, and reports how far it is."""

    def __init__(
        self, label_map: list[str], stream: FrameStream, report: Callable[[Progress], None]
    ) -> None:
        self._label_map = label_map
        self._total = stream.num_frames
        self._report = report
        self._reported = -_REPORT_EVERY
        self._boxes: Counter[int] = Counter()
        self._tracks: dict[int, int] = {}
        self.num_frames = 0
        self.played = 0

    def add(self, found: DetectedFrame) -> None:
        self.num_frames += 1
        self.played += found.frame.delta_t
        boxes = found.boxes
        for label, count in zip(*np.unique(boxes["class_id"], return_counts=True), strict=True):
            self._boxes[int(label)] += int(count)
        for track_id, label in zip(boxes["track_id"], boxes["class_id"], strict=True):
            if track_id:
                self._tracks[int(track_id)] = int(label)
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY:
            self._reported = now
            progress = Progress(
                num_frames=self.num_frames, total=self._total, num_boxes=self._boxes.total()
            )
            self._report(progress)

    def counts(self) -> list[tuple[str, int, int]]:
        """Name, boxes and tracks of each class; a track is of the class of its last box."""
        tracks = Counter(self._tracks.values())
        return [
            (self._label_map[label], count, tracks[label])
            for label, count in self._boxes.most_common()
        ]
