"""The recordings of one split: which there are, and which are worth playing."""

import logging
from collections.abc import Mapping, Sequence

from evdet.data.clips import LabeledRecording
from evdet.data.folder import DatasetFolder
from evdet.data.folder_layouts import RecordingEntry

__all__ = ["entries_of", "log_labels"]

_log = logging.getLogger(__name__)


def entries_of(folder: DatasetFolder, split: str, kind: str) -> tuple[RecordingEntry, ...]:
    """The recordings of a split, all of one kind.

    Args:
        folder: the data set.
        split: train, val or test.
        kind: "events" or "frames".

    Returns:
        The recordings.

    Raises:
        ValueError: there is no such split, or it has recordings of the other kind.
    """
    if split not in folder.splits:
        raise ValueError(
            f"{folder.path} has no {split}/ with recordings, only {', '.join(folder.splits)}"
        )
    for entry in folder.splits[split]:
        if entry.kind != kind:
            raise ValueError(
                f"{entry.recording} holds {entry.kind}, but {kind} were asked for: recordings and "
                "ready-made frames cannot be trained on together"
            )
    return folder.splits[split]


def log_labels(
    split: str, videos: Sequence[LabeledRecording], counts: Mapping[str, int]
) -> list[LabeledRecording]:
    """Say what there is to play, and choose it.

    Args:
        split: train, val or test.
        videos: recordings that could be opened.
        counts: boxes left out or changed, by reason.

    Returns:
        The recordings that have a labelled bin.
    """
    played = [video for video in videos if video.labels.is_labeled.any()]
    _log.info(
        "%s: %d recordings, %d bins, %d of them labelled, %d boxes%s",
        split,
        len(played),
        sum(video.num_bins for video in played),
        sum(int(video.labels.is_labeled.sum()) for video in played),
        sum(len(video.labels.boxes) for video in played),
        "".join(f"; {reason}: {number}" for reason, number in sorted(counts.items())),
    )
    if len(played) < len(videos):
        without = [video.name for video in videos if not video.labels.is_labeled.any()]
        _log.warning(
            "%s: %d recordings without a label are left out: %s",
            split,
            len(without),
            ", ".join(without[:5]) + (" ..." if len(without) > 5 else ""),
        )
    return played
