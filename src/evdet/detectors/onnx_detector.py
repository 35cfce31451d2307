"""An .onnx file -> a detector that onnxruntime runs, with the interface of every detector."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float32

from evdet.detectors.onnx_boxes import BinBoxes, across_classes, by_lane, lanes_joined
from evdet.detectors.onnx_errors import ExportError
from evdet.detectors.onnx_interface import check_interface, is_optional
from evdet.detectors.onnx_metadata import (
    CANDIDATES,
    DETECTIONS,
    DURATION,
    FRAME,
    METADATA_KEY,
    THRESHOLDS,
    ModelMetadata,
    memory_input,
    memory_output,
)
from evdet.detectors.onnx_session import (
    MAX_CONTENT,
    Provider,
    check_providers,
    open_session,
)
from evdet.detectors.onnx_sizes import check_sizes
from evdet.detectors.thread_count import automatic_threads
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models import check_positive, detector_html, detector_line, select_boxes, to_detections
from evdet.shapes import ClipDetections, Durations, Frames, Memory

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["OnnxDetector", "load_onnx"]

Frame = Float32[np.ndarray, "B C H W"]
Arrays = tuple[Float32[np.ndarray, "B _ _ _"], ...]

_THRESHOLD_TYPES = (np.float32, np.float32, np.int64, np.bool_)


class OnnxDetector:
    """An exported detector. `load_onnx` makes it.

    Args:
        session: of onnxruntime, with the model.
        metadata: of the model.
    """

    __repr__ = detector_line
    _repr_html_ = detector_html  # for notebooks

    def __init__(self, session: "InferenceSession", metadata: ModelMetadata) -> None:
        self._session = session
        self._metadata = metadata
        names = self.memory_names
        self._memory_inputs = [memory_input(name) for name in names]
        results = CANDIDATES if metadata.raw_heads else DETECTIONS
        given = {entry.name for entry in session.get_outputs()}
        # Files of version 0.1.0 call this output lanes.
        self._results = tuple(name if name in given else "lanes" for name in results)
        self._outputs = [*self._results, *map(memory_output, names)]
        inputs = session.get_inputs()
        self._thresholds = {entry.name for entry in inputs if is_optional(entry)}
        # Files of earlier versions have default values instead, which are no inputs to onnxruntime.
        self._thresholds |= {entry.name for entry in session.get_overridable_initializers()}
        self._shapes = {entry.name: entry.shape for entry in inputs if not is_optional(entry)}

    @property
    def frame_spec(self) -> FrameSpec:
        """How its frames are made, and the names of its classes."""
        return self._metadata.frame_spec

    @property
    def knows_time(self) -> bool:
        """Whether the model's memory takes into account how long a time bin lasts."""
        return DURATION in self._shapes

    @property
    def num_threads(self) -> int:
        """Threads of an operator."""
        return int(self._session.get_session_options().intra_op_num_threads)

    @property
    def memory_names(self) -> tuple[str, ...]:
        """The name of each tensor of the memory, in order."""
        return tuple(part.name for part in self._metadata.memory)

    @property
    def result_names(self) -> tuple[str, ...]:
        """The model's outputs before those of the memory: candidates, or selected boxes."""
        return self._results

    @property
    def num_classes(self) -> int:
        """Classes, without background."""
        return self._metadata.num_classes

    @property
    def raw_heads(self) -> bool:
        """Whether the model outputs candidates, from which this class selects the boxes."""
        return self._metadata.raw_heads

    @property
    def has_fixed_thresholds(self) -> bool:
        """Whether the model selects its boxes with thresholds that cannot be given."""
        return not self.raw_heads and not self._thresholds

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers of onnxruntime that compute it, first choice first."""
        return tuple(self._session.get_providers())

    @property
    def frame_shape(self) -> tuple[int | None, int | None, int | None, int | None]:
        """Lanes, channels, height and width of a frame; None where the model takes any."""
        batch, channels, height, width = (
            side if isinstance(side, int) else None for side in self._shapes[FRAME]
        )
        return batch, channels, height, width

    def step(
        self,
        clip: Frames,
        memory: Memory | None = None,
        *,
        durations: Durations | None = None,
        thresholds: SelectionThresholds | None = None,
    ) -> tuple[ClipDetections, Memory]:
        """Continue a stream: detect in one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: what the previous call returned; None starts every lane with empty memory.
            durations: how long each frame lasts, in microseconds; None: as long as in training. A
                model that does not know time ignores it.
            thresholds: which candidates become detections; None takes `SelectionThresholds()`.

        Returns:
            `out[t][b]`, a dict of `boxes` (N, 4) x1 y1 x2 y2 in pixels, `labels` (N,) from 1
            and `scores` (N,), best first; and the memory; all on the CPU.

        Raises:
            ValueError: the frames, or the memory, have another shape than the model takes, or a
                duration is not positive.
        """
        num_lanes, channels, height, width = clip.shape[1:]
        self._check((num_lanes, channels, height, width))
        if memory is None:
            state = self.empty_memory(num_lanes, height, width)
        else:
            state = tuple(part.detach().float().cpu().numpy() for part in memory)
            self._check_memory(state, num_lanes, height, width)
        found: ClipDetections = []
        if durations is None:
            durations = torch.full(clip.shape[:2], float(self.frame_spec.delta_t))
        check_positive(durations)
        frames = clip.detach().to("cpu", torch.float32)
        for frame, duration in zip(frames, durations.float().cpu().numpy(), strict=True):
            result, state = self.run(
                frame.numpy(), state, durations=duration, thresholds=thresholds
            )
            found.append(by_lane(result, num_lanes))
        return found, tuple(torch.from_numpy(part) for part in state)

    def empty_memory(self, num_lanes: int, height: int, width: int) -> Arrays:
        """Make the memory at the start of a stream.

        Args:
            num_lanes: lanes B.
            height: of a frame, in pixels.
            width: of a frame, in pixels.

        Returns:
            Zeros, in the order of `memory_names`.
        """
        shapes = self._memory_shapes(num_lanes, height, width)
        return tuple(np.zeros(shape, np.float32) for shape in shapes)

    def run(
        self,
        frame: Frame,
        memory: Arrays,
        *,
        durations: Float32[np.ndarray, " B"] | None = None,
        thresholds: SelectionThresholds | None = None,
    ) -> tuple[BinBoxes, Arrays]:
        """Do what `step` does for one time bin, on arrays and without checks.

        Args:
            frame: the next frame of each of the B lanes.
            memory: what the previous call returned, or `empty_memory`.
            durations: how long each lane's frame lasts, in microseconds; None: as in training.
            thresholds: as `step` takes them.

        Returns:
            The boxes, and the memory.
        """
        usual = self.frame_spec.thresholds if self.has_fixed_thresholds else SelectionThresholds()
        chosen = thresholds or usual
        feed = {FRAME: frame, **dict(zip(self._memory_inputs, memory, strict=True))}
        feed |= self.duration_input(durations, len(frame))
        if self.raw_heads:
            boxes, scores, *state = self._compute(feed)
            selection = select_boxes(
                torch.from_numpy(boxes),
                torch.from_numpy(scores),
                (frame.shape[2], frame.shape[3]),
                chosen,
            )
            return lanes_joined(to_detections(selection, len(boxes))[0]), tuple(state)
        feed |= self.threshold_inputs(chosen)
        results = self._compute(feed)
        found = BinBoxes(*results[: len(DETECTIONS)])
        if self.has_fixed_thresholds:
            found = self._as_asked(found, chosen)
        if chosen.agnostic and "agnostic" not in self._thresholds:
            found = across_classes(found, chosen.nms_thresh)
        return found, tuple(results[len(DETECTIONS) :])

    def _as_asked(self, found: BinBoxes, chosen: SelectionThresholds) -> BinBoxes:
        """The boxes of a model with fixed thresholds that have a higher score.

        Raises:
            ExportError: other thresholds were asked for than the fixed ones can give.
        """
        fixed = self.frame_spec.thresholds
        is_stricter = chosen.score_thresh >= fixed.score_thresh
        is_stricter &= chosen.agnostic or not fixed.agnostic
        if not is_stricter or chosen.nms_thresh != fixed.nms_thresh:
            raise ExportError(
                f"the exported model has fixed thresholds, score_thresh {fixed.score_thresh:g} and "
                f"nms_thresh {fixed.nms_thresh:g}, and cannot give {chosen.score_thresh:g} and "
                f"{chosen.nms_thresh:g}: export it without --fixed-thresholds, or ask for a higher "
                "score alone"
            )
        keep = found.scores >= chosen.score_thresh
        return BinBoxes(*(part[keep] for part in found))

    def _compute(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            results: list[np.ndarray] = self._session.run(self._outputs, feed)
        except Exception as error:
            # Its errors have no common base class.
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            reason = str(error).strip().splitlines()[0]
            raise ExportError(f"the exported model fails on a frame: {reason}") from error
        return results

    def duration_input(
        self, durations: Float32[np.ndarray, " B"] | None, num_lanes: int
    ) -> dict[str, np.ndarray]:
        """Give durations as an input of this model, by name; nothing if it does not know time."""
        if not self.knows_time:
            return {}
        if durations is None:
            durations = np.full(num_lanes, self.frame_spec.delta_t, np.float32)
        return {DURATION: durations}

    def threshold_inputs(self, thresholds: SelectionThresholds) -> dict[str, np.ndarray]:
        """Give thresholds as the inputs of this model, by name."""
        return {
            name: np.array(getattr(thresholds, name), kind)
            for name, kind in zip(THRESHOLDS, _THRESHOLD_TYPES, strict=True)
            if name in self._thresholds
        }

    def _memory_shapes(self, num_lanes: int, height: int, width: int) -> list[tuple[int, ...]]:
        shapes = []
        for part in self._metadata.memory:
            if part.stride is None:
                size = tuple(self._shapes[memory_input(part.name)][2:])
            else:
                size = (math.ceil(height / part.stride), math.ceil(width / part.stride))
            shapes.append((num_lanes, part.channels, *size))
        return shapes

    def _check_memory(self, state: Arrays, num_lanes: int, height: int, width: int) -> None:
        wanted = self._memory_shapes(num_lanes, height, width)
        given = [part.shape for part in state]
        if given != wanted:
            raise ValueError(
                f"the memory has the shapes {given}, and these frames need {wanted}: give the "
                "result of the last step, and start with None where lanes or size change"
            )

    def _check(self, shape: tuple[int, int, int, int]) -> None:
        wanted = self.frame_shape
        if all(side in (None, given) for side, given in zip(wanted, shape, strict=True)):
            return
        said = " x ".join("any" if side is None else str(side) for side in wanted)
        raise ValueError(
            f"the exported model takes lanes x channels x height x width of {said}, got "
            f"{' x '.join(map(str, shape))}: give it such frames, or export the checkpoint again"
        )


def load_onnx(
    path: str | os.PathLike[str],
    *,
    num_threads: int = 0,
    providers: Sequence[Provider] = (),
) -> OnnxDetector:
    """Open an exported detector, to run on the CPU or by other execution providers.

    Args:
        path: a file that `export_onnx` wrote.
        num_threads: threads of an operator on the CPU; 0 chooses a number that suits the model and
            the machine.
        providers: of onnxruntime, first choice first, as cuda or CUDAExecutionProvider, or with
            its options as (name, options); the CPU computes what they cannot. None: the CPU.

    Raises:
        ExportError: onnx or onnxruntime is missing, or the file does not exist, is damaged, was
            not written by `export_onnx`, or would make tensors of more than a gigabyte; or a
            provider is unknown, is not part of the installed onnxruntime, or cannot be started.
    """
    if num_threads < 0:
        raise ValueError(f"num_threads must be 0 or more, got {num_threads}")
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ExportError(f"{path} {what}: name a file that `evdet export` wrote")
    if path.stat().st_size < MAX_CONTENT:
        check_sizes(path.read_bytes(), path.name)
    check_providers(providers)
    session = open_session(path, path.name, num_threads=num_threads or 1, providers=providers)
    entries = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in entries:
        raise ExportError(
            f"{path} was not written by `evdet export`: its metadata does not describe frames and "
            "memory. Name the checkpoint instead, or export it."
        )
    metadata = ModelMetadata.from_json(entries[METADATA_KEY], str(path))
    check_interface(session, metadata, str(path))
    # Almost all of the file is weights in 32 bits.
    suited = automatic_threads(path.stat().st_size // 4, metadata.frame_spec)
    if not num_threads and suited > 1:
        session = open_session(path, path.name, num_threads=suited, providers=providers)
    return OnnxDetector(session, metadata)
