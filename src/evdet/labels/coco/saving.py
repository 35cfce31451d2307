"""Labels -> COCO ground truth, for evdet and for the tools of COCO."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evdet.atomic_file import replacing
from evdet.events import SensorSize
from evdet.labels.binning import LabeledTimes, to_disk_ids

__all__ = ["save_coco"]


def save_coco(
    path: Path,
    labeled: LabeledTimes,
    label_map: Mapping[int, str],
    *,
    size: SensorSize | None = None,
    frames: Mapping[int, int] | None = None,
) -> None:
    """Write labels as COCO JSON with videos, times and tracks.

    Args:
        path: the file to write.
        labeled: the labels; category ids are those in memory, since COCO's start at 1.
        label_map: names of the ids on disk.
        size: width and height of the pictures; None leaves them out.
        frames: frame number of each time, which becomes the id of the image, as in the results
            that `BoxWriter` writes; None counts the annotated times.

    Raises:
        ValueError: a box is background, or the label map lacks its class.
    """
    boxes, ignored = to_disk_ids(labeled.boxes), to_disk_ids(labeled.ignored)
    used = np.unique(np.concatenate([boxes["class_id"], ignored["class_id"]])).tolist()
    unknown = set(used) - set(label_map)
    if unknown:
        raise ValueError(f"the label map has no class with the id {min(unknown)}")
    times = np.unique(np.concatenate([boxes["t"], ignored["t"], labeled.empty_times])).tolist()
    frame_of = frames or {t: i for i, t in enumerate(times)}
    sides = {} if size is None else {"width": size.width, "height": size.height}
    annotations: list[dict[str, Any]] = []
    for some in (boxes, ignored):
        for box in some:
            flags = {"iscrowd": int(some is ignored)}
            if some is ignored and not box["is_crowd"]:
                # COCO marks regions alone; to its tools an object that does not count is one.
                flags["difficult"] = 1
            if box["track_id"]:
                flags["track_id"] = int(box["track_id"])
            x, y, w, h = (float(str(box[name])) for name in ("x", "y", "w", "h"))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": frame_of[int(box["t"])],
                    "video_id": 1,
                    "category_id": int(box["class_id"]) + 1,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    **flags,
                    "segmentation": [],
                    "score": float(str(box["class_confidence"])),
                }
            )
    content = {
        "videos": [{"id": 1, "name": path.stem}],
        "images": [
            {
                "id": frame_of[t],
                "video_id": 1,
                "frame_id": frame_of[t],
                "t": t,
                "file_name": f"frame_{frame_of[t]:06d}.png",
                **sides,
            }
            for t in times
        ],
        "categories": [{"id": i + 1, "name": name} for i, name in label_map.items()],
        "annotations": annotations,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content) + "\n", encoding="utf-8")
