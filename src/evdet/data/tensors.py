"""Ready-made frames: Metavision's tensors and RVT's folders, played like recordings."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Shaped

from evdet.data.augment import Augmentation
from evdet.data.batch import ClipShape
from evdet.data.clips import BinFrame, BinGrid, LabeledRecording, label_bins
from evdet.data.folder import DatasetFolder, read_labels
from evdet.data.folder_layouts import RecordingEntry
from evdet.data.frames_file import opened_frames, shape_of
from evdet.data.split_recordings import entries_of, log_labels
from evdet.events import RecordingError, SensorSize
from evdet.frame_spec import FrameSpec
from evdet.labels import BoxRules, LabeledTimes, RecordingSpan, choose_classes

__all__ = ["TensorFrames", "open_tensors"]

_log = logging.getLogger(__name__)

_RVT_FILES = "event_representations_v2/*/event_representations*.h5"


@dataclass(frozen=True, kw_only=True)
class TensorFrames:
    """Ready-made frames of recordings; a `FrameSource`, made by `open_tensors`.

    No file stays open: each is opened when it is played, in the process that plays it.
    """

    videos: Sequence[LabeledRecording]
    """The recordings; frame k of a file is bin k."""
    clip_shape: ClipShape
    """Shape (T, C, H, W) of a clip."""
    dtype: np.dtype
    """Type of the frames: bytes or float32."""
    byte_divisor: int
    """255 for Metavision's bytes; 1 for RVT's, which are counts."""
    delta_t: int
    """Duration of a bin, in microseconds."""
    strict: bool = False
    """Raise for a damaged file, instead of playing empty frames."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Files that could not be opened, and why."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Boxes left out or changed, by reason."""

    @property
    def has_events(self) -> bool:
        """False: augmentation can change only frames."""
        return False

    def frames(
        self,
        index: int,
        first: int,
        stop: int,
        *,
        augmentation: Augmentation,
        since: int | None = None,
    ) -> Iterator[BinFrame]:
        """Read the frames of consecutive bins; see `FrameSource`.

        `since` is not used: frames after a damaged one can be read.
        """
        video, num_tbins = self.videos[index], self.clip_shape[0]
        for begin in range(first, stop, num_tbins):
            end = min(begin + num_tbins, stop)
            low, high = (min(max(bound, 0), video.num_bins) for bound in (begin, end))
            error, frames = "", np.empty((0, *self.clip_shape[1:]), self.dtype)
            if low < high:
                try:
                    frames = self._read(video.path, low, high)
                except RecordingError as damage:
                    if self.strict:
                        raise
                    error = str(damage)
            for index in range(begin, end):
                if error or not low <= index < high:
                    yield BinFrame(None, error)
                else:
                    frame = augmentation.apply_to_frame(frames[index - low], bin_index=index)
                    yield BinFrame(frame)

    def _read(self, path: Path, first: int, stop: int) -> Shaped[np.ndarray, "_ C H W"]:
        with opened_frames(path, f"frames {first} to {stop - 1}") as data:
            frames: Shaped[np.ndarray, "_ C H W"] = data[first:stop].astype(self.dtype, copy=False)
        wanted = (stop - first, *self.clip_shape[1:])
        if frames.shape != wanted:
            raise RecordingError(
                f"{path}: frames {first} to {stop - 1} have shape {frames.shape} and not {wanted}, "
                "as when it was opened. Is another program writing to it?"
            )
        return frames


def open_tensors(
    folder: DatasetFolder,
    split: str,
    spec: FrameSpec | None = None,
    *,
    classes: Sequence[str] = (),
    num_tbins: int = 12,
    rules: BoxRules | None = None,
    strict: bool = False,
) -> TensorFrames:
    """Open the ready-made frames of one split and sort their boxes into bins.

    Args:
        folder: the data set.
        split: train, val or test.
        spec: whose time bin, height and width the frames must have; None takes theirs.
        classes: the classes to train, as `choose_classes` takes them; none takes all.
        num_tbins: bins of a clip.
        rules: the boxes to use, in pixels of the sensor.
        strict: raise for a file that cannot be opened or is damaged.

    Returns:
        The frames; what was left out is logged.

    Raises:
        ValueError: the folder does not have the split, or frames differ from `spec` or each other.
        LabelError: a label file cannot be understood.
        RecordingError: `strict`, and a file cannot be opened.
    """
    choice = choose_classes(folder.label_map, classes)
    videos: list[LabeledRecording] = []
    files: list[_FrameFile] = []
    broken: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for entry in entries_of(folder, split, "frames"):
        try:
            file = _find_rvt(entry, spec) if entry.recording.is_dir() else _find(entry)
        except RecordingError as error:
            if strict:
                raise
            broken[entry.name] = str(error)
            _log.warning("%s is left out. %s", entry.name, error)
            continue
        if spec is not None:
            _check(file, spec)
        span = RecordingSpan(file.sensor, 0, file.shape[0] * file.delta_t)
        labeled = read_labels(entry, folder, span, frame_period=file.delta_t)
        bin_length = file.delta_t
        if file.label_times is not None:
            # RVT's bins have irregular ends, so a label counts frames instead of microseconds.
            labeled, bin_length = _by_frame(labeled, file.label_times, file.label_frames), 1
        grid = BinGrid(0, file.shape[0], bin_length)
        labels, changes = label_bins(labeled, choice, rules or BoxRules(), file.sensor, grid)
        counts.update(changes)
        files.append(file)
        videos.append(LabeledRecording(entry.name, file.path, file.sensor, 0, labels))
    if not files:
        raise ValueError(f"{folder.path / split} has no readable file of frames")
    _check_alike(files)
    return TensorFrames(
        videos=log_labels(split, videos, counts),
        clip_shape=(num_tbins, *files[0].shape[1:]),
        dtype=files[0].dtype,
        byte_divisor=files[0].byte_divisor,
        delta_t=files[0].delta_t,
        strict=strict,
        broken=broken,
        left_out=+counts,
    )


class _FrameFile(NamedTuple):
    """The properties of a file, known without reading its frames."""

    path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype
    byte_divisor: int
    delta_t: int
    sensor: SensorSize
    label_times: Int64[np.ndarray, " L"] | None = None
    """The times of RVT's labels ..."""
    label_frames: Int64[np.ndarray, " L"] | None = None
    """... and the indices of their frames."""


def _find(entry: RecordingEntry) -> _FrameFile:
    """A Metavision file."""
    path = entry.recording
    with opened_frames(path, "its frames") as data:
        known = {**data.parent.attrs, **data.attrs}
        shape = shape_of(data)
        is_bytes = data.dtype == np.uint8
        if "delta_t" not in known:
            raise RecordingError(
                f"{path} has no attribute delta_t, so the duration of a frame is unknown. Add it, "
                "in microseconds."
            )
        sensor = SensorSize(
            int(known.get("event_input_height", shape[2])),
            int(known.get("event_input_width", shape[3])),
        )
        return _FrameFile(
            path,
            shape,
            np.dtype(np.uint8 if is_bytes else np.float32),
            255,
            int(known["delta_t"]),
            sensor,
        )


def _find_rvt(entry: RecordingEntry, spec: FrameSpec | None) -> _FrameFile:
    """An RVT sequence: of several representations or sizes, the one that `spec` asks for."""
    found, sizes = [], []
    for path in sorted(entry.recording.glob(_RVT_FILES)):
        with opened_frames(path, "its frames") as data:
            shape, is_bytes = shape_of(data), data.dtype == np.uint8
        sizes.append(str(SensorSize(*shape[2:])))
        if spec is None or (spec.height, spec.width) == shape[2:]:
            found.append((path, shape, is_bytes))
    if not sizes:
        raise RecordingError(
            f"{entry.recording} has no {_RVT_FILES}: the frames are missing. Was it copied "
            "completely?"
        )
    if len(found) != 1:
        raise ValueError(
            f"{entry.recording} has frames of {', '.join(sizes)}, of which {len(found)} have the "
            f"height {spec and spec.height} and the width {spec and spec.width}: set these to one "
            "of the sizes"
        )
    path, shape, is_bytes = found[0]
    match = re.search(r"dt=(\d+)", path.parent.name)
    if match is None:
        raise RecordingError(
            f"{path}: the name of its folder must contain the duration of a frame, such as "
            "stacked_histogram_dt=50_nbins=10. Rename it."
        )
    factor = 2 if "_ds2" in path.stem else 1
    return _FrameFile(
        path,
        shape,
        np.dtype(np.uint8 if is_bytes else np.float32),
        1,
        int(match.group(1)) * 1000,
        SensorSize(shape[2] * factor, shape[3] * factor),
        _load(entry.recording / "labels_v2" / "timestamps_us.npy"),
        _load(path.parent / "objframe_idx_2_repr_idx.npy"),
    )


def _by_frame(
    labeled: LabeledTimes,
    times: Int64[np.ndarray, " L"],
    frames: Int64[np.ndarray, " L"] | None,
) -> LabeledTimes:
    """Replace times by the frame's index plus 1, so that bins of length 1 take them."""
    if frames is None or not len(times):
        return labeled
    order = np.argsort(times, kind="stable")
    index = order[np.searchsorted(times[order], labeled.boxes["t"]).clip(max=len(times) - 1)]
    boxes = labeled.boxes.copy()
    # A box at a time that RVT's list does not have goes before the first frame: it is left out.
    boxes["t"] = np.where(times[index] == boxes["t"], frames[index] + 1, -1)
    return LabeledTimes(boxes[np.argsort(boxes["t"], kind="stable")], counts=labeled.counts)


def _load(path: Path) -> Int64[np.ndarray, " L"]:
    try:
        values: Int64[np.ndarray, " L"] = np.load(path, allow_pickle=False).astype(np.int64)
        return values.reshape(-1)
    except (OSError, ValueError, EOFError) as error:
        raise RecordingError(f"{path} cannot be read: {error}. Is the data set complete?") from None


def _check(file: _FrameFile, spec: FrameSpec) -> None:
    """Refuse frames that differ from `spec`: ready-made frames cannot be converted."""
    for name, wanted, there in (
        ("delta_t", spec.delta_t, file.delta_t),
        ("height", spec.height, file.shape[2]),
        ("width", spec.width, file.shape[3]),
    ):
        if wanted != there:
            raise ValueError(
                f"{name} is {wanted}, but the frames of {file.path} have {there}, and ready-made "
                f"frames cannot be converted: set {name} to {there}"
            )


def _check_alike(files: Sequence[_FrameFile]) -> None:
    for file in files:
        for name, first, there in (
            ("shape (C, H, W)", files[0].shape[1:], file.shape[1:]),
            ("type", files[0].dtype, file.dtype),
            ("delta_t", files[0].delta_t, file.delta_t),
        ):
            if first != there:
                raise ValueError(
                    f"the frames of {file.path} have {name} {there}, those of {files[0].path} "
                    f"{first}: all frames must be alike"
                )
