"""The representations of functions.py with torch: events of N time bins -> N frames.

Names, arguments (but for `count_scale`) and frames are the same, on the events' device. Nothing is
read back from the device, and shapes depend only on the number of events. Cells are counted in
integers, as in functions.py, so frames are the same on every device and in every run, although an
accelerator adds in any order.
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
    "TORCH_VARIANTS",
    "ScatterFrames",
    "diff",
    "event_cube",
    "histogram",
    "multi_channel_time_surface",
    "scatter_frames",
    "span_histogram",
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
    """Make the frames of N time bins, with the default arguments of a representation.

    Args:
        name: a key of `TORCH_REPRESENTATIONS`.
        events: from `events_to_tensors`, which has checked them.
        size: sensor size.
        out_size: size of smaller frames.

    Returns:
        One frame per bin, on the events' device.

    Raises:
        ValueError: unknown representation, or out_size is out of range.
    """
    if name not in TORCH_REPRESENTATIONS:
        raise ValueError(f"name must be one of {', '.join(TORCH_REPRESENTATIONS)}, got {name!r}")
    return TORCH_REPRESENTATIONS[name](events, size, out_size=out_size)


def histogram(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    max_count: int = 5,
) -> Frames:
    """`functions.histogram` of each bin."""
    check_count("max_count", max_count)
    positions = _Positions(events, size, out_size)
    cells = positions.zeros(2, torch.int32)
    cells.view(-1).index_add_(0, positions.cells_of(events.p, cells), torch.ones_like(events.t))
    return cells.clamp(max=max_count).float() / max_count


def diff(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    max_count: int = 5,
) -> Frames:
    """`functions.diff` of each bin."""
    check_count("max_count", max_count)
    positions = _Positions(events, size, out_size)
    cells = positions.zeros(1, torch.int32)
    sign = events.p.int() * 2 - 1
    cells.view(-1).index_add_(0, positions.cells_of(torch.zeros_like(sign), cells), sign)
    return cells.clamp(-max_count, max_count).float() / max_count


def time_surface(
    events: EventTensors, size: SensorSize, *, out_size: tuple[int, int] | None = None
) -> Frames:
    """`functions.time_surface` of each bin."""
    return multi_channel_time_surface(events, size, out_size=out_size, num_micro_bins=1)


def multi_channel_time_surface(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    num_micro_bins: int = 3,
) -> Frames:
    """`functions.multi_channel_time_surface` of each bin."""
    check_count("num_micro_bins", num_micro_bins)
    positions = _Positions(events, size, out_size)
    channel = 2 * positions.micro_bins(num_micro_bins) + events.p
    cells = positions.zeros(2 * num_micro_bins, torch.int32)
    cells.view(-1).scatter_reduce_(0, positions.cells_of(channel, cells), events.t, "amax")
    return (cells.float() / _per_frame(events.delta_t).float()).clamp(max=BELOW_ONE)


def event_cube(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    num_micro_bins: int = 3,
    max_count: int = 5,
) -> Frames:
    """`functions.event_cube` of each bin."""
    check_count("num_micro_bins", num_micro_bins)
    check_count("max_count", max_count)
    positions = _Positions(events, size, out_size)
    delta_t = events.delta_t[positions.bin_index]
    position = 2 * num_micro_bins * events.t.long() - delta_t
    cells = positions.zeros(2 * num_micro_bins, torch.int64)
    for micro_bin, share in _shares(position, 2 * delta_t, num_micro_bins):
        channel = 2 * micro_bin + events.p
        cells.view(-1).index_add_(0, positions.cells_of(channel, cells), share)
    full = _per_frame(2 * max_count * events.delta_t)
    return torch.minimum(cells, full).float() / full.float()


def voxel_grid(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    num_micro_bins: int = 5,
) -> Frames:
    """`functions.voxel_grid` of each bin."""
    check_count("num_micro_bins", num_micro_bins)
    positions = _Positions(events, size, out_size)
    position, unit = (num_micro_bins - 1) * events.t.long(), events.delta_t[positions.bin_index]
    sign = events.p.long() * 2 - 1
    cells = positions.zeros(num_micro_bins, torch.int64)
    for micro_bin, share in _shares(position, unit, num_micro_bins):
        cells.view(-1).index_add_(0, positions.cells_of(micro_bin, cells), sign * share)
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
    """`functions.stacked_histogram` of each bin."""
    check_count("num_micro_bins", num_micro_bins)
    check_count("max_count", max_count, 255)
    check_variant(variant, replay, size, out_size)
    positions = _Positions(events, size, None if replay else out_size)
    micro_bins_of = positions.rvt_micro_bins if variant == "rvt" else positions.micro_bins
    channel = num_micro_bins * events.p.long() + micro_bins_of(num_micro_bins)
    cells = positions.zeros(2 * num_micro_bins, torch.int32)
    cells.view(-1).index_add_(0, positions.cells_of(channel, cells), torch.ones_like(events.t))
    if replay:
        cells = cells % 256
        if out_size is not None and tuple(out_size) != tuple(size):
            cells = cells[..., 1::2, 1::2].contiguous()
    return cells.clamp(max=max_count).to(torch.uint8)


def span_histogram(
    events: EventTensors,
    size: SensorSize,
    *,
    out_size: tuple[int, int] | None = None,
    num_micro_bins: int = 10,
) -> Frames:
    """`span_histogram.span_histogram` of each bin."""
    check_count("num_micro_bins", num_micro_bins)
    positions = _Positions(events, size, out_size)
    since_first, span = positions.since_first()
    micro_bin = since_first * num_micro_bins // (span + 1)
    channel = num_micro_bins * (1 - events.p.long()) + micro_bin
    cells = positions.zeros(2 * num_micro_bins, torch.int32)
    cells.view(-1).index_add_(0, positions.cells_of(channel, cells), torch.ones_like(events.t))
    together = size.height * size.width / (positions.out.height * positions.out.width)
    return cells.float() * (1 / together)


@runtime_checkable
class ScatterFrames(Protocol):
    """The signature that all representations of tensors share."""

    def __call__(
        self, events: EventTensors, size: SensorSize, *, out_size: tuple[int, int] | None = None
    ) -> Shaped[Tensor, "N C H W"]:
        """Make one frame per bin."""


TORCH_REPRESENTATIONS: dict[str, ScatterFrames] = {
    "diff": diff,
    "event_cube": event_cube,
    "histogram": histogram,
    "multi_channel_time_surface": multi_channel_time_surface,
    "stacked_histogram": stacked_histogram,
    "time_surface": time_surface,
    "voxel_grid": voxel_grid,
}
"""By name; the same names as `functions.REPRESENTATIONS`."""
TORCH_VARIANTS: dict[str, ScatterFrames] = {"stacked_histogram_evrtdetr": span_histogram}
"""The variants that are not their representation with other arguments, by name."""


class _Positions:
    """The time bin, the pixel of the frame and the micro-bin of each event."""

    def __init__(
        self, events: EventTensors, size: SensorSize, out_size: tuple[int, int] | None
    ) -> None:
        self.events = events
        self.out = frame_grid(size, out_size).size
        self.num_bins = len(events.num_events)
        device = events.t.device
        # Without output_size torch would wait for the device to compute it.
        self.bin_index = torch.repeat_interleave(
            torch.arange(self.num_bins, device=device),
            events.num_events,
            output_size=len(events.t),
        )
        row = events.y.long() * self.out.height // size.height
        column = events.x.long() * self.out.width // size.width
        self.pixel = row * self.out.width + column

    def zeros(self, num_channels: int, dtype: torch.dtype) -> Integer[Tensor, "N C H W"]:
        shape = (self.num_bins, num_channels, *self.out)
        return torch.zeros(shape, dtype=dtype, device=self.pixel.device)

    def cells_of(
        self, channel: Integer[Tensor, " E"], cells: Integer[Tensor, "N C H W"]
    ) -> Int64[Tensor, " E"]:
        num_channels, height, width = cells.shape[1:]
        return (self.bin_index * num_channels + channel) * (height * width) + self.pixel

    def micro_bins(self, num_micro_bins: int) -> Int64[Tensor, " E"]:
        events = self.events
        return events.t.long() * num_micro_bins // events.delta_t[self.bin_index]

    def since_first(self) -> tuple[Int64[Tensor, " E"], Int64[Tensor, " E"]]:
        """Times since the first event of their bins, and the time from it to the last."""
        t = self.events.t.long()
        last = torch.zeros_like(self.events.num_events)
        last = last.scatter_reduce(0, self.bin_index, t, "amax")
        first = self.events.delta_t.scatter_reduce(0, self.bin_index, t, "amin")
        return t - first[self.bin_index], (last - first)[self.bin_index]

    def rvt_micro_bins(self, num_micro_bins: int) -> Int64[Tensor, " E"]:
        since_first, span = self.since_first()
        # In single precision, as in RVT, so that times at an edge fall to the same side.
        share = since_first.float() / span.clamp(min=1).float() * num_micro_bins
        return share.long().clamp(max=num_micro_bins - 1)


def _shares(
    position: Int64[Tensor, " E"], unit: Int64[Tensor, " E"], num_micro_bins: int
) -> list[tuple[Int64[Tensor, " E"], Int64[Tensor, " E"]]]:
    """The micro-bins on either side of position / unit, and the share of `unit` of each.

    A micro-bin that does not exist has the share 0 and the index of an existing one.
    """
    first = torch.div(position, unit, rounding_mode="floor")
    to_second = position - first * unit
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
