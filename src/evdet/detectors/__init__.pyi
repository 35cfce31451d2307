from .checkpoints import (
    CheckpointError as CheckpointError,
    check_file as check_file,
    checkpoint_file as checkpoint_file,
    config_of as config_of,
    find_checkpoint as find_checkpoint,
    load_checkpoint as load_checkpoint,
    load_matching_weights as load_matching_weights,
    load_network as load_network,
    load_weights as load_weights,
    search_latest_checkpoint as search_latest_checkpoint,
)
from .onnx_detector import (
    BinBoxes as BinBoxes,
    OnnxDetector as OnnxDetector,
    lanes_joined as lanes_joined,
    load_onnx as load_onnx,
    open_session as open_session,
    runtime_version as runtime_version,
)
from .onnx_errors import ExportError as ExportError, check_libraries as check_libraries
from .onnx_metadata import (
    CANDIDATES as CANDIDATES,
    DETECTIONS as DETECTIONS,
    DURATION as DURATION,
    FRAME as FRAME,
    METADATA_KEY as METADATA_KEY,
    ONNX_SUFFIX as ONNX_SUFFIX,
    THRESHOLDS as THRESHOLDS,
    MemoryPart as MemoryPart,
    ModelMetadata as ModelMetadata,
    memory_input as memory_input,
    memory_output as memory_output,
)
from .opening import open_detector as open_detector, resolve_device as resolve_device
from .published_evrtdetr import (
    import_evrtdetr as import_evrtdetr,
    is_evrtdetr_folder as is_evrtdetr_folder,
    published_names as published_names,
)
from .published_rvt import (
    RVT_NAMES as RVT_NAMES,
    import_rvt as import_rvt,
    published_name as published_name,
)
from .thread_count import automatic_threads as automatic_threads, num_cores as num_cores
from .threads import use_threads as use_threads
