from .comparison import (
    TOLERANCE as TOLERANCE,
    Comparison as Comparison,
    compare_onnx as compare_onnx,
    other_shape as other_shape,
)
from .exporting import Exported as Exported, export_onnx as export_onnx
from .quantizing import (
    Drift as Drift,
    Quantized as Quantized,
    compare_drift as compare_drift,
    quantize_onnx as quantize_onnx,
)
from .selection_graph import OPSET as OPSET
from .weights import (
    ExportedWeights as ExportedWeights,
    export_weights as export_weights,
    weights_files as weights_files,
)
