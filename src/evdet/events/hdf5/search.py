"""An open HDF5 file -> the layout of its events, wherever they lie in it."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from evdet.events.dtypes import RecordingError
from evdet.events.files import (
    NUMBER_KINDS,
    ROLES,
    ReadOptions,
    choose_stream,
    find_roles,
    group_columns,
    looks_like_events,
)
from evdet.events.hdf5.attributes import is_dataset, long_axis
from evdet.events.hdf5.building import Stream, build_layout, is_wide
from evdet.events.hdf5.layouts import ColumnLayout, TableLayout
from evdet.events.hdf5.outside import is_inside, lies_in
from evdet.events.hdf5.storage import DAMAGE, read_sample

__all__ = ["find_layout"]

_MAX_OBJECTS = 20_000


def find_layout(path: Path, file: Any, options: ReadOptions) -> ColumnLayout | TableLayout:
    """Find the events of an open file.

    Args:
        path: the file, for messages.
        file: open.
        options: which stream, and how to read it.

    Raises:
        RecordingError: it has no or several streams of events, or can be read in several ways.
        ValueError: its datasets are damaged.
    """
    names = _dataset_names(file)
    elsewhere = _elsewhere(file, names)
    names = [name for name in names if name not in elsewhere]
    streams = _streams(path, file, names, options)
    if not streams and elsewhere:
        name, other = next(iter(elsewhere.items()))
        raise RecordingError(
            f"cannot read {path}: its {name} leads to another file, {other!r}, and evdet reads "
            "only the file that you name. Copy the numbers into one file with h5py or h5repack."
        )
    if not streams:
        raise RecordingError(
            f"{path} has no events that evdet finds: four columns or one table of t, x, y and p. "
            f"Its datasets are {_listed(file, names)}. Save the events as events/t, x, y, p."
        )
    short = _short_names([stream.place for stream in streams])
    wanted = options.stream
    by_place = {stream.place: name for stream, name in zip(streams, short, strict=True)}
    if wanted is not None:
        wanted = by_place.get(wanted.strip("/"), wanted)
    chosen = streams[short.index(choose_stream(path, short, wanted))]
    return build_layout(path, file, chosen, options)


def _dataset_names(file: Any) -> list[str]:
    """The datasets of a file, by their paths."""
    names: list[str] = []
    try:
        for path, found in itertools.islice(_objects(file, "", set()), _MAX_OBJECTS):
            if isinstance(found, h5py.Dataset):
                names.append(path)
    except DAMAGE:
        # What is damaged may be something else than the events.
        names = [name for place in ("", "events", "CD") for name in _readable(file, place)]
    return sorted(names)


def _elsewhere(file: Any, names: list[str]) -> dict[str, str]:
    """The datasets whose numbers lie in other files, and links to other files."""
    found = {name: other for name in names if (other := lies_in(file[name]))}
    for place in dict.fromkeys(("", "events", *(name.rpartition("/")[0] for name in names))):
        group = file[place] if place and is_inside(file, place) else file
        for name in itertools.islice(group, _MAX_OBJECTS) if isinstance(group, h5py.Group) else ():
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                found[f"{place}/{name}".lstrip("/")] = str(link.filename)
    return found


def _objects(group: Any, place: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The objects in a group and in those below, each once, in order of their paths.

    `visititems` never returns from some damaged groups; here the number of links is known before.
    """
    for name in itertools.islice(group, len(group)):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        found = group[name]
        address = h5py.h5o.get_info(found.id).addr
        if address in seen:
            continue
        seen.add(address)
        yield f"{place}{name}", found
        if isinstance(found, h5py.Group):
            yield from _objects(found, f"{place}{name}/", seen)


def _readable(file: Any, place: str) -> Iterator[str]:
    """The datasets in one group that can be opened."""
    with contextlib.suppress(*DAMAGE):
        for name in list(file[place] if place else file):
            with contextlib.suppress(*DAMAGE):
                path = f"{place}/{name}".lstrip("/")
                if is_dataset(file, path):
                    yield path


def _streams(path: Path, file: Any, names: list[str], options: ReadOptions) -> list[Stream]:
    is_column = {
        name: long_axis(file[name]) is not None and file[name].dtype.kind in NUMBER_KINDS
        for name in names
    }
    groups = group_columns(name for name in names if is_column[name])
    streams = [
        Stream(place, tuple(found[role] for role in ROLES.values()))
        for place, found in groups.items()
    ]
    tables = [name for name in names if _can_be_table(file[name], options)]
    is_only = len(streams) + len(tables) == 1
    # Boxes and poses have four columns, too.
    tables = [
        name
        for name in tables
        if (is_only and "event" in name.lower()) or _is_table(path, file[name], options)
    ]
    return [*streams, *map(Stream, tables)]


def _can_be_table(dataset: Any, options: ReadOptions) -> bool:
    if dataset.dtype.names is not None:
        return dataset.ndim == 1 and find_roles(dataset.dtype.names) is not None
    if dataset.ndim != 2 or dataset.dtype.kind not in NUMBER_KINDS:
        return False
    width = len(options.columns) if options.columns else 4
    return width in dataset.shape


def _is_table(path: Path, dataset: Any, options: ReadOptions) -> bool:
    if dataset.dtype.names is not None or options.columns is not None:
        return True
    rows = read_sample(path, dataset, is_wide=is_wide(dataset, options)).astype(np.float64)
    return looks_like_events(rows) or (not len(rows) and "event" in dataset.name.lower())


def _short_names(places: list[str]) -> list[str]:
    """What distinguishes the places: left and right of davis/left/events, davis/right/events."""
    parts = [place.split("/") for place in places]
    if len(places) > 1:
        while all(len(words) > 1 for words in parts) and len({words[-1] for words in parts}) == 1:
            parts = [words[:-1] for words in parts]
        while all(len(words) > 1 for words in parts) and len({words[0] for words in parts}) == 1:
            parts = [words[1:] for words in parts]
    names = ["/".join(words) or "events" for words in parts]
    return names if len(set(names)) == len(names) else places


def _listed(file: Any, names: list[str]) -> str:
    """Datasets with their types and shapes, for messages."""
    shown = []
    for name in names[:12]:
        with contextlib.suppress(*DAMAGE):
            dataset = file[name]
            kind = "fields" if dataset.dtype.names else str(dataset.dtype)
            shown.append(f"{name} {kind} {dataset.shape}")
    return ", ".join([*shown, *(["..."] if len(names) > 12 else [])]) or "none"
