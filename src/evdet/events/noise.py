"""Find and remove noise events: hot pixels and background activity."""

import typing
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from evdet.compiled import kernel
from evdet.events.bounds import raise_if_outside, readable
from evdet.events.dtypes import EVENT_DTYPE, Events, SensorSize
from evdet.events.representations import check_count, count_per_pixel, frame_grid

__all__ = [
    "HOT_PIXEL_DTYPE",
    "HotPixels",
    "filter_background_activity",
    "find_hot_pixels",
    "hot_pixel_mask",
    "pick_hot_pixels",
    "remove_hot_pixels",
]

HOT_PIXEL_DTYPE = np.dtype([("x", "<u2"), ("y", "<u2"), ("rate", "<f8")])
"""A pixel and its events per second."""

HotPixels = Shaped[np.ndarray, " P"]
"""Records of `HOT_PIXEL_DTYPE`."""
EventTimes = Int64[np.ndarray, "rows columns"]
_LONG_AGO = -(1 << 62)  # microseconds; `window_us` subtracted from it still fits into 64 bits
_MIN_EVENTS = 20  # fewer events are too few to call a pixel hot


def filter_background_activity(
    events: Events, size: SensorSize, *, window_us: int, last_event_times: EventTimes | None = None
) -> tuple[Events, EventTimes]:
    """Background-activity filter: drop events without a recent event in one of the 8 neighbours.

    Motion in the scene crosses neighbouring pixels; noise is confined to one pixel. A dropped
    event still supports later ones, so only the first event of an edge is lost. Polarity does not
    matter.

    Args:
        events: the next events of a recording, in order of time but for small steps back.
        size: sensor size.
        window_us: maximum age of a neighbour's event, in microseconds. Around 10,000 suits slow
            motion; a smaller value removes more.
        last_event_times: the second value that the previous call returned; None at the start of
            a recording or after a seek. The first `window_us` then lack support.

    Returns:
        The events kept, and the time of each pixel's latest event, for the next call. Two halves
        of a recording give the same events as the whole.

    Raises:
        ValueError: an event lies outside the sensor, or the times are those of another sensor.

    Source:
        The rule of jAER's BackgroundActivityFilter, as described at
        https://sourceforge.net/p/jaer/wiki/filt.net.sf.jaer.eventprocessing.filter.BackgroundActivityFilter/
    """
    check_count("window_us", window_us)
    shape = (size.height + 2, size.width + 2)  # a rim of pixels that never have an event
    if last_event_times is None:
        latest = np.full(shape, _LONG_AGO, np.int64)
    elif last_event_times.shape == shape:
        latest = last_event_times.copy()
    else:
        rows, columns = last_event_times.shape
        raise ValueError(
            f"last_event_times belong to a sensor of {columns - 2}x{rows - 2} pixels, the events "
            f"to one of {size}: start every recording with last_event_times=None"
        )
    events = readable(events)
    kept = np.empty(len(events), EVENT_DTYPE)
    num_kept, num_outside = _keep_supported(events, *size, window_us, latest, kept)
    if num_outside:
        raise_if_outside(events, size)
    return kept[:num_kept], latest


def find_hot_pixels(
    blocks: Iterable[Events],
    size: SensorSize,
) -> HotPixels:
    """Read a recording once and list its hot pixels.

    Args:
        blocks: all events, such as `Recording.blocks()`.
        size: sensor size.

    Returns:
        x, y and rate of each, the highest rate first.

    Raises:
        ValueError: an event lies outside the sensor.
    """
    grid = frame_grid(size, None)
    counts = np.zeros(tuple(size), np.int64)
    spans = []
    for events in blocks:
        if len(events):
            cells = count_per_pixel(events, size, grid, is_split=True)
            counts += cells.reshape(2, *size).sum(axis=0)
            spans.append((int(events["t"].min()), int(events["t"].max())))
    if not spans:
        return np.empty(0, HOT_PIXEL_DTYPE)
    duration = 1 + max(last for _, last in spans) - min(first for first, _ in spans)
    return pick_hot_pixels(counts, duration)


def pick_hot_pixels(
    counts: Int64[np.ndarray, "H W"],
    duration: int,
    *,
    min_rate: float | int = 10,
    ratio: float | int = 10,
) -> HotPixels:
    """Find hot pixels from the number of events of each pixel.

    A pixel is hot if it has `ratio` times the events of the third most active of its 8
    neighbours, at least 20 events, and `min_rate` or more per second. The rule compares neighbours
    because the sensor's median says little: normal pixels on texture have hundreds of times the
    events of the median, and in the dark most have none. The third neighbour, not the first, so
    that up to three adjacent hot pixels are found; not the median, so that the corner of a moving
    object, with three active neighbours, is not hot.

    Args:
        counts: events of each pixel.
        duration: of the recording, in microseconds.
        min_rate: minimum rate of a hot pixel, in events per second.
        ratio: minimum ratio to the events of the third neighbour.

    Returns:
        x, y and rate of each, the highest rate first.
    """
    third = _third_most_around(counts)
    rate = counts * (1e6 / max(duration, 1))
    is_hot = (counts >= _MIN_EVENTS) & (rate >= min_rate) & (counts >= ratio * np.maximum(third, 1))
    y, x = np.nonzero(is_hot)
    pixels = np.empty(len(x), HOT_PIXEL_DTYPE)
    pixels["x"], pixels["y"], pixels["rate"] = x, y, rate[y, x]
    return pixels[np.argsort(-pixels["rate"], kind="stable")]


def hot_pixel_mask(pixels: HotPixels, size: SensorSize) -> Bool[np.ndarray, "H W"]:
    """A mask for `remove_hot_pixels`, True at these pixels."""
    mask = np.zeros(tuple(size), np.bool_)
    mask[pixels["y"], pixels["x"]] = True
    return mask


def remove_hot_pixels(events: Events, mask: Bool[np.ndarray, "H W"]) -> Events:
    """Drop the events of masked pixels; the order of the others stays.

    Args:
        events: in any order.
        mask: True at the pixels to drop; its shape is the sensor's size.

    Raises:
        ValueError: an event lies outside the sensor.
    """
    events = readable(events)
    kept = np.empty(len(events), EVENT_DTYPE)
    num_kept, num_outside = _keep_unmasked(events, np.ascontiguousarray(mask), kept)
    if num_outside:
        raise_if_outside(events, SensorSize(*mask.shape))
    return kept[:num_kept]


def _third_most_around(counts: Int64[np.ndarray, "H W"]) -> Int64[np.ndarray, "H W"]:
    """The third largest of the 8 neighbours' counts; zeros beyond the border."""
    height, width = counts.shape
    padded = np.pad(counts, 1)
    first, second, third = (np.zeros_like(counts) for _ in range(3))
    for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        other = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        np.maximum(third, np.minimum(second, other), out=third)
        np.maximum(second, np.minimum(first, other), out=second)
        np.maximum(first, other, out=first)
    return third


@kernel
@typing.no_type_check
def _keep_supported(events, height, width, max_age, latest, kept):
    """Fill `kept` and update `latest`; return the numbers of events kept and outside."""
    num_kept, num_outside = 0, 0
    for i in range(len(events)):
        event = events[i]
        if event.x >= width or event.y >= height:
            num_outside += 1
            continue
        t, row, column = event.t, np.int64(event.y) + 1, np.int64(event.x) + 1
        since = t - max_age
        # No `or`, and the next event overwrites a dropped one: noise is random, so a branch on it
        # would often be mispredicted.
        is_supported = (
            (latest[row, column - 1] >= since)
            | (latest[row, column + 1] >= since)
            | (latest[row - 1, column] >= since)
            | (latest[row + 1, column] >= since)
            | (latest[row - 1, column - 1] >= since)
            | (latest[row - 1, column + 1] >= since)
            | (latest[row + 1, column - 1] >= since)
            | (latest[row + 1, column + 1] >= since)
        )
        latest[row, column] = max(latest[row, column], t)
        kept[num_kept] = event
        num_kept += is_supported
    return num_kept, num_outside


@kernel
@typing.no_type_check
def _keep_unmasked(events, mask, kept):
    """Fill `kept`; return the numbers of events kept and outside."""
    (height, width), num_kept, num_outside = mask.shape, 0, 0
    for i in range(len(events)):
        event = events[i]
        if event.x >= width or event.y >= height:
            num_outside += 1
            continue
        kept[num_kept] = event
        num_kept += not mask[event.y, event.x]
    return num_kept, num_outside
