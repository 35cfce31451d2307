"""Two folders of results -> what differs, file by file."""

import base64
import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MASKS = (
    r"(in )[\d.]+ (?=s\b)", r"\([\d.]+(x real time| times as fast as life)\)",
    r"[\d,.]+(?= frames/s)",
    r"(trained in )[\d.]+(?= minutes)", r'(?s)<dl class="versions">.*?</dl>',
    r"(<dt>(?:training time|frames per second|a window takes)</dt><dd>)[^<]*",
    r"(?s)(<h2>Speed</h2>).*?(?=</section>)",
    r'(?s)(<th scope="row">(?:training time|a window takes, p50|… p99)</th>).*?(?=</tr>)',
)  # fmt: skip
"""What depends on the hour and the machine; pages of runs in DIR/artefacts are not masked."""
UNTIMED = ("EpochLog/seconds", "pytorch-lightning_version")
_TEXTS = {".txt", ".out", ".csv", ".yaml", ".sha", ".json", ".html"}
_ARRAYS = {".npy", ".pt", ".ckpt", ".png", ".mp4"}
_MAX_LINES = 40


def compare_folders(old: Path, new: Path, *, masked: bool) -> Iterator[tuple[str, list[str]]]:
    """Compare what two runs of a case left: name and differences of each file."""
    for name in sorted({_name(path, folder) for folder in (old, new) for path in _files(folder)}):
        if not (new / name).exists():
            yield name, ["is missing now"]
        elif not (old / name).exists():
            yield name, ["was not there"]
        else:
            yield name, compare_files(old / name, new / name, masked=masked)


def compare_files(old: Path, new: Path, *, masked: bool) -> list[str]:
    """Say where two files differ; nothing where they are the same but for what is masked."""
    before, after = old.read_bytes(), new.read_bytes()
    if before == after:
        return []
    if old.suffix in _TEXTS:
        pair = (_lines(path, masked) for path in (old, new))
        return _diff(*pair)
    if old.suffix == ".onnx":
        return _diff(_describe_onnx(old), _describe_onnx(new))
    if old.suffix in _ARRAYS:
        return _compare_arrays(_arrays(old), _arrays(new))
    return [f"{len(before)} bytes, sha256 {_sha(before)}", f"now {len(after)}, {_sha(after)}"]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _diff(old: list[str], new: list[str]) -> list[str]:
    lines = list(difflib.unified_diff(old, new, "recorded", "now", lineterm="", n=1))
    cut = [line[:300] for line in lines[:_MAX_LINES]]
    return cut + ([f"... {len(lines) - _MAX_LINES} more lines"] if len(lines) > len(cut) else [])


def _lines(path: Path, masked: bool) -> list[str]:
    text = path.read_text()
    if path.suffix == ".json":
        text = json.dumps(json.loads(text), sort_keys=True, indent=1)
    if path.suffix == ".html":
        text = re.sub(r"base64,([\w+/=]+)", _short, text)
    for mask in map(re.compile, MASKS if masked or path.suffix != ".html" else ()):
        text = mask.sub(r"\1#" if mask.groups else "#", text)
    if path.suffix == ".html":
        text = text.replace("><", ">\n<")
    return text.splitlines()


def _short(found: re.Match[str]) -> str:
    return f"sha256,{_sha(base64.b64decode(found[1]))}"


def _describe_onnx(path: Path) -> list[str]:
    """What a model computes, without where in the code its nodes are from."""
    import onnx

    model = onnx.load(path)
    lines = [f"{item.domain} {item.version}" for item in model.opset_import]
    lines += sorted(f"{entry.key} = {entry.value}" for entry in model.metadata_props)
    for graph in (model.graph, *model.functions):
        lines += [f"in {value}" for value in graph.input]
        lines += [f"out {value}" for value in graph.output]
        for node in graph.node:
            names = f"{', '.join(node.output)} = {node.op_type}({', '.join(node.input)})"
            lines.append(f"{names} {[_sha(a.SerializeToString()) for a in node.attribute]}")
    lines += [
        f"{one.name} {list(one.dims)} {_sha(onnx.numpy_helper.to_array(one).tobytes())}"
        for one in model.graph.initializer
    ]
    return lines


def _arrays(path: Path) -> dict[str, object]:
    """Everything in a file by its name: arrays, and values of other kinds."""
    if path.suffix == ".npy":
        content = np.load(path)
        names = content.dtype.names
        return {name: content[name] for name in names} if names else {"array": content}
    if path.suffix == ".png":
        from PIL import Image

        return {"pixels": np.asarray(Image.open(path))}
    if path.suffix == ".mp4":
        import av

        with av.open(str(path)) as video:
            return {"pixels": np.stack([f.to_ndarray(format="rgb24") for f in video.decode()])}
    import torch

    return dict(_leaves(torch.load(path, map_location="cpu", weights_only=True), ""))


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key in value:
            yield from _leaves(value[key], f"{path}/{key}")
    elif isinstance(value, list | tuple) and value:
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}/{number}")
    elif not path.endswith(UNTIMED):
        yield path, value.numpy() if hasattr(value, "numpy") else value


def _compare_arrays(old: dict[str, object], new: dict[str, object]) -> list[str]:
    lines = [f"{name} is missing now" for name in old if name not in new]
    lines += [f"{name} was not there" for name in new if name not in old]
    for name in old:
        if name in new:
            said = _compare_values(old[name], new[name])
            lines += [f"{name}: {said}"] if said else []
    more = [f"... {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    return lines[:_MAX_LINES] + more


def _compare_values(old: object, new: object) -> str:
    if not (isinstance(old, np.ndarray) and isinstance(new, np.ndarray)):
        return "" if repr(old) == repr(new) else f"{old!r:.80} is now {new!r:.80}"
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return f"{old.dtype} {old.shape} is now {new.dtype} {new.shape}"
    if old.tobytes() == new.tobytes():
        return ""
    if old.dtype.kind not in "biuf":
        return "differs"
    kind = np.int16 if old.dtype == np.uint8 else np.float64  # videos are large
    apart = np.abs(old.astype(kind) - new.astype(kind))
    return f"{np.count_nonzero(apart)} of {old.size} differ, by at most {np.nanmax(apart):.3g}"
