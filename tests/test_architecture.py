"""The house of docs/architecture.md, as a test: change its tables on purpose or not at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import evdet

SOURCE = Path(evdet.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

GROUND = {"shapes", "boxes"}
ROOMS = {"data", "models", "tracking", "metrics", "draw"}  # siblings never see each other
BELOW = GROUND | ROOMS | {"events", "config", "samples"}
MAY_IMPORT = {
    "shapes": set(),
    "config": set(),
    "opencv": set(),
    "samples": set(),
    "boxes": {"shapes"},
    "events": {"shapes"},
    "data": GROUND | {"events", "opencv"},
    "models": GROUND,
    "tracking": GROUND | {"opencv"},
    "metrics": GROUND | {"opencv"},
    "draw": GROUND | {"opencv"},
    "build": BELOW,
    "pipeline": BELOW,
    "evaluation": BELOW,
    "viewing": BELOW,
    "report": BELOW,
    "checkpoints": BELOW | {"build"},
    "import_weights": BELOW | {"build", "checkpoints"},
    "export": BELOW | {"build", "checkpoints"},
    "speed": BELOW | {"build", "checkpoints", "pipeline", "export"},
    "training": BELOW | {"build", "checkpoints", "evaluation"},
    "cli": BELOW
    | {"build", "pipeline", "evaluation", "viewing", "report"}
    | {"checkpoints", "import_weights", "export", "speed", "training"},
    "compat": BELOW | {"build", "checkpoints", "training"},
}
# The only modules that may import an outside library.
DOORS = {
    "h5py": {"events.hdf5", "events.hdf5_writer", "data.tensors"},
    "hdf5plugin": {"events.hdf5", "events.hdf5_writer", "data.tensors"},
    "faery": {"events.foreign", "events.foreign_process"},
    "numba": {"events", "data"},
    "PIL": {"draw"},
    "cv2": {"opencv"},
    "av": {"draw", "data.video_frames"},
    "matplotlib": {"report"},
    "pytorch_lightning": {"training"},
    "tensorboard": {"report", "training"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "onnxscript": {"export"},
    "rerun": {"draw.rerun_file"},
    "supervision": {"tracking"},
    "trackers": {"tracking", "metrics.track_scores"},
    "trackeval": set(),
    "tyro": {"cli"},
    "torchvision": set(),
}
HEAVY = ("pytorch_lightning", "cv2", "numba", "matplotlib", "torch")


def name_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Dotted names of everything a file imports, `from a import b` as both a and a.b."""
    package = ["evdet", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            if module == "evdet":
                yield from (f"evdet.{alias.name}" for alias in node.names)


def units_of(path):
    """The units of the house that a file imports."""
    for name in imports_of(path):
        first, _, rest = name.partition(".")
        if first == "evdet" and rest:
            yield rest.split(".")[0]


def in_listing(name):
    """Constants, then classes, then functions, as ruff sorts them."""
    return (not name.isupper(), not name[0].isupper(), name)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down_the_table(path):
    unit = name_of(path).split(".")[0]
    if not unit:
        assert not set(units_of(path)), "evdet/__init__.py loads its names lazily"
        return
    assert unit in MAY_IMPORT, f"{unit} is not in the table"
    assert set(units_of(path)) <= MAY_IMPORT[unit] | {unit}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_outside_libraries_have_their_doors(path):
    module = name_of(path)
    for name in imports_of(path):
        doors = DOORS.get(name.split(".")[0])
        if doors is not None:
            assert any(module == door or module.startswith(f"{door}.") for door in doors), name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_stay_short_and_have_no_asserts(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.Assert), f"assert in line {node.lineno}"
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, node.name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_public_names_are_listed_in_order_and_documented(path):
    if path == SOURCE / "__init__.py":
        return  # its names are looked at below, as they are loaded
    tree = ast.parse(path.read_text())
    defined = {
        node.name: node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    }
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    assert ast.get_docstring(tree), "a module says what it does in its first line"
    assert listed or not defined, "a module with public names lists them in __all__"
    for names in listed:
        assert sorted(names, key=in_listing) == list(names)
        assert set(defined) <= set(names), "public, but not in __all__"
    for name, node in defined.items():
        assert ast.get_docstring(node), name


def test_importing_evdet_loads_nothing_heavy():
    script = f"import sys, evdet; print([m for m in {HEAVY} if m in sys.modules])"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_loads():
    assert list(evdet.__all__) == sorted(evdet.__all__, key=in_listing)
    for name in evdet.__all__:
        assert getattr(evdet, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = evdet.nonsense
