"""The options of `evdet evaluate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["EvaluateOptions"]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Score a checkpoint on frames it has not seen, or a file of detections against its truth."""

    checkpoint: Annotated[
        tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="CHECKPOINT")
    ] = None
    """A checkpoint (*.ckpt), a run's folder, whose best checkpoint is taken, or an exported
    detector (*.onnx), or events-digits, which comes with evdet. Left out where --detections and
    --boxes are given."""
    protocol: str = "coco"
    """What is fixed: coco, perot2020-gen1, perot2020-1mpx, rvt-gen1 or rvt-1mpx."""
    classes: tuple[str, ...] = ()
    """Classes to score, of the label map; person+rider=pedestrian merges and renames. By default
    the protocol's, and for coco all."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the numbers and their protocol to this file as well."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for evaluation.json, pictures and demo.mp4; by default the run's own. Numbers of
    files are kept only where this is given."""
    tracks: tyro.conf.FlagCreatePairsOff[bool] = False
    """Score tracks, too: HOTA, MOTA and IDF1."""

    # --- of a checkpoint ---
    dataset_path: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of recordings to score on; by default that of the training."""
    split: str = "test"
    """Part of the data set: test or val."""
    frames: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Frames to score at most; by default all recordings, and test_frames of toy_problem."""
    score_thresh: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Detections with a lower score are dropped, in [0, 1]; by default as configured."""
    nms_thresh: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Of two boxes of a class with a higher IoU the better stays; by default as configured."""
    tracker: str = "bytetrack"
    """What tracks a checkpoint's detections for --tracks: bytetrack, ocsort or sort."""
    count_events: bool = True
    """Count the events in every object's box, for the curve over them: reads recordings twice."""
    device: str = "auto"
    """cpu, cuda, ... or auto."""

    # --- of files ---
    detections: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File of detections in any format of labels, or a folder of them."""
    boxes: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File of the true boxes, or a folder of them, with the same names."""
    label_map: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """JSON with the names of the class ids on disk; by default label_map_dictionary.json beside
    the boxes or above them, or what the protocol's data set has."""
    delta_t: Annotated[int, tyro.conf.arg(metavar="INT")] = 0
    """Duration of the detector's time bins in microseconds, at whose ends detections are stamped;
    0: for coco and rvt, detections have the very times of the labels."""
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="HEIGHT WIDTH")] = None
    """Size of the picture that the boxes are measured in, in pixels, where it matters."""
    frame_period: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Microseconds from frame to frame, for files that count frames; needs --size."""
