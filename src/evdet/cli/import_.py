"""`evdet import`: a published RVT, S5-ViT or EvRT-DETR model -> an evdet checkpoint."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from evdet.atomic_file import replacing
from evdet.cli.options import Flag, default
from evdet.detectors import CheckpointError, import_evrtdetr, import_rvt, is_evrtdetr_folder
from evdet.events import parse_size
from evdet.outputs import prepare_files

__all__ = ["ImportOptions", "import_checkpoint"]


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Convert a model of the RVT, S5-ViT or EvRT-DETR project by renaming its weights."""

    checkpoint: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT")]]
    """Lightning checkpoint of RVT or S5-ViT, or model folder of EvRT-DETR; pickled code in it is
    not run."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Checkpoint to write."""
    classes: Annotated[tuple[str, ...], default("Gen1 for two classes, 1 Mpx for three")] = ()
    """Class names in the checkpoint's order."""
    sensor_size: Annotated[str | None, default("Gen1 or 1 Mpx", "WxH")] = None
    """Width and height in pixels of the frames that the checkpoint was trained on."""
    preprocess: Annotated[str, default("the project's")] = ""
    """Event representation that the checkpoint was trained on."""
    force: Flag = False
    """Overwrite the output if it exists."""


def import_checkpoint(options: ImportOptions) -> None:
    """Write the checkpoint, and print what it holds.

    Raises:
        CheckpointError: there is no model of these projects, or the output exists.
    """
    if options.output.exists() and not options.force:
        raise CheckpointError(f"{options.output} already exists (--force overwrites it)")
    if options.output.is_dir():
        raise CheckpointError(f"cannot write {options.output}: it is a folder")
    prepare_files([options.output], read=[options.checkpoint])
    stated = options.sensor_size
    size = None if stated is None else parse_size(stated, name="--sensor-size")
    convert = import_evrtdetr if is_evrtdetr_folder(options.checkpoint) else import_rvt
    content = convert(
        options.checkpoint,
        classes=options.classes,
        height=size.height if size else 0,
        width=size.width if size else 0,
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
