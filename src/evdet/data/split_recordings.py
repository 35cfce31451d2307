"""The recordings of one split, those of them that have labels, and whether any has an object."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from evdet.data.clips import LabeledRecording
from evdet.data.folder import DatasetFolder
from evdet.data.folder_layouts import RecordingEntry

__all__ = ["NoObjectsError", "check_objects", "entries_of", "log_labels"]

_log = logging.getLogger(__name__)

# Counts that are not of boxes left out.
_NO_LOSSES = ("clipped", "hot pixels")


class NoObjectsError(ValueError):
    """A split has no box to learn from or to score.

    Args:
        counts: how many recordings and labels there are, and why none of the boxes is used.
        folder: the data set.
    """

    def __init__(self, counts: str, folder: Path) -> None:
        super().__init__(f"{counts}: `evdet check {folder}` shows what the label files hold")
        self.counts = counts


def entries_of(folder: DatasetFolder, split: str, kind: str) -> tuple[RecordingEntry, ...]:
    """The recordings of a split, all of one kind: "events" or "frames".

    Raises:
        ValueError: the folder does not have the split, or it has recordings of the other kind.
    """
    if split not in folder.splits:
        raise ValueError(
            f"{folder.path} has no {split}/ with recordings, only {', '.join(folder.splits)}"
        )
    for entry in folder.splits[split]:
        if entry.kind != kind:
            raise ValueError(
                f"{entry.recording} holds {entry.kind}, but {kind} were requested: training cannot "
                "mix recordings and ready-made frames"
            )
    return folder.splits[split]


def log_labels(
    split: str, videos: Sequence[LabeledRecording], counts: Mapping[str, int]
) -> list[LabeledRecording]:
    """Log a summary of a split; return the recordings that have a labelled bin.

    Args:
        split: train, val or test.
        videos: recordings that could be opened.
        counts: boxes left out or changed, by reason.
    """
    played = [video for video in videos if video.labels.is_labeled.any()]
    _log.info(
        "%s: %s, %d bins, %d of them labelled, %d boxes%s",
        split,
        _recordings(len(played)),
        sum(video.num_bins for video in played),
        sum(int(video.labels.is_labeled.sum()) for video in played),
        sum(len(video.labels.boxes) for video in played),
        "".join(f"; {reason}: {count}" for reason, count in sorted(counts.items())),
    )
    if len(played) < len(videos):
        without = [video.name for video in videos if not video.labels.is_labeled.any()]
        _log.warning(
            "%s: %s without a label left out: %s",
            split,
            _recordings(len(without)),
            ", ".join(without[:5]) + (" ..." if len(without) > 5 else ""),
        )
    return played


def check_objects(
    folder: DatasetFolder,
    split: str,
    videos: Sequence[LabeledRecording],
    left_out: Mapping[str, int],
) -> None:
    """Refuse a split without a single box.

    Args:
        folder: the data set.
        split: train, val or test.
        videos: its recordings that have a labelled bin.
        left_out: boxes left out or changed, by reason.

    Raises:
        NoObjectsError: there is no box.
    """
    if any(len(video.labels.boxes) for video in videos):
        return
    num_recordings = len(folder.splits.get(split, ()))
    num_labeled = sum(int(video.labels.is_labeled.sum()) for video in videos)
    lost = {what: n for what, n in sorted(left_out.items()) if n and what not in _NO_LOSSES}
    reasons = "; ".join(f"{what}: {count:,}" for what, count in lost.items())
    raise NoObjectsError(
        f"{split} has 0 boxes in {_recordings(num_recordings)}, of which {len(videos):,} "
        f"{'has' if len(videos) == 1 else 'have'} labels, in {num_labeled:,} time bins"
        + (f" (boxes left out: {reasons})" if reasons else ""),
        folder.path,
    )


def _recordings(number: int) -> str:
    return f"{number:,} recording{'' if number == 1 else 's'}"
