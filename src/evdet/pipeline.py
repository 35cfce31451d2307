"""Recording -> frames -> boxes -> tracks, in one generator: read this first.

    for t, frame, boxes in detect("drive.raw", open_detector("best.ckpt")):
        ...

Its four steps are four lines of `_play`: cut a clip of frames from the source, detect with memory,
scale the boxes to the source's pixels, and track them.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from evdet.boxes import box_area, clip_boxes, to_box_events
from evdet.draw import found_html, found_line
from evdet.events import Recording, RecordingError
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models import DetectorProtocol, device_of, step_timed, takes_durations
from evdet.shapes import BoxEvents
from evdet.sources import FrameStream, LiveSource, StreamedFrame, open_frames

__all__ = [
    "BoxTracker",
    "DetectedFrame",
    "detect",
    "frame_spec_of",
    "frames_for",
]

_log = logging.getLogger(__name__)

# Frames per call of the network for a source that is not live: several are faster than one.
_NUM_TBINS = 8


class DetectedFrame(NamedTuple):
    """A frame and its detections; unpacks to `t, frame, boxes`."""

    t: int
    """Time of the boxes in microseconds: the end of the frame's time bin, or the time of the frame
    in a video."""
    frame: StreamedFrame
    """The frame, with its events or its picture."""
    boxes: BoxEvents
    """`BOX_DTYPE` records in pixels of the source, best first."""

    def __repr__(self) -> str:
        return found_line(self.t, self.boxes)

    def _repr_html_(self) -> str:
        """For notebooks."""
        frame = self.frame
        return found_html(self.t, self.boxes, events=frame.events, picture=frame.picture)


@runtime_checkable
class BoxTracker(Protocol):
    """The interface of a tracker: `evdet.tracking.Tracker`, or one of your own."""

    def update(self, t: int, boxes: BoxEvents) -> BoxEvents:
        """Give the boxes of the next frame with their `track_id`; see `Tracker.update`."""


def detect(
    source: Recording | FrameStream | Path | str,
    detector: DetectorProtocol,
    *,
    score_thresh: float | int | None = None,
    nms_thresh: float | int | None = None,
    max_boxes: int | None = None,
    agnostic: bool = True,
    tracker: BoxTracker | None = None,
    num_tbins: int = _NUM_TBINS,
    reset_every: int | None = None,
) -> Iterator[DetectedFrame]:
    """Detect in all frames of a source, with memory from frame to frame, and track the boxes.

    The use of RAM does not grow with the source. `open_detector(path)` gives a detector.

    Args:
        source: an event recording, an ordinary video, a folder of images, or a stream of
            `open_frames` or `open_live`.
        detector: in evaluation mode.
        score_thresh: boxes with a lower score are dropped; None takes the detector's own.
        nms_thresh: of two boxes with a higher IoU the better is kept; None takes the detector's
            own.
        max_boxes: candidates of a frame that enter non-maximum suppression; None takes the
            detector's own.
        agnostic: suppress boxes across classes, so that an object has one box; False suppresses
            class by class, as protocols of scoring do.
        tracker: such as `evdet.tracking.Tracker`; None leaves the track ids at 0.
        num_tbins: frames per call of the network; more are faster and give the same boxes. Frames
            of a live source are processed one by one.
        reset_every: frames after which memory is emptied, counted from the first, as the released
            code of S5-ViT does; None carries it.

    Returns:
        Every frame with its boxes, also frames without boxes.

    Raises:
        ValueError: the detector does not take frames of this source, is in training mode, or a
            threshold is out of range.
        RecordingError: the source cannot be read, or is damaged; the frames before the damage are
            returned first.
    """
    spec = frame_spec_of(detector)
    if isinstance(detector, nn.Module) and detector.training:
        raise ValueError("the detector is in training mode: call its eval() first")
    if num_tbins < 1:
        raise ValueError(f"num_tbins must be at least 1, got {num_tbins}")
    if reset_every is not None and reset_every < 1:
        raise ValueError(f"reset_every must be at least 1, got {reset_every}")
    thresholds = spec.thresholds.but(
        score_thresh=score_thresh, nms_thresh=nms_thresh, max_boxes=max_boxes, agnostic=agnostic
    )
    if isinstance(source, Recording | Path | str):
        source = open_frames(source, spec)
    if isinstance(source, LiveSource) and source.merges and not takes_durations(detector):
        raise ValueError(
            "the detector does not know how long a frame lasts, and the source merges time bins "
            'that wait: open it with waiting="skip", or without max_age'
        )
    return _play(source, detector, thresholds, tracker, num_tbins, reset_every)


def frames_for(detector: DetectorProtocol, *, delta_t: int | None = None) -> FrameSpec:
    """Get the frame spec of a detector for `open_frames` and `open_live`.

    Args:
        detector: any; a warning is logged where `delta_t` is not that of its training and the
            detector does not know time.
        delta_t: duration of a time bin, or from one image to the next, in microseconds; None
            takes that of the training.

    Returns:
        Its spec with that time bin: `open_live("-", frames_for(detector))`.

    Raises:
        ValueError: the detector has no `frame_spec`.
    """
    spec = frame_spec_of(detector)
    if delta_t is not None and delta_t != spec.delta_t and not takes_durations(detector):
        words = ("fewer", "faster") if delta_t < spec.delta_t else ("more", "slower")
        _log.warning(
            "the detector was trained on time bins of %d us, and these have %d us: they hold %s "
            "events, and its memory fades %s than in training",
            spec.delta_t, delta_t, *words,
        )  # fmt: skip
    return spec.at(delta_t)


def frame_spec_of(detector: DetectorProtocol) -> FrameSpec:
    """Get the `frame_spec` of a detector.

    Raises:
        ValueError: it has none.
    """
    if detector.frame_spec is None:
        raise ValueError(
            "the detector does not say how its frames are made: give it a frame_spec, as "
            "open_detector and build_detector do"
        )
    return detector.frame_spec


def _play(
    stream: FrameStream,
    detector: DetectorProtocol,
    thresholds: SelectionThresholds,
    tracker: BoxTracker | None,
    num_tbins: int,
    reset_every: int | None,
) -> Iterator[DetectedFrame]:
    memory, num_frames = None, 0
    for clip in _cut_clips(stream, num_tbins, reset_every):
        if reset_every is not None and num_frames % reset_every == 0:
            memory = None
        num_frames += len(clip)
        # Not around the yield below: the caller's code may need gradients.
        with torch.no_grad():
            frames = _to_tensor(clip, detector)
            durations = torch.tensor([[float(frame.delta_t)] for frame in clip]).to(frames.device)
            found, memory = step_timed(
                detector, frames, memory, durations=durations, thresholds=thresholds
            )
        for frame, (detections,) in zip(clip, found, strict=True):
            boxes = _to_source(detections, frame.t, stream)
            if tracker is not None:
                boxes = tracker.update(frame.t, boxes)
            yield DetectedFrame(frame.t, frame, boxes)


def _cut_clips(
    stream: FrameStream, num_tbins: int, reset_every: int | None
) -> Iterator[Sequence[StreamedFrame]]:
    clip: list[StreamedFrame] = []
    try:
        for num_frames, frame in enumerate(stream, start=1):
            clip.append(frame)
            is_live = frame.arrived is not None
            is_cut = reset_every is not None and num_frames % reset_every == 0
            if is_live or is_cut or len(clip) == num_tbins:
                yield clip
                clip = []
    except RecordingError:
        # The frames before the damage are returned.
        if clip:
            yield clip
        raise
    if clip:
        yield clip


def _to_tensor(
    clip: Sequence[StreamedFrame], detector: DetectorProtocol
) -> Float[Tensor, "T 1 C H W"]:
    frames = torch.from_numpy(np.stack([frame.frame for frame in clip])[:, None])
    # Counts move as bytes.
    return frames.to(device_of(detector)).float()


def _to_source(detections: dict[str, Tensor], t: int, stream: FrameStream) -> BoxEvents:
    """Boxes in pixels of the source, without boxes in a frame's padding."""
    size, shown = stream.size, stream.frame_size
    scale = (size.width / shown.width, size.height / shown.height)
    boxes = clip_boxes(detections["boxes"] * torch.tensor([*scale, *scale]), size)
    kept = box_area(boxes) > 0
    return to_box_events(boxes[kept], detections["labels"][kept], detections["scores"][kept], t=t)
