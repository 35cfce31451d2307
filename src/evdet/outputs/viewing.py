"""A recording and its boxes -> the pictures of `evdet view`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int64

from evdet.boxes import BOX_DTYPE
from evdet.draw import (
    draw_box_events,
    draw_caption,
    image_grid,
    reduce_by_maximum,
    scale_box_events,
    upscale,
)
from evdet.events import Recording, TimeBin, events_to_picture
from evdet.labels import BinnedBoxes, LabeledTimes, bin_boxes, bins_of
from evdet.outputs.picture_size import LARGEST_SIDE, enlargement
from evdet.shapes import BoxEvents, Picture

__all__ = [
    "HOLD",
    "ShownBoxes",
    "View",
    "bins_to_show",
    "contact_sheet",
    "fit_sheet",
    "show_boxes",
    "view_frames",
]

HOLD = 250_000
"""Microseconds for which boxes stay visible, dimmed, on frames that are not annotated."""

# In narrower pictures the lines are thin.
_THIN_BELOW = 600
# Time bins per call of `bin_boxes`.
_BINS_AT_ONCE = 512
# Time bins of which the one with the most events is shown.
_CANDIDATES = 5


@dataclass(frozen=True)
class ShownBoxes:
    """Boxes whose ids all have names."""

    labeled: LabeledTimes = field(default_factory=lambda: LabeledTimes(np.zeros(0, BOX_DTYPE)))
    names: Sequence[str] = ("background",)
    """By class_id, beginning with 'background'."""


@dataclass(frozen=True, kw_only=True)
class View:
    """The interval of a recording to show, and the scale."""

    delta_t: int
    """Duration of a time bin, which is one picture, in microseconds."""
    start: int = 0
    """Start of the interval, in microseconds after the recording's start."""
    end: int | None = None
    """End of the interval, exclusive, in microseconds after the recording's start; None is all."""
    scale: int = 1
    """Magnification, in pixels of the picture per sensor pixel."""
    reduction: int = 1
    """Sensor pixels per pixel of the picture, in each direction; the brightest of them is shown,
    since the mean of single events is black."""


def show_boxes(labeled: LabeledTimes, label_map: Mapping[int, str]) -> ShownBoxes:
    """Give every box a class with a name: that of the label map, else its id on disk.

    Args:
        labeled: the content of a label file.
        label_map: names of ids on disk; it may be incomplete or empty.

    Returns:
        The same boxes; ids without a name in the label map follow those with a name.
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
    """Indices of the time bins that a view shows; bin 0 starts at time 0.

    Raises:
        ValueError: the view shows nothing of the recording.
    """
    _check_view(recording, view)
    last = recording.end
    if view.end is not None:
        last = min(last, recording.start + view.end - 1)
    return range((recording.start + view.start) // view.delta_t, last // view.delta_t + 1)


def view_frames(recording: Recording, shown: ShownBoxes, view: View) -> Iterator[Picture]:
    """Draw the time bins of a view in order.

    Boxes are drawn on the frame of their bin, and dimmed on the following frames without
    annotation, for at most `HOLD`: boxes of one frame a second would be visible too briefly.

    Args:
        recording: the events.
        shown: the boxes to draw.
        view: the interval and the scale.

    Returns:
        RGB pictures of one size.

    Raises:
        ValueError: the view shows nothing of the recording.
        RecordingError: the recording is damaged; the frames before the damage are drawn.
    """
    return _draw_frames(recording, shown, view, bins_to_show(recording, view))


def contact_sheet(
    recording: Recording, shown: ShownBoxes, view: View, *, num_pictures: int
) -> Picture:
    """Draw some time bins of a recording in a grid, in order of time.

    Args:
        recording: the events.
        shown: the boxes to draw.
        view: the interval and the scale.
        num_pictures: largest number of time bins, evenly spread over the bins with boxes if there
            are any; else the one with the most events of some bins in each part of the recording.

    Returns:
        One RGB picture.

    Raises:
        ValueError: the view shows nothing of the recording, or `num_pictures` < 1.
        RecordingError: the recording is damaged in one of these bins.
    """
    _check_number(num_pictures)
    pictures = []
    for k in _moments(recording, shown, view, num_pictures):
        start = k * view.delta_t
        events = recording.slice(start, start + view.delta_t)
        boxes = bin_boxes(shown.labeled, first_bin=k, num_bins=1, delta_t=view.delta_t).boxes[0]
        picture = _draw(recording, TimeBin(start, view.delta_t, events), boxes, shown.names, view)
        pictures.append(picture)
    return image_grid(pictures, _columns(len(pictures)))


def fit_sheet(recording: Recording, shown: ShownBoxes, view: View, *, num_pictures: int) -> View:
    """Choose the scale of a view so that a screen shows its contact sheet: 1920 pixels a side.

    Small sensors are enlarged to 600 pixels where the sheet leaves the room; those without room are
    reduced.

    Args:
        recording: the events.
        shown: the boxes to draw.
        view: the interval; its scale is replaced.
        num_pictures: as `contact_sheet` takes it.

    Raises:
        ValueError: the view shows nothing of the recording, or `num_pictures` < 1.
    """
    _check_number(num_pictures)
    chosen, _ = _choice(recording, shown, view)
    room = LARGEST_SIDE // _columns(min(num_pictures, len(chosen)))
    scale = enlargement(recording.size, room=room)
    return replace(view, scale=scale, reduction=-(-max(recording.size) // room))


def _check_number(num_pictures: int) -> None:
    if num_pictures < 1:
        raise ValueError(f"num_pictures must be at least 1, got {num_pictures}")


def _check_view(recording: Recording, view: View) -> None:
    if view.start < 0 or (view.end is not None and view.end <= view.start):
        raise ValueError(
            f"the interval {view.start / 1e6:g} s to {(view.end or 0) / 1e6:g} s is empty: "
            "start at 0 or later, and end after the start"
        )
    if not len(recording):
        raise ValueError(f"{recording.path} has no events to show")
    if view.start > recording.duration:
        raise ValueError(
            f"{recording.path} ends after {recording.duration / 1e6:g} s: cannot start at "
            f"{view.start / 1e6:g} s"
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
    """Indices of the time bins to show."""
    chosen, has_boxes = _choice(recording, shown, view)
    num_pictures = min(num_pictures, len(chosen))
    tries = 1 if has_boxes else _CANDIDATES
    parts = np.array_split(chosen, num_pictures)
    candidates = [_spread(part, min(tries, len(part))) for part in parts]
    return [max(part, key=lambda k: _num_events(recording, k, view)) for part in candidates]


def _choice(
    recording: Recording, shown: ShownBoxes, view: View
) -> tuple[Int64[np.ndarray, " _"], bool]:
    """Indices of the time bins that may be shown, and whether they are those with boxes."""
    bins: Int64[np.ndarray, " _"] = np.array(bins_to_show(recording, view))
    labeled = np.intersect1d(bins, bins_of(shown.labeled.boxes["t"], view.delta_t))
    return (labeled, True) if len(labeled) else (bins, False)


def _columns(num_pictures: int) -> int:
    return math.ceil(math.sqrt(num_pictures))


def _spread(bins: Int64[np.ndarray, " _"], count: int) -> list[int]:
    """The middles of `count` equal parts."""
    middles = (2 * np.arange(count) + 1) * len(bins) // (2 * count)
    found: list[int] = bins[middles].tolist()
    return found


def _num_events(recording: Recording, k: int, view: View) -> int:
    return len(recording.slice(k * view.delta_t, (k + 1) * view.delta_t))


def _draw(
    recording: Recording,
    time_bin: TimeBin,
    boxes: BoxEvents,
    names: Sequence[str],
    view: View,
    *,
    dimmed: bool = False,
) -> Picture:
    whole = events_to_picture(time_bin.events, recording.size)
    plain = upscale(reduce_by_maximum(whole, view.reduction), view.scale)
    boxes = scale_box_events(boxes, view.scale / view.reduction)
    thickness = 1 if plain.shape[1] < _THIN_BELOW else 2
    picture = draw_box_events(plain, boxes, names, draw_score=False, thickness=thickness)
    if dimmed:
        picture = (plain.astype(np.uint16) + picture.astype(np.uint16) + 1 >> 1).astype(np.uint8)
    first = recording.start // view.delta_t
    index = time_bin.start // view.delta_t - first
    return draw_caption(picture, f"{index * view.delta_t / 1e6:.3f} s, bin {index}")
