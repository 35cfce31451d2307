"""The filters that compressed datasets need: HDF5 has some of them, hdf5plugin others."""

from pathlib import Path
from typing import Any

import h5py

from evdet.events.dtypes import RecordingError

__all__ = ["ECF_FILTER", "filters_of", "import_plugin", "needs_plugin"]

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


def import_plugin(path: Path) -> None:
    """Importing it registers the filters with HDF5, in this process."""
    try:
        import hdf5plugin  # noqa: F401 - optional: only some files need it
    except ImportError:
        raise RecordingError(
            f"cannot read {path}: it is compressed with a filter (such as Blosc) of hdf5plugin "
            "(pip install hdf5plugin)"
        ) from None
