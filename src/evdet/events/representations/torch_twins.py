"""The representations of representations.py as torch scatter: events of N slices -> N frames.

The same names, arguments and frames, where the events are: on a CPU or an accelerator. Nothing is
read back from the device, and no shape depends on more than the number of events. Cells are
counted in whole numbers, as in representations.py, so frames are the same on every device and in
every run, although an accelerator adds in any order.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32, Int64, Integer, Shaped, UInt8
from torch import Tensor

from evdet.events.dtypes import SensorSize
from evdet.events.representations.event_tensors import EventTensors
from evdet.events.representations.grid import BELOW_ONE, check_count, check_variant, frame_grid

__all__ = [
    "TORCH_REPRESENTATIONS",
    "ScatterFrames",
    "diff",
    "event_cube",
    "histogram",
    "multi_channel_time_surface",
    "scatter_frames",
    "stacked_histogram",
    "time_surface",
    "voxel_grid",
]

Frames = Float32[Tensor, "N C H W"]
ByteFrames = UInt8[Tensor, "N C H W"]


def scatter_frames(
    name: str,
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
) -> Shaped[Tensor, "N C H W"]:
    """Make the frames of N slices, with the arguments that a representation has by default.

    Args:
        name: a key of `TORCH_REPRESENTATIONS`.
        events: what `events_to_tensors` made; it has checked them.
        size: sensor size.
        out_size: size of smaller frames.

    Returns:
        One frame per slice, on the events' device.

    Raises:
        ValueError: there is no such representation, or out_size makes no sense.
    """
    if name not in TORCH_REPRESENTATIONS:
        raise ValueError(
            f"no representation is called {name!r}; there are {', '.join(TORCH_REPRESENTATIONS)}"
        )
    return TORCH_REPRESENTATIONS[name](events, size, out_size=out_size)


def histogram(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    max_count: int = 5,
) -> Frames:
    """Count events per pixel and polarity: `representations.histogram` of each slice."""
    check_count("max_count", max_count)
    places = _Places(events, size, out_size)
    cells = places.zeros(2, torch.int32)
    cells.view(-1).index_add_(0, places.cells_of(events.p, cells), torch.ones_like(events.t))
    return cells.clamp(max=max_count).float() / max_count


def diff(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    max_count: int = 5,
) -> Frames:
    """Count ON minus OFF events per pixel: `representations.diff` of each slice."""
    check_count("max_count", max_count)
    places = _Places(events, size, out_size)
    cells = places.zeros(1, torch.int32)
    sign = events.p.int() * 2 - 1
    cells.view(-1).index_add_(0, places.cells_of(torch.zeros_like(sign), cells), sign)
    return cells.clamp(-max_count, max_count).float() / max_count


def time_surface(
    events: EventTensors, size: SensorSize, *, out_size: tuple[int, int] | None = None
) -> Frames:
    """Share of the slice before the latest event: `representations.time_surface` of each."""
    return multi_channel_time_surface(events, size, out_size=out_size, num_micro_bins=1)


def multi_channel_time_surface(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    num_micro_bins: int = 3,
) -> Frames:
    """A time surface of each micro-bin: `multi_channel_time_surface` of each slice."""
    check_count("num_micro_bins", num_micro_bins)
    places = _Places(events, size, out_size)
    channel = 2 * places.micro_bins(num_micro_bins) + events.p
    cells = places.zeros(2 * num_micro_bins, torch.int32)
    cells.view(-1).scatter_reduce_(0, places.cells_of(channel, cells), events.t, "amax")
    return (cells.float() / _per_frame(events.delta_t).float()).clamp(max=BELOW_ONE)


def event_cube(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    num_micro_bins: int = 3,
    max_count: int = 5,
) -> Frames:
    """Count events, each shared by two micro-bins: `representations.event_cube` of each slice."""
    check_count("num_micro_bins", num_micro_bins)
    check_count("max_count", max_count)
    places = _Places(events, size, out_size)
    delta_t = events.delta_t[places.number]
    place = 2 * num_micro_bins * events.t.long() - delta_t
    cells = places.zeros(2 * num_micro_bins, torch.int64)
    for micro_bin, share in _shares(place, 2 * delta_t, num_micro_bins):
        channel = 2 * micro_bin + events.p
        cells.view(-1).index_add_(0, places.cells_of(channel, cells), share)
    full = _per_frame(2 * max_count * events.delta_t)
    return torch.minimum(cells, full).float() / full.float()


def voxel_grid(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    num_micro_bins: int = 5,
) -> Frames:
    """Add up polarities, shared by two grid times: `representations.voxel_grid` of each slice."""
    check_count("num_micro_bins", num_micro_bins)
    places = _Places(events, size, out_size)
    place, unit = (num_micro_bins - 1) * events.t.long(), events.delta_t[places.number]
    sign = events.p.long() * 2 - 1
    cells = places.zeros(num_micro_bins, torch.int64)
    for micro_bin, share in _shares(place, unit, num_micro_bins):
        cells.view(-1).index_add_(0, places.cells_of(micro_bin, cells), sign * share)
    return cells.float() / _per_frame(events.delta_t).float()


def stacked_histogram(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    num_micro_bins: int = 10,
    max_count: int = 10,
    variant: str = "edges",
    replay: bool = False,
) -> ByteFrames:
    """Count events per micro-bin, in bytes: `representations.stacked_histogram` of each slice."""
    check_count("num_micro_bins", num_micro_bins)
    check_count("max_count", max_count, 255)
    check_variant(variant, replay, size, out_size)
    places = _Places(events, size, None if replay else out_size)
    number_in = places.rvt_micro_bins if variant == "rvt" else places.micro_bins
    channel = num_micro_bins * events.p.long() + number_in(num_micro_bins)
    cells = places.zeros(2 * num_micro_bins, torch.int32)
    cells.view(-1).index_add_(0, places.cells_of(channel, cells), torch.ones_like(events.t))
    if replay:
        cells = cells % 256
        if out_size is not None and tuple(out_size) != tuple(size):
            cells = cells[..., 1::2, 1::2].contiguous()
    return cells.clamp(max=max_count).to(torch.uint8)


@runtime_checkable
class ScatterFrames(Protocol):
    """What every representation of tensors can be called as."""

    def __call__(
        self, events: EventTensors, size: SensorSize, *, out_size: tuple[int, int] | None = None
    ) -> Shaped[Tensor, "N C H W"]:
        """Make one frame per slice."""


TORCH_REPRESENTATIONS: dict[str, ScatterFrames] = {
    "diff": diff,
    "event_cube": event_cube,
    "histogram": histogram,
    "multi_channel_time_surface": multi_channel_time_surface,
    "stacked_histogram": stacked_histogram,
    "time_surface": time_surface,
    "voxel_grid": voxel_grid,
}
"""By name; the same names as `representations.REPRESENTATIONS`."""


class _Places:
    """Where each event falls: its slice, its pixel of the frame, its micro-bin."""

    def __init__(
        self, events: EventTensors, size: SensorSize, out_size: tuple[int, int] | None
    ) -> None:
        self.events = events
        self.out = frame_grid(size, out_size).size
        self.num_slices = len(events.num_events)
        device = events.t.device
        # Its length is known here: without it, torch would wait for the device to say it.
        self.number = torch.repeat_interleave(
            torch.arange(self.num_slices, device=device),
            events.num_events,
            output_size=len(events.t),
        )
        row = events.y.long() * self.out.height // size.height
        column = events.x.long() * self.out.width // size.width
        self.pixel = row * self.out.width + column

    def zeros(self, num_channels: int, dtype: torch.dtype) -> Integer[Tensor, "N C H W"]:
        shape = (self.num_slices, num_channels, *self.out)
        return torch.zeros(shape, dtype=dtype, device=self.pixel.device)

    def cells_of(
        self, channel: Integer[Tensor, " E"], cells: Integer[Tensor, "N C H W"]
    ) -> Int64[Tensor, " E"]:
        num_channels, height, width = cells.shape[1:]
        return (self.number * num_channels + channel) * (height * width) + self.pixel

    def micro_bins(self, num_micro_bins: int) -> Int64[Tensor, " E"]:
        events = self.events
        return events.t.long() * num_micro_bins // events.delta_t[self.number]

    def rvt_micro_bins(self, num_micro_bins: int) -> Int64[Tensor, " E"]:
        t = self.events.t.long()
        last = torch.zeros_like(self.events.num_events)
        last = last.scatter_reduce(0, self.number, t, "amax")
        first = self.events.delta_t.scatter_reduce(0, self.number, t, "amin")
        span = (last - first).clamp(min=1)[self.number]
        # In single precision, as RVT does it: times at an edge fall to the side that it takes.
        share = (t - first[self.number]).float() / span.float() * num_micro_bins
        return share.long().clamp(max=num_micro_bins - 1)


def _shares(
    place: Int64[Tensor, " E"], unit: Int64[Tensor, " E"], num_micro_bins: int
) -> list[tuple[Int64[Tensor, " E"], Int64[Tensor, " E"]]]:
    """The micro-bins on either side of place / unit, and how much of `unit` each gets.

    A micro-bin that does not exist gets nothing, and another one's number.
    """
    first = torch.div(place, unit, rounding_mode="floor")
    to_second = place - first * unit
    second = first + 1
    return [
        (first.clamp(min=0), torch.where(first >= 0, unit - to_second, 0)),
        (
            second.clamp(max=num_micro_bins - 1),
            torch.where(second < num_micro_bins, to_second, 0),
        ),
    ]


def _per_frame(values: Shaped[Tensor, " N"]) -> Shaped[Tensor, "N 1 1 1"]:
    return values.view(-1, 1, 1, 1)
