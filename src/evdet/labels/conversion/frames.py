"""Times of labels -> frame numbers, for formats that number frames."""

from collections.abc import Mapping

import numpy as np

from evdet.labels.binning import LabeledTimes

__all__ = ["label_times", "number_frames"]


def label_times(labeled: LabeledTimes) -> list[int]:
    """All annotated times, in order."""
    times: list[int] = np.union1d(labeled.boxes["t"], labeled.empty_times).tolist()
    return times


def number_frames(
    labeled: LabeledTimes, *, frame_period: int, start: int
) -> tuple[Mapping[int, int], str]:
    """The number of the frame of each annotated time, from 0.

    It is the inverse of `LabelSource.frame_time`: frame k is labelled at its end.

    Args:
        labeled: the labels.
        frame_period: microseconds from one frame to the next.
        start: time of the recording's first event.

    Returns:
        Frame numbers by time, and what is lost, in words; empty if nothing is.

    Raises:
        ValueError: two times are in the same frame, or one is before the first.
    """
    first = start // frame_period
    frames: dict[int, int] = {}
    time_in: dict[int, int] = {}
    shifts = []
    for t in label_times(labeled):
        frame = -(-t // frame_period) - 1 - first if t else 0
        if frame < 0:
            raise ValueError(
                f"the label time {t} us is before the recording's first frame, which starts at "
                f"{first * frame_period} us"
            )
        if frame in time_in:
            raise ValueError(
                f"the label times {time_in[frame]} and {t} us are both in frame {frame} of "
                f"{frame_period} us: give a shorter --frame-period"
            )
        time_in[frame], frames[t] = t, frame
        shifts.append((first + frame + 1) * frame_period - t)
    moved = [shift for shift in shifts if shift]
    if not moved:
        return frames, ""
    return frames, (
        f"numbers frames instead of times: {len(moved):,} of {len(shifts):,} times become the end "
        f"of their frame, up to {max(moved):,} us later"
    )
