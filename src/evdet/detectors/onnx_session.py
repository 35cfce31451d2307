"""Sessions of onnxruntime, and its execution providers: what computes a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evdet.detectors.onnx_errors import ExportError, check_libraries

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = [
    "MAX_CONTENT",
    "PROVIDERS",
    "Provider",
    "check_providers",
    "open_session",
    "runtime_version",
]

Provider = str | tuple[str, Mapping[str, Any]]
"""A name, short or onnxruntime's own; or the name and options."""

MAX_CONTENT = 1 << 31
"""Bytes of a model in one file, at most: a message of protobuf is shorter."""
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""Short names of onnxruntime's execution providers."""
_PACKAGES = {
    "CPUExecutionProvider": "onnxruntime",
    "CUDAExecutionProvider": "onnxruntime-gpu",
    "TensorrtExecutionProvider": "onnxruntime-gpu",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "DmlExecutionProvider": "onnxruntime-directml",
    "CoreMLExecutionProvider": "onnxruntime, on macOS",
}
# OpenVINO computes in 16 bits where the processor can, and its boxes then differ by a pixel.
_STANDARD_OPTIONS: dict[str, dict[str, Any]] = {
    "OpenVINOExecutionProvider": {
        "device_type": "CPU",
        "load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}',
    }
}
_CPU = PROVIDERS["cpu"]
_DIRECTML = PROVIDERS["directml"]
_ONLY_ERRORS = 3
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"


def check_providers(providers: Sequence[Provider]) -> None:
    """Check that the installed onnxruntime has execution providers.

    Raises:
        ExportError: one is unknown or not part of it; the message says which package brings it.
    """
    if not providers:
        return
    check_libraries("onnxruntime")
    import onnxruntime

    there = onnxruntime.get_available_providers()
    for name, _ in _with_options(providers):
        if name in there:
            continue
        short = {full: short for short, full in PROVIDERS.items()}
        names = ", ".join(short.get(one, one) for one in there)
        package = _PACKAGES.get(name)
        if package is None:
            raise ExportError(
                f"{name[:60]!r} is not an execution provider: choose from {', '.join(PROVIDERS)}, "
                f"or onnxruntime's own names (installed: {names})"
            )
        raise ExportError(
            f"provider {short[name]} is not part of the installed onnxruntime "
            f"{onnxruntime.__version__}, which has {names}: pip install {package} (in place of "
            "onnxruntime)"
        )


def _with_options(providers: Sequence[Provider]) -> list[tuple[str, dict[str, Any]]]:
    """Names and options as onnxruntime takes them."""
    pairs = []
    for one in providers:
        name, options = (one, {}) if isinstance(one, str) else one
        full = PROVIDERS.get(name.lower(), name)
        pairs.append((full, {**_STANDARD_OPTIONS.get(full, {}), **options}))
    return pairs


def open_session(
    model: Path | bytes,
    name: str,
    *,
    num_threads: int = 1,
    providers: Sequence[Provider] = (),
) -> "InferenceSession":
    """Open a model in onnxruntime.

    Args:
        model: the file, or its content.
        name: of the model, for messages.
        num_threads: threads of an operator on the CPU.
        providers: as `load_onnx` takes them, after `check_providers`; none: the CPU.

    Raises:
        ExportError: onnxruntime is missing, refuses the model, or cannot start a provider.
    """
    check_libraries("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = _ONLY_ERRORS
    # Threads that wait would keep cores busy, which those that work may need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    content: Any = model
    if isinstance(model, Path) and model.stat().st_size < MAX_CONTENT:
        # An export is one file: a model that refers to others would read any file of the system.
        options.add_session_config_entry(_EXTERNAL_FOLDER, str(model.absolute() / "none"))
        content = model.read_bytes()
    elif isinstance(model, Path):
        content = str(model)
    asked = _with_options(providers)
    names = [full for full, _ in asked]
    if _DIRECTML in names:
        options.enable_mem_pattern = False  # as it requires
    if _CPU not in names:
        asked.append((_CPU, {}))
    try:
        session = onnxruntime.InferenceSession(content, options, providers=asked)
    except Exception as error:
        # Its errors have no common base class.
        reason = str(error).strip().splitlines()[0]
        raise ExportError(
            f"{name} is not an ONNX model that onnxruntime {onnxruntime.__version__} can run, or "
            f"is damaged: {reason}"
        ) from error
    # onnxruntime takes the CPU instead of what it cannot start, and prints why.
    missing = [full for full in names if full not in session.get_providers()]
    if missing:
        raise ExportError(
            f"onnxruntime {onnxruntime.__version__} cannot start {missing[0]}: the libraries or "
            "the device that it needs are missing, or its options are wrong"
        )
    return session


def runtime_version() -> str:
    """Version of the installed onnxruntime, from any of its packages."""
    import onnxruntime

    version: str = onnxruntime.__version__
    return version
