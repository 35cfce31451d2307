"""A recording and its boxes -> pictures: what `evdet view` shows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64

from evdet.boxes import BOX_DTYPE
from evdet.draw import draw_box_events, draw_caption, image_grid, scale_box_events, upscale
from evdet.events import Recording, TimeBin, events_to_picture
from evdet.labels import BinnedBoxes, LabeledTimes, bin_boxes, bins_of
from evdet.shapes import BoxEvents, Picture

__all__ = [
    "HOLD",
    "ShownBoxes",
    "View",
    "bins_to_show",
    "contact_sheet",
    "show_boxes",
    "view_frames",
]

HOLD = 250_000
"""Microseconds for which boxes stay visible, dimmed, on frames that nobody labelled."""

# Boxes are looked up for so many bins at once.
_BINS_AT_ONCE = 512


@dataclass(frozen=True)
class ShownBoxes:
    """Boxes whose ids all have names."""

    labeled: LabeledTimes = field(default_factory=lambda: LabeledTimes(np.zeros(0, BOX_DTYPE)))
    names: Sequence[str] = ("background",)
    """By class_id, beginning with 'background'."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What to show of a recording."""

    delta_t: int
    """Microseconds of events on one picture."""
    start: int = 0
    """First time to show, in microseconds after the recording's start."""
    end: int | None = None
    """First time not to show, in microseconds after the recording's start; None shows all."""
    scale: int = 1
    """Pixels of the picture, across and down, for one of the sensor."""


def show_boxes(labeled: LabeledTimes, label_map: Mapping[int, str]) -> ShownBoxes:
    """Give every box a class with a name: that of the label map, else its id on disk.

    Args:
        labeled: the content of a label file.
        label_map: names of the ids on disk; may lack some, or all.

    Returns:
        The same boxes; ids that the label map lacks stand behind its own.
    """
    known = {class_id + 1: name for class_id, name in label_map.items() if class_id >= 0}
    present = np.unique(labeled.boxes["class_id"]).tolist()
    unknown = {class_id: str(class_id - 1) for class_id in present if class_id not in known}
    names, new_id = ["background"], {}
    for class_id, name in [*sorted(known.items()), *sorted(unknown.items())]:
        new_id[class_id] = len(names)
        names.append(name)
    boxes = labeled.boxes.copy()
    boxes["class_id"] = [new_id[class_id] for class_id in labeled.boxes["class_id"].tolist()]
    return ShownBoxes(LabeledTimes(boxes, labeled.empty_times), names)


def bins_to_show(recording: Recording, view: View) -> range:
    """Numbers of the bins that a view shows; bin 0 starts at time 0.

    Args:
        recording: any.
        view: from when to when.

    Raises:
        ValueError: the view shows nothing of the recording.
    """
    _check_view(recording, view)
    last = recording.end
    if view.end is not None:
        last = min(last, recording.start + view.end - 1)
    return range((recording.start + view.start) // view.delta_t, last // view.delta_t + 1)


def view_frames(recording: Recording, shown: ShownBoxes, view: View) -> Iterator[Picture]:
    """Draw one bin after the other.

    Boxes stand on the frame of the bin they label, and dimmed on the following unlabelled ones,
    for at most `HOLD`: without that, boxes labelled once a second are seen for the blink of an
    eye.

    Args:
        recording: any.
        shown: the boxes to draw.
        view: which bins, and how large.

    Returns:
        RGB pictures of one size.

    Raises:
        ValueError: the view shows nothing of the recording.
        RecordingError: the recording is damaged; the frames before have been drawn.
    """
    return _draw_frames(recording, shown, view, bins_to_show(recording, view))


def contact_sheet(
    recording: Recording, shown: ShownBoxes, view: View, *, num_pictures: int
) -> Picture:
    """Draw some moments of a recording side by side, in order of time.

    Args:
        recording: any.
        shown: the boxes to draw.
        view: which bins, and how large.
        num_pictures: how many moments: evenly spread, over the bins with boxes if there are any.

    Returns:
        One RGB picture.

    Raises:
        ValueError: the view shows nothing of the recording, or `num_pictures` < 1.
        RecordingError: the recording is damaged where a moment lies.
    """
    if num_pictures < 1:
        raise ValueError(f"num_pictures must be at least 1, got {num_pictures}")
    pictures = []
    for k in _moments(recording, shown, view, num_pictures):
        start = k * view.delta_t
        events = recording.slice(start, start + view.delta_t)
        boxes = bin_boxes(shown.labeled, first_bin=k, num_bins=1, delta_t=view.delta_t).boxes[0]
        picture = _draw(recording, TimeBin(start, view.delta_t, events), boxes, shown.names, view)
        pictures.append(picture)
    return image_grid(pictures, math.ceil(math.sqrt(len(pictures))))


def _check_view(recording: Recording, view: View) -> None:
    if view.start < 0 or (view.end is not None and view.end <= view.start):
        raise ValueError(
            f"nothing lies from {view.start / 1e6:g} s to {(view.end or 0) / 1e6:g} s: "
            "start at 0 or later, and end after the start"
        )
    if not len(recording):
        raise ValueError(f"{recording.path} has no events to show")
    if view.start > recording.duration:
        raise ValueError(
            f"nothing lies from {view.start / 1e6:g} s on: {recording.path} has "
            f"{recording.duration / 1e6:g} s"
        )


def _draw_frames(
    recording: Recording, shown: ShownBoxes, view: View, bins: range
) -> Iterator[Picture]:
    held, held_since = shown.labeled.boxes[:0], 0
    known: tuple[int, BinnedBoxes] | None = None
    for time_bin in recording.slices(view.delta_t, since=bins.start * view.delta_t):
        k = time_bin.start // view.delta_t
        if k >= bins.stop and view.end is not None:
            return
        if known is None or k >= known[0] + _BINS_AT_ONCE:
            known = (
                k,
                bin_boxes(shown.labeled, first_bin=k, num_bins=_BINS_AT_ONCE, delta_t=view.delta_t),
            )
        first, binned = known
        if binned.is_labeled[k - first]:
            held, held_since = binned.boxes[k - first], time_bin.start
            yield _draw(recording, time_bin, held, shown.names, view)
        elif time_bin.start - held_since <= HOLD:
            yield _draw(recording, time_bin, held, shown.names, view, dimmed=True)
        else:
            yield _draw(recording, time_bin, held[:0], shown.names, view)


def _moments(recording: Recording, shown: ShownBoxes, view: View, num_pictures: int) -> list[int]:
    """Numbers of the bins to show."""
    bins: Int64[np.ndarray, " _"] = np.array(bins_to_show(recording, view))
    labeled = np.intersect1d(bins, bins_of(shown.labeled.boxes["t"], view.delta_t))
    chosen = labeled if len(labeled) else bins
    num_pictures = min(num_pictures, len(chosen))
    # The middle of each of as many equal parts.
    places = (2 * np.arange(num_pictures) + 1) * len(chosen) // (2 * num_pictures)
    moments: list[int] = chosen[places].tolist()
    return moments


def _draw(
    recording: Recording,
    time_bin: TimeBin,
    boxes: BoxEvents,
    names: Sequence[str],
    view: View,
    *,
    dimmed: bool = False,
) -> Picture:
    plain = upscale(events_to_picture(time_bin.events, recording.size), view.scale)
    boxes = scale_box_events(boxes, view.scale)
    picture = draw_box_events(plain, boxes, names, draw_score=False, thickness=2)
    if dimmed:
        picture = (plain.astype(np.uint16) + picture.astype(np.uint16) + 1 >> 1).astype(np.uint8)
    first = recording.start // view.delta_t
    number = time_bin.start // view.delta_t - first
    return draw_caption(picture, f"{number * view.delta_t / 1e6:.3f} s, bin {number}")
