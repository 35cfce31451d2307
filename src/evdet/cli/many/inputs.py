"""Files, folders and patterns -> the inputs of a command, each once."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from evdet.cli.terminal import reason_of
from evdet.events import is_bag_folder
from evdet.samples import SAMPLES, sample_recording
from evdet.sources import IMAGE_SUFFIXES, is_video

__all__ = [
    "FoundInputs",
    "Input",
    "find_inputs",
    "find_pictures",
    "is_input_folder",
    "is_one_input",
    "size_of",
]

_BUNDLED = Path()  # in place of the folder of a bundled recording


class Input(NamedTuple):
    """A file, or a folder that is one recording or one sequence of images."""

    path: Path
    """As the user would type it."""
    place: Path
    """Where it lies below the folder that all inputs have in common: its results lie there."""
    num_bytes: int
    """The size of the file, or of all files in the folder."""


class FoundInputs(NamedTuple):
    """What files, folders and patterns stand for."""

    inputs: tuple[Input, ...]
    problems: tuple[tuple[str, str], ...]
    """What the user typed that gives no input, and why."""


def find_inputs(
    words: Sequence[str],
    find_in: Callable[[Path], list[Path]],
    *,
    what: str,
    leave_out: Iterable[Path] = (),
    repeats: bool = False,
) -> FoundInputs:
    """Find the inputs that words of the command line stand for.

    A pattern such as `drives/*.raw`, which a shell of Windows passes on, is expanded; a folder
    stands for the inputs that lie in it and in all folders below. Nothing is opened.

    Args:
        words: files, folders, patterns, and names of bundled recordings.
        find_in: finds the inputs in a folder and all folders below.
        what: the inputs of a folder in words, such as recordings.
        leave_out: results, which folders do not contribute: files, and folders with all below.
        repeats: give a file as often as it is named.

    Returns:
        Each input once, in the order of the words; of a folder by name.
    """
    known = _Known(leave_out, repeats=repeats)
    found: list[tuple[Path, Path]] = []  # an input, and the folder that it was found from
    problems: list[tuple[str, str]] = []
    for word in words:
        paths = _expanded(word)
        if not paths:
            problems.append((word, f"{word} matches no file"))
        for path in paths:
            new, reason = _of_one(path, find_in, known, what)
            found += new
            problems += [(str(path), reason)] if reason else []
    common = _common_folder({root for _, root in found if root != _BUNDLED})
    inputs = tuple(Input(path, _place(path, root, common), size_of(path)) for path, root in found)
    return FoundInputs(inputs, tuple(problems))


def is_input_folder(path: Path) -> bool:
    """Whether a folder is one input, and not one that holds inputs.

    It is a ROS 2 bag, or has images beside no folder: a sequence of pictures.
    """
    return is_bag_folder(path) or _has_images(path)


def is_one_input(word: str) -> bool:
    """Whether a word of the command line names one input, and no folder or pattern of several."""
    path = Path(word)
    if path.is_dir():
        return is_input_folder(path)
    return os.path.lexists(path) or not glob.has_magic(word)


def find_pictures(folder: Path) -> list[Path]:
    """The videos, and the folders with images, in a folder and all folders below."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        path = Path(here)
        if _has_images(path):
            found.append(path)
        files = (path / name for name in sorted(names) if not name.startswith("."))
        found += [file for file in files if is_video(file)]
    return found


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 where they cannot be told."""
    if not path.is_dir():
        return _bytes_of(path)
    return sum(_bytes_of(Path(here, name)) for here, _, names in os.walk(path) for name in names)


class _Known:
    """What has been found, and what is left out: compared through links."""

    def __init__(self, leave_out: Iterable[Path], *, repeats: bool) -> None:
        self._repeats = repeats
        self._left_out = {os.path.realpath(path) for path in leave_out}
        self._found: set[str] = set()

    def is_new(self, path: Path, *, is_named: bool) -> bool:
        """Whether an input was not found before, or may be repeated; it is found from now on."""
        real = os.path.realpath(path)
        is_new = real not in self._found
        self._found.add(real)
        return is_new or (self._repeats and is_named)

    def is_result(self, path: Path, root: Path) -> bool:
        """Whether a file is a result, or lies in a folder of results below the root."""
        real, top = os.path.realpath(path), os.path.realpath(root)
        if real in self._left_out:
            return True
        inner = (one for one in self._left_out if one.startswith(os.path.join(top, "")))
        return any(real.startswith(os.path.join(one, "")) for one in inner)


def _expanded(word: str) -> list[Path]:
    path = Path(word)
    if os.path.lexists(path) or not glob.has_magic(word):
        return [path]
    return [Path(name) for name in sorted(glob.glob(word, recursive=True))]


def _of_one(
    path: Path, find_in: Callable[[Path], list[Path]], known: _Known, what: str
) -> tuple[list[tuple[Path, Path]], str]:
    """The new inputs of one path, each with its root, and why there is none."""
    root = path.absolute().parent
    inside = [path]
    try:
        if str(path) in SAMPLES and not path.exists():
            inside, root = [sample_recording(str(path))], _BUNDLED
        elif not path.exists():
            return [], f"{path} does not exist"
        elif path.is_dir() and not is_bag_folder(path):
            inside = [one for one in find_in(path) if not known.is_result(one, path)]
            if inside != [path]:  # but for one sequence of images
                root = path.absolute()
    except OSError as error:
        return [], reason_of(error)
    if not inside:
        return [], f"{path} has no {what}"
    is_named = root != path.absolute()
    return [(one, root) for one in inside if known.is_new(one, is_named=is_named)], ""


def _common_folder(roots: set[Path]) -> Path | None:
    """The folder below which all inputs lie; None where there is none, as on two drives."""
    try:
        return Path(os.path.commonpath(roots)) if roots else None
    except ValueError:
        return None


def _place(path: Path, root: Path, common: Path | None) -> Path:
    if root == _BUNDLED:
        return Path(path.name)
    here = path.absolute()
    if common is None:
        return Path(here.drive.rstrip(":"), here.relative_to(here.anchor))
    relative = Path(os.path.relpath(here, common))
    # A folder that is typed as .. or with a link in it.
    return Path(*(part for part in relative.parts if part != os.pardir))


def _has_images(folder: Path) -> bool:
    return any(_suffix(path) in IMAGE_SUFFIXES and path.is_file() for path in _visible(folder))


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
