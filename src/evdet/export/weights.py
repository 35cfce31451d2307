"""A checkpoint -> a folder as the Hugging Face Hub expects it: weights, configuration and card."""

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evdet.atomic_file import replacing
from evdet.detectors import (
    CARD_FILE,
    CONFIG_FILE,
    WEIGHTS_SUFFIX,
    ExportError,
    config_of,
    find_checkpoint,
    load_checkpoint,
    load_network,
    shown_name,
    weights_config_to_json,
    weights_to_bytes,
)
from evdet.export.model_card import CardScores, write_card
from evdet.runs import RunFolder
from evdet.samples import WEIGHTS

__all__ = ["UNKNOWN_LICENSE", "ExportedWeights", "export_weights", "weights_files"]

UNKNOWN_LICENSE = "unknown"
"""What the Hub writes where a licence is not known."""
_BUNDLED_LICENSE = "cc-by-sa-4.0"
_LICENSE = re.compile(r"[A-Za-z0-9][\w.+-]{0,99}")


class ExportedWeights(NamedTuple):
    """A folder with weights."""

    paths: tuple[Path, ...]
    """Weights, configuration and card."""
    num_bytes: int
    """Size of the weights."""
    license: str
    """What the card states."""
    scores: CardScores | None
    """What the card states; None without an evaluation of this checkpoint."""


def weights_files(path: Path) -> tuple[Path, ...]:
    """The files that `export_weights` writes: the weights, and two beside them."""
    return path, path.with_name(CONFIG_FILE), path.with_name(CARD_FILE)


def export_weights(
    checkpoint: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    license: str | None = None,
) -> ExportedWeights:
    """Write the weights of a checkpoint as .safetensors, with configuration and model card.

    Args:
        checkpoint: as `load_network` takes it.
        path: the file of weights, such as folder/model.safetensors; its folder is made if it is
            missing, and gets config.json and README.md, too.
        license: of the weights, as the Hub spells it, such as apache-2.0; None: unknown, or that
            of the bundled weights.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
        ExportError: one of the files exists, or the folder is a run or cannot be made.
        OSError: a file cannot be written.
    """
    path = Path(path)
    stated = license or (_BUNDLED_LICENSE if os.fspath(checkpoint) in WEIGHTS else UNKNOWN_LICENSE)
    if not _LICENSE.fullmatch(stated):
        raise ExportError(
            f"license {stated[:60]!r} is not an identifier of the Hub: write one such as apache-2.0"
        )
    _check_place(path)
    detector = load_network(checkpoint)
    file = find_checkpoint(checkpoint)
    config = config_of(load_checkpoint(file))
    scores = _scores_of(file)
    card = write_card(
        path.absolute().parent.name,
        detector,
        config,
        license=stated,
        source=shown_name(checkpoint),
        scores=scores,
    )
    content = (
        weights_to_bytes(detector.state_dict()),
        weights_config_to_json(config).encode(),
        card.encode(),
    )
    _write_all(weights_files(path), content)
    return ExportedWeights(weights_files(path), len(content[0]), stated, scores)


def _check_place(path: Path) -> None:
    """Refuse files that exist: a card that a user has written would be lost.

    Raises:
        ExportError: the message names the file.
    """
    if path.suffix.lower() != WEIGHTS_SUFFIX:
        raise ExportError(f"{path} does not end in {WEIGHTS_SUFFIX}, as files of weights must")
    folder = path.absolute().parent
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        there = folder if folder.exists() else folder.parent
        if folder.exists() or not there.is_dir():
            raise ExportError(f"cannot write {path}: {there} {what}")
    if RunFolder(folder).checkpoints.is_dir():
        raise ExportError(
            f"cannot write {path}: {path.parent} is the folder of a run; name another folder, such "
            f"as {path.parent / 'weights' / path.name}"
        )
    for one in weights_files(path):
        if os.path.lexists(one):
            raise ExportError(
                f"cannot write {one}: it exists, and {path.name} comes with {CONFIG_FILE} and "
                f"{CARD_FILE} of its own. Name a new folder, such as "
                f"{path.parent / path.stem / path.name}"
            )


def _write_all(paths: Sequence[Path], contents: Sequence[bytes]) -> None:
    """Write all files before the first gets its name; the weights get theirs last."""
    folder = paths[0].absolute().parent
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    named: list[Path] = []
    try:
        with contextlib.ExitStack() as stack:
            for path, content in zip(paths, contents, strict=True):
                stack.callback(named.append, path)
                part = stack.enter_context(replacing(path))
                part.write_bytes(content)
    except BaseException:
        # What has got its name: `replacing` ends in reverse, and a callback runs after its own.
        for path in named:
            path.unlink(missing_ok=True)
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _scores_of(checkpoint: Path) -> CardScores | None:
    """The scores of a run's evaluation, if it is of this checkpoint as it is now."""
    try:
        run = RunFolder.of_checkpoint(checkpoint)
        numbers = run.read_evaluation()
        if numbers is None or not isinstance(numbers.get("mAP"), float):
            return None
        evaluated = Path(str(numbers.get("checkpoint")))
        if not evaluated.is_file() and evaluated.parent.name == run.checkpoints.name:
            evaluated = run.checkpoints / evaluated.name  # as seen from another folder
        if not evaluated.is_file() or not evaluated.samefile(checkpoint):
            return None
        return CardScores.of_evaluation(numbers, written=checkpoint.stat().st_mtime)
    except (OSError, ValueError):  # a damaged file, or a path of another machine
        return None
