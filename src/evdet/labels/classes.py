"""Choose and merge classes of a label map for training."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evdet.shapes import BoxEvents

__all__ = ["ClassChoice", "apply_classes", "choose_classes"]


@dataclass(frozen=True)
class ClassChoice:
    """The classes to train, and the classes of the label map that each consists of."""

    names: tuple[str, ...]
    """The classes to train; the first has id 1."""
    label_map: Mapping[int, str]
    """The names of the ids on disk."""
    ids: Mapping[int, int]
    """Id on disk -> id in training; other ids are dropped."""


def choose_classes(label_map: Mapping[int, str], wanted: Sequence[str] = ()) -> ClassChoice:
    """Choose and merge classes.

    Args:
        label_map: names of the ids on disk.
        wanted: one text per class to train, in order of their ids: the name of a class, or
            several joined by `+` to merge them, and optionally `=name` to name the result. Empty
            takes all classes.

    Raises:
        ValueError: a class is not in the label map, or is used twice.

    Example:
        >>> choice = choose_classes({0: "car", 1: "bus", 2: "truck"}, ["bus", "car+truck=vehicle"])
        >>> choice.names, choice.ids
        (('bus', 'vehicle'), {1: 1, 0: 2, 2: 2})
    """
    if not wanted:
        wanted = [label_map[i] for i in sorted(label_map)]
    id_of = {name: i for i, name in label_map.items()}
    names: dict[str, None] = {}  # in order; a list would be searched for each
    ids: dict[int, int] = {}
    for text in wanted:
        parts, name = _parse(text, id_of)
        if name in names:
            raise ValueError(f"two classes have the name {name!r}: rename one of them")
        names[name] = None
        for part in parts:
            if part not in id_of:
                raise ValueError(_unknown(part, list(id_of)))
            if id_of[part] in ids:
                raise ValueError(f"the class {part!r} is used twice, the second time in {text!r}")
            ids[id_of[part]] = len(names)
    return ClassChoice(tuple(names), label_map, ids)


def apply_classes(boxes: BoxEvents, choice: ClassChoice) -> tuple[BoxEvents, dict[str, int]]:
    """Map the ids of boxes to those of training, and drop boxes of other classes.

    Args:
        boxes: box events from a label reader; not modified.
        choice: the classes to train.

    Returns:
        The boxes of the chosen classes, in the same order, and how many were dropped, by reason.
    """
    present, index, num_boxes = np.unique(
        boxes["class_id"], return_inverse=True, return_counts=True
    )
    on_disk = (present.astype(np.int64) - 1).tolist()
    # 0, the background, is not trained: it stands for the classes that are dropped.
    new = np.array([choice.ids.get(class_id, 0) for class_id in on_disk], np.int64)
    kept = boxes.copy()
    kept["class_id"] = new[index]
    counts: dict[str, int] = {}
    for class_id, count in zip(on_disk, num_boxes.tolist(), strict=True):
        if class_id not in choice.ids:
            name = choice.label_map.get(class_id)
            which = (
                f"class {name} not chosen" if name else f"class id {class_id} not in the label map"
            )
            counts[which] = count
    return kept[new[index] > 0], counts


def _parse(text: str, known: Mapping[str, int]) -> tuple[list[str], str]:
    """`car+truck=vehicle` -> ([car, truck], vehicle)."""
    if text in known:  # a name may contain + and = itself
        return [text], text
    merged, _, name = text.partition("=")
    parts = [part.strip() for part in merged.split("+")]
    name = name.strip() or merged.strip()
    if not all(parts) or ("=" in text and not text.partition("=")[2].strip()):
        raise ValueError(
            f"cannot parse the class {text!r}: write a name, or `car+truck=vehicle` to merge "
            "classes"
        )
    return parts, name


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"the label map has no class {name!r} (classes: {', '.join(known)}).{hint}"
