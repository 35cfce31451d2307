"""What an HDF5 file states beside its events: sensor size, time offset, index of milliseconds."""

import re
from typing import Any

import numpy as np

from evdet.events.dtypes import SensorSize
from evdet.events.hdf5.inflation import CheckedDataset
from evdet.events.hdf5.outside import is_inside
from evdet.events.hdf5.storage import check_chunks

__all__ = ["is_dataset", "long_axis", "millisecond_index", "stated_number", "stated_size"]


def is_dataset(file: Any, name: str) -> bool:
    """Whether a path of an open file is a dataset whose numbers lie in this file."""
    return is_inside(file, name) and hasattr(file[name], "dtype")


def long_axis(dataset: Any) -> int | None:
    """The axis along which a column lies; None where the dataset is not one column."""
    if dataset.ndim == 1:
        return 0
    if dataset.ndim != 2 or 1 not in dataset.shape:
        return None
    return int(dataset.shape[0] == 1)


def millisecond_index(file: Any, group: str) -> tuple[str, int] | None:
    """The index of DSEC or of M3ED, and the millisecond of its first entry; None without.

    Args:
        file: open.
        group: of the events.
    """
    places = dict.fromkeys((f"{group}/ms_to_idx", "ms_to_idx", f"{group}/ms_map_idx"))
    for name in (place.lstrip("/") for place in places):
        if is_dataset(file, name) and file[name].ndim == 1 and file[name].dtype.kind in "iu":
            # Some writers count milliseconds from the first event.
            return name, int(stated_number(file, "ms_to_idx_offset", group) or 0)
    return None


def stated_size(file: Any, group: str) -> SensorSize | None:
    """The sensor's size: `geometry`, `width` and `height`, or M3ED's calibration."""
    width, height = (stated_number(file, name, group) for name in ("width", "height"))
    if width is None or height is None:
        match = re.fullmatch(r"\s*(\d{1,5})x(\d{1,5})\s*", _text(file, "geometry"))
        width, height = (int(match[1]), int(match[2])) if match else _calibrated(file, group)
    is_sensible = 0 < width <= 1 << 16 and 0 < height <= 1 << 16
    return SensorSize(int(height), int(width)) if is_sensible else None


def stated_number(file: Any, name: str, group: str) -> float | int | None:
    """A number: an attribute or a dataset, at the root or in the events' group."""
    for place in dict.fromkeys(("/", group or "/")):
        if place != "/" and not is_inside(file, place):
            continue
        if name in file[place].attrs:
            holder = file[place].attrs.get_id(name)
            value = file[place].attrs[name] if _is_number(holder) else None
        elif is_dataset(file, f"{place}/{name}"):
            holder = file[place][name]
            value = _number(holder) if _is_number(holder) else None
        else:
            continue
        if value is not None:
            number: float | int = np.asarray(value).item()
            return number if np.isfinite(number) else None
    return None


def _calibrated(file: Any, group: str) -> tuple[int, int]:
    """Width and height of M3ED's calibration; zeros without."""
    name = f"{group}/calib/resolution".lstrip("/")
    if not is_dataset(file, name):
        return 0, 0
    resolution = file[name]
    if resolution.shape != (2,) or resolution.dtype.kind not in "iu":
        return 0, 0
    width, height = _number(resolution).tolist()
    return width, height


def _text(file: Any, name: str) -> str:
    """A text attribute of the root; empty without."""
    if name not in file.attrs:
        return ""
    # Check the type before the value: HDF5 2.0 can crash on the value of a damaged type.
    kind = file.attrs.get_id(name).dtype
    if kind.kind != "S" and (kind.metadata or {}).get("vlen") not in (str, bytes):
        return ""
    value = file.attrs[name]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _number(dataset: Any) -> Any:
    """The content of a small dataset, whose chunk may be made to inflate."""
    check_chunks(dataset)
    return CheckedDataset(dataset)[...]


def _is_number(holder: Any) -> bool:
    return holder.dtype.kind in "iuf" and holder.shape in ((), (1,))
