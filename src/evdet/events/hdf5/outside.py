"""Data of an HDF5 file that lie in other files, which evdet does not read.

A link, an external dataset or a virtual one can name any file of the machine, whose bytes would
then be in the output.
"""

from typing import Any

import h5py

__all__ = ["is_inside", "lies_in"]


def lies_in(dataset: Any) -> str:
    """The other file that a dataset's numbers lie in; empty if they lie in its own file."""
    if dataset.external:
        return str(dataset.external[0][0])
    if dataset.is_virtual:
        sources = {str(source.file_name) for source in dataset.virtual_sources()}
        return next(iter(sources - {".", dataset.file.filename}), "")
    return ""


def is_inside(file: Any, name: str) -> bool:
    """Whether a path of an open file is there, and neither it nor a part leads to another file."""
    place = file
    for part in name.strip("/").split("/"):
        if not isinstance(place, h5py.Group):
            return False
        link = place.get(part, getlink=True) if part in place else None
        if link is None or isinstance(link, h5py.ExternalLink):
            return False
        place = place[part]
    if place.file.filename != file.file.filename:
        return False  # through a soft link
    return not (isinstance(place, h5py.Dataset) and lies_in(place))
