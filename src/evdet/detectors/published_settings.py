"""What importing a published model of any project decides: its data set, its names and shapes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evdet.detectors.checkpoints import CheckpointError, shorten_list
from evdet.events.representations import get_representation
from evdet.shapes import Size

__all__ = ["check_published_names", "published_settings"]

Shapes = Mapping[str, Sequence[int]]


def published_settings(
    path: Path,
    data_sets: Mapping[int, Mapping[str, Any]],
    *,
    num_classes: int,
    in_channels: int,
    classes: tuple[str, ...],
    size: Size,
    preprocess: str,
) -> dict[str, Any]:
    """Give the settings of the data set that a model's number of classes implies, or the user's.

    Args:
        path: of the model, for messages.
        data_sets: settings by number of classes; that of two is taken for any other number.
        num_classes: of the model.
        in_channels: channels of its frames.
        classes: names that the user gives; empty for those of the data set.
        size: height and width that the user gives; 0 for those of the data set.
        preprocess: representation that the user gives; empty for that of the data set.

    Raises:
        CheckpointError: the classes or the channels do not fit.
    """
    if not classes and num_classes not in data_sets:
        raise CheckpointError(f"{path} has {num_classes} classes: name them with --classes")
    if classes and len(classes) != num_classes:
        raise CheckpointError(
            f"{path} has {num_classes} classes, but --classes names {len(classes)}"
        )
    values = dict(data_sets.get(num_classes, data_sets[2]))
    if classes:
        values["classes"] = classes
    for name, given in (("height", size[0]), ("width", size[1]), ("preprocess", preprocess)):
        values[name] = given or values[name]
    made = get_representation(values["preprocess"]).num_channels
    if made != in_channels:
        raise CheckpointError(
            f"{path} takes frames of {in_channels} channels, but {values['preprocess']} has "
            f"{made}: name the representation with --preprocess"
        )
    return values


def check_published_names(path: Path, project: str, wanted: Shapes, found: Shapes) -> None:
    """Refuse a model whose weights have other names or shapes.

    Raises:
        CheckpointError: the message names missing and unknown weights.
    """
    missing = [name for name in wanted if name not in found]
    left_over = [name for name in found if name not in wanted]
    other = [
        f"{name} {found[name]} instead of {shape}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    problems = (
        shorten_list("lacks", missing),
        shorten_list("has the unknown", left_over),
        shorten_list("has", other),
    )
    if any(problems):
        said = "; it ".join(filter(None, problems))
        raise CheckpointError(f"{path} is not a known variant of {project}: it {said}")
