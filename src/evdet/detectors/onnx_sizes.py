"""The tensors that an ONNX model makes, checked before it is run: bytes can ask for terabytes."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evdet.detectors.onnx_errors import ExportError, check_libraries

if TYPE_CHECKING:
    from onnx import GraphProto

__all__ = ["check_sizes"]

_MAX_BYTES = 1 << 30
# Shapes are small; what is larger are weights, of which only the shape counts.
_MAX_NUMBERS = 64
_DATA_FIELDS = (
    "raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data",
    "string_data",
)  # fmt: skip


def check_sizes(content: bytes, name: str) -> None:
    """Refuse a model that makes tensors of more than a gigabyte, by the sizes that it states.

    Sizes that depend on frames count as 1. onnxruntime computes what is constant when it opens a
    model, and keeps it, so that all constants together must stay below that size, too.

    Args:
        content: the file.
        name: of the file, for messages.

    Raises:
        ExportError: it does, or onnx is missing.
    """
    check_libraries("onnx")
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.inliner import inline_local_functions

    try:
        model = onnx.load_from_string(content)
        del content
        _drop_weights(model.graph)
        for function in model.functions:
            _drop_weights(function)
        if model.functions:
            model = inline_local_functions(model)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except DecodeError:
        return  # onnxruntime says what is wrong
    except Exception as error:
        # onnx's errors have no common base class.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"{name} is not an ONNX model, or is damaged: {reason}") from error
    for graph in _graphs(model.graph):
        _check(graph, name)


def _check(graph: "GraphProto", name: str) -> None:
    sizes = {value.name: _num_bytes(value) for value in (*graph.value_info, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer}
    constants -= {value.name for value in graph.input}
    total = 0
    for node in graph.node:
        stated = max((sizes.get(output, 0) for output in node.output), default=0)
        if not any(one not in constants for one in node.input if one) and not _subgraphs(node):
            constants.update(node.output)
            total += stated
        if max(stated, total) > _MAX_BYTES:
            raise ExportError(
                f"{name} would make tensors of {max(stated, total):,} bytes (at {node.op_type}), "
                f"more than {_MAX_BYTES:,}: export the checkpoint again"
            )


def _num_bytes(value: Any) -> int:
    from onnx import helper

    if not value.type.HasField("tensor_type"):
        return 0
    tensor = value.type.tensor_type
    sides = [side.dim_value if side.HasField("dim_value") else 1 for side in tensor.shape.dim]
    try:
        width = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    except (KeyError, ValueError):  # of a type that is unknown, or text
        width = 1
    return math.prod(max(side, 0) for side in sides) * width


def _graphs(graph: "GraphProto") -> Iterator["GraphProto"]:
    yield graph
    for node in graph.node:
        for inner in _subgraphs(node):
            yield from _graphs(inner)


def _subgraphs(node: Any) -> list["GraphProto"]:
    return [
        inner
        for attribute in node.attribute
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ()))
    ]


def _drop_weights(graph: Any) -> None:
    """Take the numbers out of large tensors, so that they are not copied."""
    tensors = list(getattr(graph, "initializer", ()))
    for node in graph.node:
        for attribute in node.attribute:
            tensors += attribute.tensors
            if attribute.HasField("t"):
                tensors.append(attribute.t)
        for inner in _subgraphs(node):
            _drop_weights(inner)
    for tensor in tensors:
        if math.prod(tensor.dims) > _MAX_NUMBERS:
            for field in _DATA_FIELDS:
                tensor.ClearField(field)
