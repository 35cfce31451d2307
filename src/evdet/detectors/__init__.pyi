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
from .hub import HubError as HubError, hub_name as hub_name, shown_name as shown_name
from .onnx_boxes import BinBoxes as BinBoxes, lanes_joined as lanes_joined
from .onnx_detector import OnnxDetector as OnnxDetector, load_onnx as load_onnx
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
from .onnx_session import (
    PROVIDERS as PROVIDERS,
    Provider as Provider,
    check_providers as check_providers,
    open_session as open_session,
    runtime_version as runtime_version,
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
from .weights_file import (
    CARD_FILE as CARD_FILE,
    CONFIG_FILE as CONFIG_FILE,
    WEIGHTS_FILE as WEIGHTS_FILE,
    WEIGHTS_SUFFIX as WEIGHTS_SUFFIX,
    weights_config_to_json as weights_config_to_json,
    weights_to_bytes as weights_to_bytes,
)
