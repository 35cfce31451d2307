"""find_missing_classes: the boxes of each split -> which class has none where."""

from collections.abc import Mapping, Sequence

__all__ = ["find_missing_classes"]


def find_missing_classes(
    num_boxes: Mapping[str, Mapping[str, int]], classes: Sequence[str]
) -> dict[str, str]:
    """Say which classes a split has no box of.

    Args:
        num_boxes: of each class, by split. A split without any box counts for nothing.
        classes: the classes that are trained.

    Returns:
        A sentence for each split that lacks a class that another has; under the name "" one for
        the classes that no split has.
    """
    splits = {name: counts for name, counts in num_boxes.items() if sum(counts.values())}
    if not splits:
        return {}
    missing = {
        split: [name for name in classes if not counts.get(name)]
        for split, counts in splits.items()
    }
    in_no_split = set(classes).intersection(*missing.values())
    nowhere = [name for name in classes if name in in_no_split]
    found = {}
    for split, names in missing.items():
        lacking = [name for name in names if name not in in_no_split]
        if lacking:
            found[split] = f"has no box of {', '.join(lacking)}: {_consequence(split, lacking)}"
    if nowhere:
        found[""] = (
            f"has no box of {', '.join(nowhere)} in any split, though the label map names "
            f"{_it(nowhere)}: leave {_it(nowhere)} out with --classes, or label {_it(nowhere)}"
        )
    return found


def _consequence(split: str, names: Sequence[str]) -> str:
    lost = {
        "train": f"training cannot learn {_it(names)}",
        "val": f"the validation does not score {_it(names)}",
    }.get(split, f"the test does not score {_it(names)}")
    return (
        f"{lost}. Move whole recordings that have {_it(names)}, or split all recordings again: "
        "`evdet split` balances the classes"
    )


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
