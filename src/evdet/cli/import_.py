"""`evdet import`: a checkpoint of another project -> one of ours."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from evdet.atomic_file import replacing

__all__ = ["ImportOptions", "import_checkpoint"]


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Turn a checkpoint of the RVT project into one of evdet, by renaming its weights."""

    checkpoint: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT")]]
    """A Lightning checkpoint of RVT; none of the code that it may hold is run."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """The checkpoint to write."""
    classes: tuple[str, ...] = ()
    """Its class names, in order; by default those of Gen1 for two, and of 1 Mpx for three."""
    height: int = 0
    """Height of the frames it was trained on, in pixels; 0 takes that of Gen1 or 1 Mpx."""
    width: int = 0
    """Width of the frames it was trained on, in pixels; 0 takes that of Gen1 or 1 Mpx."""
    preprocess: str = ""
    """The representation it was trained on; by default RVT's stacked histogram."""
    force: bool = False
    """Replace the output if it exists."""


def import_checkpoint(options: ImportOptions) -> None:
    """Write our checkpoint, and say what is in it.

    Args:
        options: what the user asked for.

    Raises:
        CheckpointError: the file is no checkpoint of RVT, or the output is there already.
    """
    import torch

    from evdet.detectors import CheckpointError, import_rvt

    if options.output.exists() and not options.force:
        raise CheckpointError(f"{options.output} exists already; --force replaces it")
    content = import_rvt(
        options.checkpoint,
        classes=options.classes,
        height=options.height,
        width=options.width,
        preprocess=options.preprocess,
    )
    # Through memory: torch's own writer hides the system's error when the disk is full.
    written = io.BytesIO()
    torch.save(content, written)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(options.output) as part:
        part.write_bytes(written.getbuffer())
    config = content["hyper_parameters"]
    print(f"{options.output}: {config['detector']}, {len(content['state_dict'])} weights")
    print(f"  classes  {', '.join(config['classes'])}")
    print(f"  frames   {config['preprocess']}, {config['height']}x{config['width']}")
