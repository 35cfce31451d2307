"""The recordings of one split, and those of them that have labels."""

import logging
from collections.abc import Mapping, Sequence

from evdet.data.clips import LabeledRecording
from evdet.data.folder import DatasetFolder
from evdet.data.folder_layouts import RecordingEntry

__all__ = ["entries_of", "log_labels"]

_log = logging.getLogger(__name__)


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
        "%s: %d recordings, %d bins, %d of them labelled, %d boxes%s",
        split,
        len(played),
        sum(video.num_bins for video in played),
        sum(int(video.labels.is_labeled.sum()) for video in played),
        sum(len(video.labels.boxes) for video in played),
        "".join(f"; {reason}: {count}" for reason, count in sorted(counts.items())),
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
