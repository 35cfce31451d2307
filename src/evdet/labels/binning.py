"""The content of a label file, and which of its boxes belongs to which time bin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from evdet.boxes import BOX_DTYPE
from evdet.shapes import BoxEvents

__all__ = [
    "IGNORED_DTYPE",
    "NOT_COUNTED",
    "BinnedBoxes",
    "LabeledTimes",
    "bin_boxes",
    "bins_of",
    "describe_counts",
    "to_disk_ids",
]

IGNORED_DTYPE = np.dtype([*BOX_DTYPE.descr, ("is_crowd", "|b1")])
"""A box that does not count: a crowd, of which any part may be found, or one object."""
NOT_COUNTED = {
    "crowd regions": "crowd region",
    "difficult objects": "difficult object",
    "ignored rows": "ignored row",
    "boxes of confidence 0": "box of confidence 0",
}
"""Why a label file says that boxes do not count: of several, and of one."""


@dataclass(frozen=True, eq=False)
class LabeledTimes:
    """The content of a label file; ids from 1, the first class of the label map."""

    boxes: BoxEvents
    """In order of time."""
    empty_times: Int64[np.ndarray, " _"] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Annotated times without objects, in microseconds and in order."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many boxes are in `ignored`, by reason."""
    ignored: BoxEvents = field(default_factory=lambda: np.zeros(0, IGNORED_DTYPE))
    """Boxes that the label file itself marks as not to be counted, in order of time: training
    does not use them, and a detection of one is neither right nor wrong. Their times are annotated:
    they are those of boxes, or empty times."""
    notes: tuple[str, ...] = ()
    """How the file was understood, where it could be understood otherwise."""

    def flagged(self) -> BoxEvents:
        """All boxes in order of time; if any is ignored with the flags `is_ignored`, `is_crowd`."""
        if not len(self.ignored):
            return self.boxes
        flags = [("is_crowd", "|b1"), ("is_ignored", "|b1")]
        count = len(self.boxes)
        joined = np.zeros(count + len(self.ignored), [*self.boxes.dtype.descr, *flags])
        joined["is_ignored"][count:] = True
        for part, some in ((joined[:count], self.boxes), (joined[count:], self.ignored)):
            for name in some.dtype.names or ():
                part[name] = some[name]
        return joined[np.argsort(joined["t"], kind="stable")]

    @staticmethod
    def empty() -> "LabeledTimes":
        """The labels of a recording without annotation."""
        return LabeledTimes(np.zeros(0, BOX_DTYPE))


class BinnedBoxes(NamedTuple):
    """The boxes of consecutive bins; each box of the file is used, superseded or outside."""

    boxes: list[BoxEvents]
    """The boxes to use in each bin."""
    is_labeled: Bool[np.ndarray, " _"]
    """False for a bin that is not annotated, as opposed to one without objects."""
    num_superseded: int
    """Boxes in these bins that a later time in the same bin replaces."""
    num_outside: int
    """Boxes before the first or after the last of these bins."""


def bin_boxes(labeled: LabeledTimes, *, first_bin: int, num_bins: int, delta_t: int) -> BinnedBoxes:
    """Sort boxes into consecutive time bins.

    Bin k takes the labels at k * delta_t < t <= (k + 1) * delta_t, since a label describes the
    events before it; t = 0 belongs to bin 0. Of several label times in a bin, empty ones included,
    the last is used.

    Args:
        labeled: the content of a label file.
        first_bin: index of the first bin; bin 0 starts at time 0.
        num_bins: number of bins.
        delta_t: duration of a bin in microseconds.

    Raises:
        ValueError: `num_bins` is negative or `delta_t` not positive.
    """
    if num_bins < 0 or delta_t <= 0:
        raise ValueError(
            f"bins need num_bins >= 0 and delta_t > 0, got num_bins={num_bins}, delta_t={delta_t}"
        )
    times = labeled.boxes["t"]
    edges = np.arange(first_bin, first_bin + num_bins + 1)
    cuts = np.searchsorted(bins_of(times, delta_t), edges)
    empty_cuts = np.searchsorted(bins_of(labeled.empty_times, delta_t), edges)
    boxes, num_superseded = [], 0
    is_labeled = (np.diff(cuts) > 0) | (np.diff(empty_cuts) > 0)
    for k in range(num_bins):
        start, stop = int(cuts[k]), int(cuts[k + 1])
        used = start + _first_of_last_time(
            times[start:stop], labeled.empty_times[empty_cuts[k] : empty_cuts[k + 1]]
        )
        boxes.append(labeled.boxes[used:stop])
        num_superseded += used - start
    num_outside = len(times) - int(cuts[-1] - cuts[0])
    return BinnedBoxes(boxes, is_labeled, num_superseded, num_outside)


def bins_of(times: Int64[np.ndarray, " N"], delta_t: int) -> Int64[np.ndarray, " N"]:
    """Index of the bin of each label time; both arguments are in microseconds.

    It is k for k * delta_t < t <= (k + 1) * delta_t, and 0 for t = 0.

    Example:
        >>> bins_of(np.array([0, 1, 50, 51]), 50)
        array([0, 0, 0, 1])
    """
    # No bin ends at 0.
    bins: Int64[np.ndarray, " N"] = (times - (times != 0)) // delta_t
    return bins


def describe_counts(counts: Mapping[str, int]) -> list[str]:
    """Put the counts of boxes that do not count into words.

    Example:
        >>> describe_counts({"crowd regions": 3, "difficult objects": 1})
        ['3 crowd regions are not counted', '1 difficult object is not counted']
    """
    return [
        f"{n:,} {reason} are not counted" if n != 1 else f"1 {_of_one(reason)} is not counted"
        for reason, n in counts.items()
    ]


def _of_one(reason: str) -> str:
    """A reason in the plural -> of one box: those of `NOT_COUNTED`, and shapes that are dropped."""
    if reason in NOT_COUNTED:
        return NOT_COUNTED[reason]
    return reason.replace("shapes that are not boxes", "shape that is not a box").replace(
        "boxes", "box"
    )


def to_disk_ids(boxes: BoxEvents) -> BoxEvents:
    """Copy boxes with ids from 1 to ids on disk, where the first class of a label map has id 0.

    Raises:
        ValueError: a box is background.
    """
    if (boxes["class_id"] == 0).any():
        row = int(np.flatnonzero(boxes["class_id"] == 0)[0])
        raise ValueError(
            f"box {row} at t={boxes['t'][row]} us has class id 0, the background; the first class "
            "has id 1. Were these boxes read without `read_boxes`?"
        )
    boxes = boxes.copy()
    boxes["class_id"] -= 1
    return boxes


def _first_of_last_time(
    times: Int64[np.ndarray, " _"], empty_times: Int64[np.ndarray, " _"]
) -> int:
    """Index of the first box to use among a bin's boxes, or their number."""
    if not len(times) or (len(empty_times) and empty_times[-1] > times[-1]):
        return len(times)
    return int(np.searchsorted(times, times[-1]))
