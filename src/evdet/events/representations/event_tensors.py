"""Events of many time bins -> compact tensors (9 bytes per event) to send to an accelerator."""

import typing
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int16, Int32, Int64, UInt8
from torch import Tensor

from evdet.compiled import kernel
from evdet.events.bounds import raise_if_out_of_time, raise_if_outside, readable
from evdet.events.dtypes import SensorSize, TimeBin
from evdet.events.representations.grid import check_count

__all__ = ["EventTensors", "events_to_tensors"]

_MAX_SIDE = 2**15  # coordinates are int16, the smallest type that torch computes with


class EventTensors(NamedTuple):
    """The events of N time bins, one after the other. Loaders move it like any tuple."""

    t: Int32[Tensor, " E"]
    """Microseconds since the start of the event's bin."""
    x: Int16[Tensor, " E"]
    y: Int16[Tensor, " E"]
    p: UInt8[Tensor, " E"]
    num_events: Int64[Tensor, " N"]
    """Events of each bin."""
    delta_t: Int64[Tensor, " N"]
    """Duration of each bin, in microseconds."""


def events_to_tensors(
    bins: Sequence[TimeBin], size: SensorSize, *, device: torch.device | str = "cpu"
) -> EventTensors:
    """Pack time bins, as `Recording.slices` gives them, and send them in one copy.

    The events are checked here, and not again on the device.

    Args:
        bins: the time bins, of any durations.
        size: sensor size.
        device: device of the tensors.

    Raises:
        ValueError: an event lies outside the sensor or its bin.
    """
    check_count("the sensor's longer side", max(size), _MAX_SIDE)
    num_events = np.array([len(one.events) for one in bins], np.int64)
    total = int(num_events.sum())
    buffer = torch.empty(16 * len(bins) + 9 * total, dtype=torch.uint8)
    packed = _split(buffer, len(bins), total)
    packed.num_events.numpy()[:] = num_events
    packed.delta_t.numpy()[:] = [one.delta_t for one in bins]
    t, x, y, p = (part.numpy() for part in packed[:4])
    end = 0
    for one in bins:
        check_count("delta_t", one.delta_t)
        begin, end = end, end + len(one.events)
        here = slice(begin, end)
        limits = (one.start, one.delta_t, size.width, size.height)
        if _pack(readable(one.events), *limits, t[here], x[here], y[here], p[here]):
            raise_if_outside(one.events, size)
            raise_if_out_of_time(one.events, one.start, one.delta_t)
    return _split(buffer.to(device), len(bins), total)


def _split(buffer: UInt8[Tensor, " bytes"], num_slices: int, total: int) -> EventTensors:
    """Views of one buffer, the widest types first so that all are aligned."""
    sizes = [8 * num_slices, 8 * num_slices, 4 * total, 2 * total, 2 * total, total]
    num_events, delta_t, t, x, y, p = torch.split(buffer, sizes)
    return EventTensors(
        t.view(torch.int32),
        x.view(torch.int16),
        y.view(torch.int16),
        p,
        num_events.view(torch.int64),
        delta_t.view(torch.int64),
    )


@kernel
@typing.no_type_check
def _pack(events, start, delta_t, width, height, t, x, y, p):
    """Return the number of events outside."""
    num_outside = 0
    for i in range(len(events)):
        event = events[i]
        since_start = event.t - start
        if (
            event.x >= width
            or event.y >= height
            or event.p > 1
            or since_start < 0
            or since_start >= delta_t
        ):
            num_outside += 1
        t[i], x[i], y[i], p[i] = since_start, event.x, event.y, event.p
    return num_outside
