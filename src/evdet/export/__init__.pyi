from .comparison import (
    TOLERANCE as TOLERANCE,
    Comparison as Comparison,
    compare_onnx as compare_onnx,
    other_shape as other_shape,
)
from .exporting import ONNX_SUFFIX as ONNX_SUFFIX, Exported as Exported, export_onnx as export_onnx
from .selection_graph import OPSET as OPSET
