"""The layers of docs/architecture.md, as a test: change its tables on purpose or not at all."""

import ast
import functools
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import evdet

SOURCE = Path(evdet.__file__).parent
ROOT = Path(__file__).parents[1]
FILES = sorted(SOURCE.rglob("*.py"))
# A package imports from lower layers. Within layer 2 none sees another; in 3 the order counts.
LAYER_0 = {
    *("atomic_file", "compiled", "shapes", "frame_spec", "config", "configs", "samples", "opencv"),
    *("input_files", "processes", "structured_text"),
}
LAYER_1 = {"boxes", "events", "nms"}
LAYER_2 = {"labels", "sources", "models", "tracking", "metrics", "draw"}
UP_TO_2 = LAYER_0 | LAYER_1 | LAYER_2
UP_TO_3 = UP_TO_2 | {"data", "synthetic"}
LAYER_4 = {"build", "runs", "pipeline", "outputs", "evaluation", "report", "detectors"}
UP_TO_4 = UP_TO_3 | LAYER_4
LAYER_5 = {"export", "speed", "training"}
MAY_IMPORT = (
    dict.fromkeys(LAYER_0, LAYER_0)
    | dict.fromkeys(LAYER_1, LAYER_0 | {"boxes"})
    | dict.fromkeys(LAYER_2, LAYER_0 | LAYER_1)
    | {"data": UP_TO_2, "synthetic": UP_TO_3}
    | dict.fromkeys(LAYER_4, UP_TO_4)
    | dict.fromkeys(LAYER_5, UP_TO_4 | LAYER_5)
    | dict.fromkeys(("cli", "compat"), UP_TO_4 | LAYER_5)
)
# The only packages and modules that may import an outside library.
MAY_USE = {
    "h5py": {"events.hdf5", "data.frames_file"},
    "hdf5plugin": {"events.hdf5", "data.frames_file"},
    "faery": {"events.aedat"},
    "rosbags": {"events.bags"},
    "numba": {"compiled"},
    "PIL": {"draw"},
    "cv2": {"opencv"},
    "av": {"draw", "sources.videos"},
    "jinja2": {"report"},
    "jsonschema": {"report"},
    "markupsafe": set(),
    "matplotlib": {"report"},
    "pytorch_lightning": {"training"},
    "tensorboard": {"report", "training"},
    "onnx": {"export", "detectors.onnx_sizes"},
    "onnxruntime": {"export", "detectors.onnx_session", "detectors.onnx_detector"},
    "onnxscript": {"export"},
    "rerun": {"draw.rerun_file"},
    "safetensors": {"detectors.weights_file"},
    "huggingface_hub": {"detectors.hub"},
    "supervision": {"tracking"},
    "trackers": {"tracking", "metrics.track_scores"},
    "trackeval": set(),
    "tyro": {"cli"},
    "torchvision": set(),
}
# Files get their names from atomic_file alone. These rename or write what is no result of ours.
MAY_RENAME = {
    "cli.export",  # a model that is not proven stays beside the name that it does not get
    "data.split.journal",  # moves a user's files back again
    "data.split.steps",  # moves a user's files
}
MAY_USE_TEMPORARY_FOLDERS: set[str] = set()  # `atomic_file.temporary_folder` makes them
MAY_WRITE_IN_PLACE = {
    "speed.costs",  # a file of /proc
}
# The root holds the two places of libraries that every layer may need, opencv.py and compiled.py.
MAX_ENTRIES = {"": 34}
"""Where a package may have other than 20 entries."""
HEAVY = ("pytorch_lightning", "cv2", "numba", "matplotlib", "torch")


def name_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def tree_of(path):
    """The parsed content of a file, for all rules."""
    return ast.parse(path.read_text())


@functools.cache
def imports_of(path):
    """Dotted names of everything a file imports, `from a import b` as both a and a.b."""
    package = ("evdet", *path.relative_to(SOURCE).parts[:-1])
    return tuple(imports_in(tree_of(path), package))


def imports_in(tree, package=()):
    """The same of a piece of Python in a package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def units_of(path):
    """The packages and modules at the root that a file imports."""
    for name in imports_of(path):
        first, _, rest = name.partition(".")
        if first == "evdet" and rest:
            yield rest.split(".")[0]


def in_listing(name):
    """Constants, then classes, then functions, as ruff sorts them."""
    return (not name.isupper(), not name[0].isupper(), name)


def broken(rule):
    """What a rule says of each file, by its name; empty where every file keeps it."""
    return {name_of(path): found for path in FILES if (found := list(rule(path)))}


def test_imports_point_down_the_table():
    def above(path):
        """What a file imports from above; evdet/__init__.py loads its names lazily."""
        unit = name_of(path).split(".")[0]
        return set(units_of(path)) - (MAY_IMPORT[unit] | {unit} if unit else set())

    units = {name_of(path).split(".")[0] for path in FILES} - {""}
    assert units <= MAY_IMPORT.keys(), "not in the table"
    assert broken(above) == {}


def test_each_outside_library_is_used_in_one_place():
    def elsewhere(path):
        module = name_of(path)
        for name in imports_of(path):
            places = MAY_USE.get(name.split(".")[0], {""})
            if not any(f"{module}.".startswith(f"{place}.") or not place for place in places):
                yield name

    assert broken(elsewhere) == {}


def test_files_and_functions_stay_short_and_have_no_asserts():
    def too_long(path):
        num_lines = path.read_text().count("\n")
        if num_lines > 400:
            yield f"{num_lines} lines"
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Assert):
                yield f"assert in line {node.lineno}"
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 80:
                yield f"{node.name} is long"

    assert broken(too_long) == {}


def writings_in(tree):
    """What a file does that can replace others, by its kind."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        receiver, name = ast.unparse(node.func.value), node.func.attr
        # `str.replace` takes two arguments, `dataclasses.replace` takes names, `Path.replace` one.
        is_path_replace = name == "replace" and len(node.args) == 1 and not node.keywords
        is_named_so = (receiver, name) in {("os", "replace"), ("shutil", "move")}
        if is_path_replace or is_named_so or name in ("rename", "renames"):
            yield "renames", node.lineno
        if name in ("write_text", "write_bytes") and receiver != "part":
            yield "writes in place", node.lineno


def test_files_get_their_names_from_the_atomic_writer():
    allowed = {
        "renames": MAY_RENAME,
        "writes in place": MAY_WRITE_IN_PLACE,
        "temporary": MAY_USE_TEMPORARY_FOLDERS,
    }

    def writes(path):
        module = name_of(path)
        found = list(writings_in(tree_of(path)))
        found += [("temporary", 0) for name in imports_of(path) if name == "tempfile"]
        if module != "atomic_file":
            yield from ((kind, line) for kind, line in found if module not in allowed[kind])

    assert broken(writes) == {}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("part.replace(path)", ["renames"]),
        ("os.replace(a, b)", ["renames"]),
        ("os.rename(a, b)", ["renames"]),
        ("path.rename(other)", ["renames"]),
        ("shutil.move(a, b)", ["renames"]),
        ("file.move('data set', 'other name')", []),
        ("path.write_text('x')", ["writes in place"]),
        ("part.write_bytes(b'x')", []),
        ("text.replace('a', 'b')", []),
        ("dataclasses.replace(config, lr=1)", []),
        ("now.replace(microsecond=0)", []),
    ],
)
def test_renames_and_plain_writes_are_recognised(text, kinds):
    assert [kind for kind, _ in writings_in(ast.parse(text))] == kinds


def test_public_names_are_listed_in_order_and_documented():
    assert broken(faults_of_names) == {}


def faults_of_names(path):
    if path == SOURCE / "__init__.py":
        return  # its names are looked at below, as they are loaded
    tree = tree_of(path)
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
    if not ast.get_docstring(tree):
        yield "a module says what it does in its first line"
    if defined and not listed:
        yield "a module with public names lists them in __all__"
    for names in listed:
        if sorted(names, key=in_listing) != list(names):
            yield "__all__ is not in order"
        if set(defined) - set(names):
            yield f"public, but not in __all__: {set(defined) - set(names)}"
    for name, node in defined.items():
        if not ast.get_docstring(node):
            yield f"{name} has no docstring"


MODULES = {name_of(path): path for path in FILES}
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(path for name in ("examples", "benchmarks") for path in (ROOT / name).glob("*.py")),
]


def exports_of(package):
    """The names that a package hands out."""
    stub = MODULES[package].with_suffix(".pyi")
    tree = ast.parse(stub.read_text() if stub.exists() else "")
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes for alias in node.names}


EXPORTS = {package: exports_of(package) for package in PACKAGES}


def targets_of(imports):
    """The modules of evdet that are imported: leaf modules and interfaces."""
    for name in imports:
        head, _, rest = name.partition(".")
        above, _, last = rest.rpartition(".")
        # A function may be called like its module, which `from package import name` does not mean.
        if head == "evdet" and rest in MODULES and last not in EXPORTS.get(above, ()):
            yield rest


def leaf_imports(imports, module):
    """Leaf modules of packages in which `module` does not lie."""
    for target in targets_of(imports):
        package = target.rpartition(".")[0]
        if target not in PACKAGES and package and not f"{module}.".startswith(f"{package}."):
            yield target


def test_other_packages_are_imported_from_their_interface():
    assert broken(lambda path: leaf_imports(imports_of(path), name_of(path))) == {}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_and_examples_import_from_interfaces(path):
    text = path.read_text()
    if path.suffix == ".md":
        lines = re.findall(r"^(?:>>> )?((?:from evdet|import evdet).*)$", text, re.M)
        text = "\n".join(f"{line} ...)" if line.endswith("(") else line for line in lines)
        text = re.sub(r"\( \.\.\.\)", "(x)", text)
    assert not list(leaf_imports(imports_in(ast.parse(text)), "page"))


def modules_behind(stub, package):
    """The modules whose names an interface hands out."""
    nodes = [node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {f"{package}.{node.module}" for node in nodes}


def test_no_import_goes_round_in_a_circle():
    graph = {name: set(targets_of(imports_of(path))) - {name} for name, path in MODULES.items()}
    for package in PACKAGES - {""}:
        stub = MODULES[package].with_suffix(".pyi")
        if stub.exists():
            graph[package] |= modules_behind(stub, package)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_a_package_is_a_list_that_can_be_read():
    counts = {}
    for package in PACKAGES:
        here = MODULES[package].parent
        entries = [
            path
            for path in here.iterdir()
            if (path.is_dir() or path.suffix == ".py")
            and path.name not in ("__init__.py", "__pycache__")
        ]
        if len(entries) > MAX_ENTRIES.get(package, 20):
            counts[package] = len(entries)
    assert counts == {}


def test_each_module_or_its_package_has_its_tests():
    assert [one for one in sorted(MODULES.keys() - PACKAGES) if not has_tests(one)] == []


def has_tests(module):
    *packages, leaf = module.split(".")
    tests = ROOT / "tests"
    if not packages:
        return (tests / f"test_{leaf}.py").exists() or any((tests / leaf).glob("test_*.py"))
    folder = tests.joinpath(*packages)
    as_a_file = folder.parent / f"test_{packages[-1]}.py"
    return any(folder.glob("test_*.py")) or as_a_file.exists()


def test_git_ignores_no_file_of_the_package():
    # A package whose name .gitignore lists is here, and missing in every clone.
    files = [str(path.relative_to(ROOT)) for path in FILES]
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(command, input="\n".join(files), text=True, capture_output=True, cwd=ROOT)
    if done.returncode not in (0, 1):
        pytest.skip("not a git repository")
    assert done.stdout.split() == []


def test_importing_evdet_loads_nothing_heavy():
    script = f"import sys, evdet; print([m for m in {HEAVY} if m in sys.modules])"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_loads():
    for name in evdet.__all__:
        assert getattr(evdet, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = evdet.nonsense
