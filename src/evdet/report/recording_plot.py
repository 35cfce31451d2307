"""A recording's summary -> a picture: event rate over time, and the events of each pixel."""

import io

import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullLocator

from evdet.events import HotPixels, RateOverTime, RecordingSummary

__all__ = ["plot_recording"]

_OFF, _ON = "#2a78d6", "#e0622a"
_HOT = "#00a878"
_WIDTH = 9  # inches
_NUM_COLUMNS = 400
# More circles would hide the picture.
_MAX_CIRCLES = 200


def plot_recording(name: str, summary: RecordingSummary, hot_pixels: HotPixels) -> bytes:
    """Draw the rate of each polarity over time, and below it the events of every pixel.

    Args:
        name: of the recording, for the title.
        summary: of a recording with events.
        hot_pixels: the pixels to circle, the worst first.

    Returns:
        The bytes of a PNG file.
    """
    height, width = summary.pixel_counts.shape
    picture_height = _WIDTH * height / width if width else 0
    figure = Figure(figsize=(_WIDTH, 2.6 + min(picture_height, 9)), dpi=110, layout="constrained")
    ratios = [2.2, max(min(picture_height, 9), 0.1)]
    above, below = figure.subplots(2, 1, height_ratios=ratios)
    _plot_rate(above, summary.rate)
    share = summary.num_on / summary.num_events
    above.set_title(
        f"{name}: {summary.num_events:,} events in {summary.duration / 1e6:.3f} s, {share:.0%} ON",
        loc="left",
    )
    _plot_pixels(below, summary.pixel_counts, hot_pixels)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _plot_rate(axes: Axes, rate: RateOverTime) -> None:
    # Columns of a few events would show noise instead of the rate.
    rate = rate.resample(max(40, min(_NUM_COLUMNS, int(rate.counts.sum()) // 20)))
    seconds = (rate.edges - rate.edges[0]) / 1e6
    off, on = rate.per_second()
    axes.stairs(off, seconds, fill=True, color=_OFF, label="OFF")
    axes.stairs(off + on, seconds, baseline=off, fill=True, color=_ON, label="ON")
    axes.set_xlim(0, seconds[-1])
    axes.set_ylim(0)
    axes.set_xlabel("seconds after the first event")
    axes.set_ylabel("events/s")
    axes.yaxis.set_major_formatter(EngFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, reverse=True)


def _plot_pixels(axes: Axes, counts: Int64[np.ndarray, "H W"], hot_pixels: HotPixels) -> None:
    if not counts.size:
        axes.set_axis_off()
        axes.set_title("events lie too far apart for a picture", loc="left")
        return
    seen = counts[counts > 0]
    # A hot pixel must not darken all others.
    highest = max(float(np.percentile(seen, 99.5)), 2.0)
    axes.set_facecolor("black")
    image = axes.imshow(
        np.ma.masked_equal(counts, 0),
        norm=LogNorm(1, highest, clip=True),
        cmap="gray",
        interpolation="nearest",
    )
    ticks = [10.0**power for power in range(8) if 10**power < highest / 1.5]
    beside = axes.inset_axes((1.015, 0, 0.02, 1))
    bar = axes.figure.colorbar(image, cax=beside, ticks=[*ticks, highest], label="events")
    bar.ax.yaxis.set_major_formatter(EngFormatter(places=0))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    drawn = hot_pixels[:_MAX_CIRCLES]
    diameter = max(8, 1.3 * _WIDTH * 72 / counts.shape[1])
    axes.scatter(
        drawn["x"], drawn["y"], s=diameter**2, facecolors="none", edgecolors=_HOT, linewidths=1.3
    )
    title = "events of each pixel"
    if len(hot_pixels):
        title += f"; {len(hot_pixels)} hot pixel{'s' * (len(hot_pixels) > 1)} circled"
    if len(drawn) < len(hot_pixels):
        title += f", the {len(drawn)} worst of them"
    axes.set_title(title, loc="left")
