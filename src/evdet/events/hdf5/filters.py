"""The filters that compressed datasets need: HDF5 has some of them, hdf5plugin others."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py

from evdet.events.dtypes import RecordingError

__all__ = ["ECF_FILTER", "filters_of", "import_plugin", "load_hdf5plugin", "needs_plugin"]

ECF_FILTER = 36559
"""HDF5 id of the filter of Metavision files; HDF5 cannot run it, evdet can."""


def filters_of(dataset: Any) -> dict[int, bytes]:
    """Ids and names of the filters of a dataset."""
    plan = dataset.id.get_create_plist()
    return {plan.get_filter(i)[0]: plan.get_filter(i)[3] for i in range(plan.get_nfilters())}


def needs_plugin(dataset: Any, path: Path) -> bool:
    """Whether reading a dataset takes hdf5plugin, which is then imported.

    Raises:
        RecordingError: hdf5plugin is not installed, or lacks a filter.
    """
    filters = filters_of(dataset)
    own = {number for number in filters if number < 256}  # reserved for HDF5 itself
    outside = set(filters) - own - {ECF_FILTER}
    if not outside:
        return False
    import_plugin(path)
    for number in outside:
        if not h5py.h5z.filter_avail(number):
            name = filters[number].decode("ascii", "replace")
            raise RecordingError(
                f"cannot read {path}: {dataset.name} is compressed with the filter {number} "
                f"({name}), which hdf5plugin lacks. Rewrite the file with h5repack."
            )
    return True


def load_hdf5plugin() -> ModuleType:
    """Import hdf5plugin, which registers its filters with HDF5, in this process.

    Where HDF5_PLUGIN_PATH names its own folder, HDF5 would load the filters from there first, and
    then they could not write; so that folder is taken out of HDF5's list.

    Raises:
        ImportError: it is not installed.
    """
    spec = importlib.util.find_spec("hdf5plugin") if "hdf5plugin" not in sys.modules else None
    if spec is not None and spec.origin is not None:
        own = Path(spec.origin).parent.resolve()
        for index in reversed(range(h5py.h5pl.size())):
            if own in Path(os.fsdecode(h5py.h5pl.get(index))).resolve().parents:
                h5py.h5pl.remove(index)
    return importlib.import_module("hdf5plugin")


def import_plugin(path: Path) -> None:
    """Importing it registers the filters with HDF5, in this process."""
    try:
        load_hdf5plugin()
    except ImportError:
        raise RecordingError(
            f"cannot read {path}: it is compressed with a filter (such as Blosc) of hdf5plugin "
            "(pip install hdf5plugin)"
        ) from None
