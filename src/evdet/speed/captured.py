"""CUDA graphs: the thousand small kernels of a time bin, captured once and replayed as one.

A graph reads and writes the same buffers in every replay. So frames are copied into a buffer, and
the memory has buffers of its own, which the end of a replay updates in place.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from evdet.frame_spec import SelectionThresholds
from evdet.models import (
    Selection,
    choose_candidates,
    suppress_candidates,
    to_detections,
)
from evdet.shapes import ClipDetections, Frames, Memory

__all__ = ["CapturedCall", "CapturedStep", "Replay", "capture_graph"]

Outputs = tuple[Tensor, ...]
Predict = Callable[[Tensor, Memory | None], tuple[Tensor, Tensor, Memory]]

_WARM_UP = 3
"""Calls before the capture, in which libraries choose kernels and allocate buffers."""


class Replay(NamedTuple):
    """A captured function."""

    run: Callable[[], None]
    """Repeats it on the current content of the buffers."""
    outputs: Outputs
    """The buffers of its results."""


class CapturedCall:
    """A function of frames and memory that is captured once, for clips of one shape.

    Unlike elsewhere in evdet, the returned memory is a buffer: the next call changes it. Clone it
    to keep it.

    Args:
        body: from a clip and its memory to any outputs and the new memory.
        clip: frames of the shape to capture, on the accelerator.
        memory: a memory for them; only its shapes matter.
        capture: makes a replay of a function; None takes `capture_graph`.
    """

    def __init__(
        self,
        body: Callable[[Tensor, Memory], tuple[Outputs, Memory]],
        clip: Frames,
        memory: Memory,
        *,
        capture: Callable[[Callable[[], Outputs]], Replay] | None = None,
    ) -> None:
        self._clip = clip.clone()
        self._memory = tuple(torch.zeros_like(part) for part in memory)

        def play() -> Outputs:
            outputs, new = body(self._clip, self._memory)
            # Last, because everything before reads the old memory. Layers may return views of one
            # tensor, or the old memory itself, so all parts are read before any is written.
            for buffer, value in zip(self._memory, [part.clone() for part in new], strict=True):
                buffer.copy_(value)
            return outputs

        self._replay = (capture or capture_graph)(play)
        self._clear()

    def __call__(self, clip: Frames, memory: Memory | None = None) -> tuple[Outputs, Memory]:
        """Replay the captured function.

        Args:
            clip: frames of the captured shape, on any device.
            memory: what the previous call returned; any other memory is copied. None starts every
                lane with zeros.

        Returns:
            The outputs and the memory; the next call overwrites both.

        Raises:
            ValueError: the frames have another shape than the captured ones.
        """
        if clip.shape != self._clip.shape:
            raise ValueError(
                f"the graph was captured for clips of shape {tuple(self._clip.shape)}, got "
                f"{tuple(clip.shape)}: capture another graph"
            )
        self._clip.copy_(clip, non_blocking=True)
        if memory is None:
            self._clear()
        elif memory is not self._memory:
            for buffer, value in zip(self._memory, memory, strict=True):
                buffer.copy_(value)
        self._replay.run()
        return self._replay.outputs, self._memory

    def _clear(self) -> None:
        for buffer in self._memory:
            buffer.zero_()


class CapturedStep:
    """A detector's `step` with the network and the choice of candidates in one graph.

    Suppression is sequential: hundreds of tiny kernels on an accelerator. A CPU needs a tenth of a
    millisecond for it, after the few candidates are copied there.

    Args:
        predict: of a detector.
        clip: frames of the shape to capture, on the accelerator.
        thresholds: which candidates become detections.
        capture: as `CapturedCall` takes it.
    """

    def __init__(
        self,
        predict: Predict,
        clip: Frames,
        thresholds: SelectionThresholds,
        *,
        capture: Callable[[Callable[[], Outputs]], Replay] | None = None,
    ) -> None:
        self._thresholds = thresholds

        def body(frames: Tensor, memory: Memory) -> tuple[Outputs, Memory]:
            boxes, scores, new = predict(frames, memory)
            chosen = choose_candidates(boxes, scores, thresholds)
            # One tensor is one transfer.
            columns = [chosen.boxes, *(part[..., None] for part in chosen[1:4])]
            return (torch.cat([part.float() for part in columns], dim=-1),), new

        self._call = CapturedCall(body, clip, predict(clip, None)[2], capture=capture)

    def __call__(self, clip: Frames, memory: Memory | None = None) -> tuple[ClipDetections, Memory]:
        """Detect in one clip, starting from `memory`.

        Args:
            clip: frames of the captured shape.
            memory: what the previous call returned; this call changes it. None starts with zeros.

        Returns:
            `out[t][b]` as every detector gives it, and the memory.
        """
        (table,), memory = self._call(clip, memory)
        rows = table.cpu()
        chosen = Selection(rows[..., :4], rows[..., 4].long(), rows[..., 5], rows[..., 6] > 0)
        height, width = clip.shape[-2:]
        selection = suppress_candidates(chosen, (height, width), self._thresholds)
        return to_detections(selection, clip.shape[1]), memory


def capture_graph(play: Callable[[], Outputs]) -> Replay:
    """Capture a function as a CUDA graph.

    Returns:
        The replay; the caller clears the buffers after the warm-up.

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.cuda.graphs.graph.html
    """
    # The capture requires a separate stream.
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            play()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = play()
    return Replay(graph.replay, outputs)
