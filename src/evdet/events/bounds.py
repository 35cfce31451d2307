"""Check that events lie within the sensor and the time bin; errors that name the first outside."""

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, SensorSize

__all__ = ["raise_if_out_of_time", "raise_if_outside", "readable"]


def readable(events: Events) -> Events:
    """A contiguous read-only view of events, for kernels.

    Each kernel is compiled once, for this kind of array; another kind would be compiled again.
    Only events that are not contiguous are copied.

    Raises:
        ValueError: the events are not records of `EVENT_DTYPE`.
    """
    if events.dtype != EVENT_DTYPE:
        raise ValueError(
            f"events must be records of EVENT_DTYPE, {EVENT_DTYPE}, got {events.dtype}: "
            "make np.empty(len(events), EVENT_DTYPE) and copy t, x, y and p into it"
        )
    view = np.ascontiguousarray(events).view()
    view.flags.writeable = False
    return view


def raise_if_outside(events: Events, size: SensorSize) -> None:
    """Check pixels and polarities slowly, after a kernel has refused an event.

    Raises:
        ValueError: an event lies outside the sensor, or has a polarity other than 0 and 1.
    """
    outside = np.flatnonzero((events["x"] >= size.width) | (events["y"] >= size.height))
    if outside.size:
        first = events[outside[0]]
        raise ValueError(
            f"{outside.size} of {len(events)} events lie outside the sensor {size}; the first is "
            f"at x={first['x']}, y={first['y']}, t={first['t']} us. "
            "Are width and height swapped, or is the recording from another sensor?"
        )
    odd = np.flatnonzero(events["p"] > 1)
    if odd.size:
        first = events[odd[0]]
        raise ValueError(
            f"{odd.size} of {len(events)} events have a polarity other than 0 (OFF) and 1 (ON); "
            f"the first has p={first['p']} at t={first['t']} us. (p > 0) converts -1 and 1."
        )


def raise_if_out_of_time(events: Events, start: int, delta_t: int) -> None:
    """Check times slowly, after a kernel has refused an event.

    Raises:
        ValueError: an event lies outside [start, start + delta_t).
    """
    early_or_late = (events["t"] < start) | (events["t"] >= start + delta_t)
    outside = np.flatnonzero(early_or_late)
    if outside.size:
        raise ValueError(
            f"{outside.size} of {len(events)} events lie outside the time bin from {start} to "
            f"{start + delta_t} us (exclusive); the first is at t={events['t'][outside[0]]} us. "
            "Pass the start and delta_t of the events' time bin."
        )
