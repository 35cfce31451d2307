"""An event recording as frames for a detector."""

from collections.abc import Iterator
from functools import cached_property

from evdet.events import Recording, RecordingError
from evdet.frame_spec import PICTURES, READY_MADE, FrameSpec
from evdet.sources.event_frames import EventFrames, clean_bins
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import LaidOut

__all__ = ["RecordingSource", "check_event_detector", "check_not_ready_made", "check_times"]


class RecordingSource(LaidOut):
    """An event recording as frames; a `FrameStream`. `open_frames` makes it.

    Args:
        recording: read in bins [k·delta_t, (k + 1)·delta_t), the empty ones too.
        spec: the detector's frame spec. With `remove_hot_pixels`, hot pixels are found in the
            first seconds of the recording.
        start: microseconds after the recording's start; the bin that holds it is the first.
        duration: microseconds from `start` on; the bin that holds the last of them is the last
            one. None reads up to the last event.

    Raises:
        ValueError: a value is out of range, or the detector does not take such frames.
    """

    def __init__(
        self,
        recording: Recording,
        spec: FrameSpec,
        *,
        start: int = 0,
        duration: int | None = None,
    ) -> None:
        check_times(start, duration)
        check_event_detector(f"{recording.path} is an event recording", spec.preprocess)
        if start > 0 and len(recording) and start > recording.duration:
            raise ValueError(
                f"no events from {start / 1e6:g} s on: {recording.path} has "
                f"{recording.duration / 1e6:g} s"
            )
        self.delta_t = spec.delta_t
        self._recording = recording
        self._spec = spec
        self._start = start
        self._duration = duration
        self._frames = EventFrames(recording.path.name, recording.size, spec)
        super().__init__(self._frames.layout)

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self._recording.name

    @cached_property
    def num_frames(self) -> int | None:
        """Number of bins; for some formats the first access reads the file once."""
        try:
            if not len(self._recording):
                return 0
            last = self._recording.end
        except RecordingError:
            return None  # the iteration raises it again
        first = self._recording.start + self._start
        if self._duration is not None:
            last = min(last, first + self._duration - 1)
        return max(0, last // self.delta_t - first // self.delta_t + 1)

    def __iter__(self) -> Iterator[StreamedFrame]:
        """Read the recording.

        Raises:
            RecordingError: it is damaged; the frames before are delivered first.
        """
        # Some formats must be read once to find their start.
        is_whole = self._start == 0 and self._duration is None
        first = 0 if is_whole else self._recording.start + self._start
        since = first if self._start else None
        for time_bin in clean_bins(self._recording, self._spec, since=since):
            if self._duration is not None and time_bin.start >= first + self._duration:
                return
            yield self._frames.make(time_bin)


def check_event_detector(what: str, preprocess: str) -> None:
    """Check that a detector takes frames that evdet makes of events.

    Args:
        what: the source, such as "drive.dat is an event recording".
        preprocess: the detector's representation.

    Raises:
        ValueError: it takes pictures, or ready-made frames.
    """
    if preprocess == PICTURES:
        raise ValueError(
            f"{what}, and the detector was trained on pictures (preprocess none): use a video or "
            "a folder of images, or a detector trained on events"
        )
    check_not_ready_made(what, preprocess)


def check_not_ready_made(what: str, preprocess: str) -> None:
    """Refuse a detector of ready-made frames; `what` names the source."""
    if preprocess == READY_MADE:
        raise ValueError(
            f"{what}, and the detector was trained on ready-made frames (preprocess ready_made), "
            "which evdet cannot make. Evaluate it on a folder of them with `evdet evaluate`, or "
            "train a detector on recordings"
        )


def check_times(start: int, duration: int | None) -> None:
    """Raise ValueError where an interval of a source, in microseconds, is not valid."""
    if start < 0:
        raise ValueError(f"start must be 0 or more, got {start} us")
    if duration is not None and duration < 1:
        raise ValueError(f"duration must be more than 0, got {duration} us")
