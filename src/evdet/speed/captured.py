"""CUDA graphs: a window's thousand small kernels, captured once and replayed as one.

A graph reads and writes the same places in every replay. So frames are copied into a buffer, the
memory lives in buffers of its own and is updated there, in place, as the last thing of a replay.
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
"""Calls before the capture, in which libraries choose their kernels and take their memory."""


class Replay(NamedTuple):
    """What was captured."""

    run: Callable[[], None]
    """Does it all again, with what the buffers hold now."""
    outputs: Outputs
    """Where it writes its results, every time."""


class CapturedCall:
    """A function of frames and memory that is captured once, for clips of one shape.

    Unlike everywhere else here, the memory that comes out is a place and not a value: the next
    call changes it. Who wants to go back to it must clone it.

    Args:
        body: from a clip and its memory to any outputs and the new memory.
        clip: frames of the shape to capture, on the accelerator.
        memory: a memory for them, of which the shapes count.
        capture: makes a replay of a function; another one than that of CUDA is for tests.
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
            # Last: until here everything has read the old memory. Layers may hand out parts of
            # one tensor, or the old one itself, so all are read before any is written.
            for place, value in zip(self._memory, [part.clone() for part in new], strict=True):
                place.copy_(value)
            return outputs

        self._replay = (capture or capture_graph)(play)
        self._clear()

    def __call__(self, clip: Frames, memory: Memory | None = None) -> tuple[Outputs, Memory]:
        """Replay what was captured.

        Args:
            clip: frames of the captured shape, on any device.
            memory: what the previous call returned, which costs nothing; any other is copied in.
                None starts every lane anew.

        Returns:
            The outputs, which the next call overwrites; and the memory, likewise.

        Raises:
            ValueError: the frames have another shape than those that were captured.
        """
        if clip.shape != self._clip.shape:
            raise ValueError(
                f"the graph was captured for clips of shape {tuple(self._clip.shape)}, got "
                f"{tuple(clip.shape)}: capture another one"
            )
        self._clip.copy_(clip, non_blocking=True)
        if memory is None:
            self._clear()
        elif memory is not self._memory:
            for place, value in zip(self._memory, memory, strict=True):
                place.copy_(value)
        self._replay.run()
        return self._replay.outputs, self._memory

    def _clear(self) -> None:
        for place in self._memory:
            place.zero_()


class CapturedStep:
    """A detector's `step` with the network and the choice of candidates in one graph.

    Their suppression waits for every better box, hundreds of tiny kernels one after the other. A
    CPU does it in a tenth of a millisecond, once the few candidates have been copied there.

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
            memory: what the previous call returned, and what this one changes; None starts anew.

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

    Args:
        play: works on the accelerator alone, on the same tensors every time.

    Returns:
        The replay; what the warm-up left in the buffers is the caller's to clear.

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.cuda.graphs.graph.html
    """
    # On a stream of its own, as the capture asks for.
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
