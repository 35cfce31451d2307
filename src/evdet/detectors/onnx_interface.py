"""What the metadata of an exported model say, compared with its inputs and outputs."""

from typing import Any

from evdet.detectors.onnx_errors import ExportError
from evdet.detectors.onnx_metadata import (
    CANDIDATES,
    DETECTIONS,
    DURATION,
    FRAME,
    THRESHOLDS,
    MemoryPart,
    ModelMetadata,
    memory_input,
    memory_output,
)

__all__ = ["check_interface", "is_optional"]

_RANK = 4
_LANES_OF_0_1 = "lanes"
_NUMBERS = "tensor(float)"


def check_interface(session: Any, metadata: ModelMetadata, name: str) -> None:
    """Check that a model has the inputs and outputs that its metadata describe.

    Args:
        session: of onnxruntime, with the model.
        metadata: of the model.
        name: of the file, for messages.

    Raises:
        ExportError: a tensor is missing, or has another shape or type.
    """
    problem = _problem_of_inputs(session, metadata) or _problem_of_outputs(session, metadata)
    if problem is not None:
        raise ExportError(
            f"{name} has metadata that are not of its network: {problem}. Export the checkpoint "
            "again"
        )


def is_optional(entry: Any) -> bool:
    """Whether an input of a session may be left out."""
    return str(entry.type).startswith("optional(")


def _problem_of_inputs(session: Any, metadata: ModelMetadata) -> str | None:
    spec = metadata.frame_spec
    inputs = {entry.name: entry for entry in session.get_inputs()}
    wanted = {FRAME: spec.in_channels}
    wanted.update((memory_input(part.name), part.channels) for part in metadata.memory)
    if len(wanted) != len(metadata.memory) + 1:
        return "two parts of the memory have the same name"
    if missing := sorted(wanted.keys() - inputs.keys()):
        return f"it has no input {missing[0]}"
    timed = inputs.get(DURATION)
    if timed is not None and (len(timed.shape) != 1 or timed.type != _NUMBERS):
        return f"{DURATION} is {timed.type} of {len(timed.shape)} dimensions"
    optional = {name for name in THRESHOLDS if name in inputs and is_optional(inputs[name])}
    if more := sorted(inputs.keys() - wanted.keys() - {DURATION} - optional):
        return f"its input {more[0]} is not described"
    for name, channels in wanted.items():
        entry = inputs[name]
        if len(entry.shape) != _RANK or entry.type != _NUMBERS:
            return f"{name} is {entry.type} of {len(entry.shape)} dimensions"
        if entry.shape[1] not in (channels, None) and not isinstance(entry.shape[1], str):
            return f"{name} has {entry.shape[1]} channels, not {channels}"
    return _problem_of_sizes(inputs[FRAME].shape, metadata.memory, inputs)


def _problem_of_sizes(
    frame: list[int | str | None], memory: tuple[MemoryPart, ...], inputs: dict[str, Any]
) -> str | None:
    for part in memory:
        shape = inputs[memory_input(part.name)].shape
        if part.stride is None:
            if not all(isinstance(side, int) for side in shape[2:]):
                return f"memory {part.name} has neither a stride nor a size"
            continue
        for side, own in zip(frame[2:], shape[2:], strict=True):
            if isinstance(side, int) and isinstance(own, int) and own != -(-side // part.stride):
                return f"memory {part.name} has {own} cells for {side} pixels at {part.stride}"
    return None


def _problem_of_outputs(session: Any, metadata: ModelMetadata) -> str | None:
    given = {entry.name for entry in session.get_outputs()}
    given |= {"batch_index"} if _LANES_OF_0_1 in given else set()
    results = CANDIDATES if metadata.raw_heads else DETECTIONS
    wanted = {*results, *(memory_output(part.name) for part in metadata.memory)}
    missing = sorted(wanted - given)
    return f"it has no output {missing[0]}" if missing else None
