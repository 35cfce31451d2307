"""The ids on disk of a detector's classes: those of the recording's data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evdet.labels.label_map import find_label_map, read_label_map

__all__ = ["OWN_IDS", "choose_label_ids"]

OWN_IDS = "none"
"""The value of --label-map that keeps the detector's ids."""


def choose_label_ids(
    class_names: Sequence[str], source: Path | None, label_map: str | None
) -> dict[int, str]:
    """Find the label map of a source, and match the detector's classes to it by name.

    Args:
        class_names: the detector's classes, without background.
        source: the source's file; None where it is not a file.
        label_map: a label map file, `OWN_IDS`, or None to search for one.

    Returns:
        The id on disk and the name of each class, in the order of `class_names`.

    Raises:
        FolderError: the label map is invalid.
        ValueError: it lacks a class of the detector.
    """
    own = dict(enumerate(class_names))
    if label_map == OWN_IDS:
        return own
    if label_map is not None:
        if not Path(label_map).is_file():
            raise ValueError(f"the label map {label_map} does not exist")
        return _match(class_names, read_label_map(Path(label_map)), label_map)
    found = None if source is None else find_label_map(source)
    return own if found is None else _match(class_names, *found)


def _match(class_names: Sequence[str], label_map: Mapping[int, str], where: str) -> dict[int, str]:
    id_of = {name: class_id for class_id, name in label_map.items()}
    missing = [name for name in class_names if name not in id_of]
    if missing:
        what = "no class" if len(missing) == len(class_names) else f"no {', '.join(missing)}"
        raise ValueError(
            f"the detector finds {', '.join(class_names)}, but {where} has {what} of these, only "
            f"{', '.join(id_of)}. Give a --checkpoint that was trained on the classes of this "
            f"source, or --label-map {OWN_IDS} to keep the detector's ids"
        )
    return {id_of[name]: name for name in class_names}
