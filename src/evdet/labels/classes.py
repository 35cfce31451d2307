"""Which classes to train: some of the label map's, merged where asked."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from evdet.shapes import BoxEvents

__all__ = ["ClassChoice", "apply_classes", "choose_classes"]


@dataclass(frozen=True)
class ClassChoice:
    """The classes of a training and the classes of the label map that each is made of."""

    names: tuple[str, ...]
    """The training's classes; the first has id 1 in memory."""
    label_map: Mapping[int, str]
    """The names of the ids on disk."""
    ids: Mapping[int, int]
    """Id on disk -> id in the training; an id that is not here is dropped."""


def choose_classes(label_map: Mapping[int, str], wanted: Sequence[str] = ()) -> ClassChoice:
    """Choose and merge classes.

    Args:
        label_map: names of the ids on disk.
        wanted: one text per class of the training: the name of a class, several joined by `+` to
            merge them, and `=name` behind it to call the result so; none takes all as they are.

    Returns:
        The choice; the training's ids follow the order of `wanted`.

    Raises:
        ValueError: a class is not in the label map, or is asked for twice.

    Example:
        >>> choice = choose_classes({0: "car", 1: "bus", 2: "truck"}, ["bus", "car+truck=vehicle"])
        >>> choice.names, choice.ids
        (('bus', 'vehicle'), {1: 1, 0: 2, 2: 2})
    """
    if not wanted:
        wanted = [label_map[i] for i in sorted(label_map)]
    id_of = {name: i for i, name in label_map.items()}
    names: list[str] = []
    ids: dict[int, int] = {}
    for text in wanted:
        parts, name = _parse(text, id_of)
        if name in names:
            raise ValueError(f"two classes would be called {name!r}: give one of them another name")
        names.append(name)
        for part in parts:
            if part not in id_of:
                raise ValueError(_unknown(part, list(id_of)))
            if id_of[part] in ids:
                raise ValueError(
                    f"the class {part!r} is asked for twice, the second time in {text!r}"
                )
            ids[id_of[part]] = len(names)
    return ClassChoice(tuple(names), label_map, ids)


def apply_classes(boxes: BoxEvents, choice: ClassChoice) -> tuple[BoxEvents, dict[str, int]]:
    """Give boxes the ids of the training, and drop those of other classes.

    Args:
        boxes: box events as the label readers give them; left as they are.
        choice: the classes of the training.

    Returns:
        The boxes of the chosen classes, in the same order, and how many were dropped for each
        reason that occurred.
    """
    present: Int64[np.ndarray, " _"] = np.unique(boxes["class_id"]).astype(np.int64)
    kept = boxes.copy()
    counts: dict[str, int] = {}
    keep = np.zeros(len(boxes), bool)
    for class_id in present.tolist():
        mine = boxes["class_id"] == class_id
        on_disk = class_id - 1
        if on_disk in choice.ids:
            kept["class_id"][mine] = choice.ids[on_disk]
            keep |= mine
            continue
        name = choice.label_map.get(on_disk)
        reason = f"class {name} not chosen" if name else f"class id {on_disk} not in the label map"
        counts[reason] = int(mine.sum())
    return kept[keep], counts


def _parse(text: str, known: Mapping[str, int]) -> tuple[list[str], str]:
    """`car+truck=vehicle` -> ([car, truck], vehicle)."""
    if text in known:  # a name may contain + and = itself
        return [text], text
    merged, _, name = text.partition("=")
    parts = [part.strip() for part in merged.split("+")]
    name = name.strip() or merged.strip()
    if not all(parts) or ("=" in text and not text.partition("=")[2].strip()):
        raise ValueError(
            f"cannot read the class {text!r}: write a name, or `car+truck=vehicle` to merge classes"
        )
    return parts, name


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"the label map has no class {name!r}, only {', '.join(known)}.{hint}"
