"""The names of the pictures of `evdet info --png`, none of which replaces what is read."""

import re
from collections.abc import Sequence
from pathlib import Path

from evdet.cli.many import is_input_folder
from evdet.cli.options import check_writable
from evdet.outputs import prepare_files, recording_files
from evdet.samples import find_recording

__all__ = ["check_pictures", "pictures_of"]


def pictures_of(png: Path | None, files: Sequence[Path]) -> dict[Path, Path]:
    """The picture of each recording, by the name that `--png` and the recording give it.

    Args:
        png: of `--png`.
        files: the recordings.

    Raises:
        ValueError: a picture would replace a recording, or another one.
    """
    if png is None:
        return {}
    for path in files:
        if path.is_dir() and not is_input_folder(path):
            raise ValueError(
                f"--png is for files, and {path} is a folder: use --output-dir DIR --save png"
            )
    found = [find_recording(path) for path in files]
    pictures = [png.with_stem(f"{png.stem}-{path.name}") for path in found]
    check_pictures(pictures, found)
    return dict(zip(found, pictures, strict=True))


def check_pictures(pictures: Sequence[Path], files: Sequence[Path]) -> None:
    """Refuse pictures that would replace a recording, or each other.

    Args:
        pictures: the files to write.
        files: the recordings.

    Raises:
        ValueError: the message names the picture.
    """
    for picture in pictures:
        check_writable(picture, suffixes=(".png",))
    read = [file for path in files for file in recording_files(path)]
    # Of a recording with several streams; how many it has is known when it is open.
    numbered = {file for picture in pictures for file in _numbered_beside(picture)}
    clashes = numbered & set(pictures)
    prepare_files(pictures, derived=sorted(numbered - clashes), read=read)


def _numbered_beside(picture: Path) -> list[Path]:
    """The existing files x-0.png, x-1.png, ... beside x.png."""
    name = re.compile(rf"{re.escape(picture.stem)}-\d+{re.escape(picture.suffix)}")
    return [path for path in picture.parent.iterdir() if name.fullmatch(path.name)]
