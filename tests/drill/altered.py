"""Checkpoints, exported models and configurations that are sound files with unsound content."""

import functools
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drill.attack import Attack, evdet

__all__ = ["ALTERED"]

_COMMANDS = (
    ("detect", "sample", "--checkpoint", "a.ckpt", "--duration", "0.2"),
    ("evaluate", "a.ckpt", "--frames", "1"),
    ("export", "a.ckpt", "b.onnx"),
    ("bench", "a.ckpt"),
    ("import", "a.ckpt", "--output", "b.ckpt"),
    ("train", "--finetune", "a.ckpt", "--root-dir", "run"),
    ("train", "--resume-from", "a.ckpt", "--root-dir", "run"),
)
_CHEAP = 1500


def _refused(folder: Path, *commands: tuple[str, ...], max_mb: int = _CHEAP) -> str | None:
    for words in commands:
        wrong = evdet(*words, folder=folder, seconds=60).unlike(2, "a.", max_mb=max_mb)
        if wrong:
            return f"evdet {words[0]}: {wrong}"
    return None


def _sample() -> dict[str, Any]:
    from evdet.detectors import load_checkpoint

    return load_checkpoint("events-digits")


def _altered(alter: Callable[[dict[str, Any]], object], which: int) -> Callable[[Path], str | None]:
    """One value of a real checkpoint is altered, and one of the commands reads it."""

    def run(folder: Path) -> str | None:
        import torch

        content = _sample()
        alter(content)
        torch.save(content, folder / "a.ckpt")
        return _refused(folder, _COMMANDS[which])

    return run


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Replace the value at a path; the last of `path` is the new value."""

    def alter(content: dict[str, Any]) -> None:
        *way, key, value = path
        for name in way:
            content = content[name]
        content[key] = value() if callable(value) else value

    return alter


def _first_weight(value: Callable[[], Any]) -> Callable[[dict[str, Any]], None]:
    def alter(content: dict[str, Any]) -> None:
        content["state_dict"][next(iter(content["state_dict"]))] = value()

    return alter


def _tensor(make: str) -> Callable[[], Any]:
    def build() -> Any:
        import torch

        return {
            "complex": lambda: torch.zeros(2, dtype=torch.complex64),
            "sparse": lambda: torch.eye(3).to_sparse(),
            "quantised": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "wide": lambda: torch.zeros(1).expand(10**12),
            "nan": lambda: torch.full((4, 3, 3, 3), float("nan")),
            "shape": lambda: torch.zeros(3, 1),
        }[make]()

    return build


def _archive(data: bytes, folder: Path, *, deflated: bytes | None = None) -> None:
    with zipfile.ZipFile(folder / "a.ckpt", "w") as archive:
        archive.writestr("a/data.pkl", data)
        archive.writestr("a/version", "3\n")
        if deflated is not None:
            archive.writestr("a/data/0", deflated, zipfile.ZIP_DEFLATED)


def _zip_bomb(folder: Path) -> str | None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("a/data.pkl", "w", force_zip64=True) as file:
            for _ in range(2048):
                file.write(bytes(1 << 20))
        archive.writestr("a/version", "3\n")
    (folder / "a.ckpt").write_bytes(buffer.getvalue())
    return _refused(folder, _COMMANDS[0], _COMMANDS[4])


def _pickled(data: bytes) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        _archive(data, folder)
        return _refused(folder, _COMMANDS[0], _COMMANDS[4])

    return run


def _doubled(levels: int = 60) -> bytes:
    value: Any = ["x"]
    for _ in range(levels):
        value = [value, value]
    return pickle.dumps({"state_dict": {}, "hyper_parameters": {"classes": value}}, protocol=2)


_MEMO = b"\x80\x02}r\xff\xff\xff\x7f."
_BYTES = b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x02\x85R."
_DEEP = b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b"."


def _config(text: str | bytes, *, name: str = "a.yaml") -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        words = ("train", "--config", name, "--root-dir", "run", "--print-config")
        return _refused(folder, words, max_mb=800)

    return run


def _label_map(folder: Path) -> str | None:
    (folder / "a.json").write_text("[" * 20_000)
    words = ("detect", "sample", "--checkpoint", "events-digits", "--label-map", "a.json")
    return _refused(folder, words)


def _run_file(name: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        run = folder / "a.run"
        (run / "evaluation").mkdir(parents=True)
        from evdet.config import DetectionConfig, write_config

        write_config(DetectionConfig(), run / "config.yaml")
        (run / name).write_text('{"a": ' * 20_000)
        return _refused(folder, ("report", "a.run"))

    return run


def _external(location: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        import numpy as np
        from onnx import TensorProto, helper

        inside = folder / "in"
        inside.mkdir()
        for name in (inside / "w.bin", folder / "w.bin"):
            np.arange(4, dtype=np.float32).tofile(name)
        weights = TensorProto(name="w", data_type=1, dims=[4])
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location.format(folder=folder)), ("length", "16")):
            entry = weights.external_data.add()
            entry.key, entry.value = key, value
        sides = [helper.make_tensor_value_info(name, 1, [4]) for name in ("x", "y")]
        graph = helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["y"])], "g", sides[:1], sides[1:], [weights]
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, {"evdet": json.dumps({"format": 2})})
        (inside / "a.onnx").write_bytes(model.SerializeToString())
        words = ("detect", "sample", "--checkpoint", "in/a.onnx")
        answer = evdet(*words, folder=folder)
        return answer.unlike(2, "a.onnx is not an ONNX model")

    return run


def _giant(operator: str) -> Callable[[Path], str | None]:
    """A kilobyte that asks for a tensor of 14 GB."""

    def run(folder: Path) -> str | None:
        from onnx import parser

        model = parser.parse_model(
            f"""<ir_version: 8, opset_import: ["": 18]>
            giant (float[1, 1, 1, 1] frame) => (float[n, m] sum) <
                int64[2] sides = {{60000, 60000}}, float[1, 1] one = {{1}}
            > {{ full = {operator} sum = Add (full, frame) }}"""
        )
        (folder / "a.onnx").write_bytes(model.SerializeToString())
        words = ("detect", "sample", "--checkpoint", "a.onnx")
        return evdet(*words, folder=folder).unlike(2, "a.onnx would make tensors", max_mb=_CHEAP)

    return run


def _aliases() -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    return "\n".join(lines)


_checkpoint = functools.partial(Attack, "altered checkpoints")
_configuration = functools.partial(Attack, "configurations")

ALTERED = (
    _checkpoint("state_dict is a number", _altered(_set("state_dict", 7), 0)),
    _checkpoint("state_dict has other keys", _altered(_set("state_dict", {1: 2}), 1)),
    _checkpoint("a weight is a text", _altered(_first_weight(lambda: "x"), 2)),
    _checkpoint("a weight is complex", _altered(_first_weight(_tensor("complex")), 0)),
    _checkpoint("a weight is sparse", _altered(_first_weight(_tensor("sparse")), 3)),
    _checkpoint("a weight is quantised", _altered(_first_weight(_tensor("quantised")), 5)),
    _checkpoint("a weight is one value, repeated", _altered(_first_weight(_tensor("wide")), 0)),
    _checkpoint("a weight is NaN", _altered(_first_weight(_tensor("nan")), 2)),
    _checkpoint("hyper_parameters are a list", _altered(_set("hyper_parameters", []), 1)),
    _checkpoint("a size of 10**9", _altered(_set("hyper_parameters", "feature_base", 10**9), 0)),
    _checkpoint("a size of 4096", _altered(_set("hyper_parameters", "feature_base", 4096), 1)),
    _checkpoint("10**9 levels", _altered(_set("hyper_parameters", "num_levels", 10**9), 3)),
    _checkpoint("a size is negative", _altered(_set("hyper_parameters", "height", -1), 2)),
    _checkpoint("weights alone are resumed", _altered(_set("epoch", 0), 6)),
    _checkpoint("callbacks are a number", _altered(_set("callbacks", 7), 6)),
    _checkpoint("a file of 2 GB that is deflated", _zip_bomb),
    _checkpoint("a pickle that numbers 2 billion values", _pickled(_MEMO)),
    _checkpoint("a pickle that makes 8 GB of zeros", _pickled(_BYTES)),
    _checkpoint("a pickle nested 100,000 deep", _pickled(_DEEP)),
    _checkpoint("lists that double 60 times", _pickled(_doubled())),
    _checkpoint("an .onnx file that reads a file beside it", _external("w.bin")),
    _checkpoint("an .onnx file that reads a file above it", _external("../w.bin")),
    _checkpoint("an .onnx file that reads an absolute path", _external("{folder}/w.bin")),
    *(
        _checkpoint(f"an .onnx file that asks for 14 GB: {operator}", _giant(operator))
        for operator in ("ConstantOfShape (sides)", "Expand (one, sides)", "Tile (one, sides)")
    ),
    _configuration("aliases of aliases", _config(_aliases())),
    _configuration("20,000 brackets", _config("classes: " + "[" * 20_000)),
    _configuration("nested lists", _config("classes: [[car, [x]], truck]")),
    _configuration("a text of 100 MB", _config(b"root_dir: " + b"x" * 100_000_000)),
    _configuration("a number of 100,000 digits", _config("seed: " + "9" * 100_000)),
    _configuration("a tag of Python", _config("lr: !!python/object/apply:os.getcwd []")),
    _configuration("a label map nested 20,000 deep", _label_map),
    _configuration("an evaluation nested 20,000 deep", _run_file("evaluation/evaluation.json")),
    _configuration("a training record nested 20,000 deep", _run_file("training.json")),
    _configuration("a speed.json nested 20,000 deep", _run_file("speed.json")),
)
