"""Small valid label files of every format, as their tools write them; and how they are read."""

import io
import json
from pathlib import Path

import numpy as np
from fuzz_samples import Samples

from evdet.boxes import BOX_DTYPE
from evdet.events.dtypes import SensorSize
from evdet.labels.files import LabelError, read_boxes
from evdet.labels.source import RecordingSpan

__all__ = ["LABEL_SAMPLES", "exercise_labels"]

LABEL_MAP = {0: "car", 1: "bus"}
SPAN = RecordingSpan(SensorSize(height=240, width=320), 130, 10**6)
MAX_MESSAGE = 1000


def exercise_labels(path: Path) -> str:
    """Read a label file; it is read or refused with a LabelError that names it."""
    try:
        labeled = read_boxes(path, LABEL_MAP, recording=SPAN, frame_period=50_000)
    except LabelError as error:
        _check_message(str(error), path)
        return "refused"
    for boxes in (labeled.boxes, labeled.ignored):
        assert (np.diff(boxes["t"]) >= 0).all()
        assert (boxes["class_id"] > 0).all()
    assert np.isin(labeled.ignored["t"], np.union1d(labeled.boxes["t"], labeled.empty_times)).all()
    assert sum(labeled.counts.values()) == len(labeled.ignored)
    return "read"


def _check_message(message: str, path: Path) -> None:
    assert path.name in message, f"the message does not name the file: {message}"
    assert len(message) < MAX_MESSAGE + len(str(path)), f"the message is long: {message}"


def npy() -> list[bytes]:
    """Box events of today, and with the names of older files and a further field."""
    boxes = np.zeros(5, BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = np.arange(5) * 9999, 20, 30
    boxes["class_confidence"] = (1, 0, 1, 1, 0.5)
    fields = [("ts", "<u8"), *BOX_DTYPE.descr[1:6], ("confidence", "<f4"), ("note", "S3")]
    return [_saved(boxes), _saved(np.zeros(4, fields)), _saved(boxes[:0])]


def _saved(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def coco() -> list[bytes]:
    """Ground truth with times, with names of pictures, and with crowds; and results."""
    images = [{"id": k, "file_name": f"cam2_{k:06d}.png", "width": 320} for k in range(1, 5)]
    categories = [{"id": 3, "name": "bus"}, {"id": 8, "name": "car"}]
    annotations = [
        {
            "id": k, "image_id": 1 + k % 4, "category_id": 8, "bbox": [1.5, 2, 30, 40],
            "iscrowd": k % 2, "area": 1200, "attributes": {"track_id": k, "occluded": False},
        }
        for k in range(6)
    ]  # fmt: skip
    truth = {"images": images, "categories": categories, "annotations": annotations}
    timed = {**truth, "images": [{"id": k, "t": k * 1000} for k in range(1, 5)]}
    results = [
        {"image_id": k, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5} for k in range(4)
    ]
    return [json.dumps(one).encode() for one in (truth, timed, results)]


def mot() -> list[bytes]:
    """Ground truth with ignored lines, and results without scores."""
    truth = "".join(f"{k},1,{k}.5,{k},40,30,{k % 2},1,0.5\n" for k in range(1, 8))
    results = "".join(f"{k},{k % 3},0,{k},40,30,-1,0,-1\n" for k in range(1, 8))
    return [truth.encode(), results.encode()]


def yolo() -> list[bytes]:
    """Lines with and without confidences and tracks."""
    lines = "0 0.5 0.5 0.1 0.2\n1 0.25 0.75 0.1 0.2\n"
    return [
        lines.encode(),
        lines.replace("0.2\n", "0.2 0.75\n").encode(),
        lines.replace("0.2\n", "0.2 7\n").encode(),
        lines.replace("0.2\n", "0.2 0.5 7\n").encode(),
    ]


def voc() -> list[bytes]:
    """Files of labelImg and of CVAT."""
    node = (
        "<object><name>bus</name><difficult>{}</difficult><bndbox><xmin>5</xmin><ymin>6</ymin>"
        "<xmax>20</xmax><ymax>30.5</ymax></bndbox></object>"
    )
    size = "<size><width>320</width><height>240</height></size>"
    unknown = "<{0}>Unknown</{0}>"
    source = "".join(unknown.format(name) for name in ("database", "annotation", "image"))
    return [
        f"<annotation>{size}{node.format(0)}{node.format(1)}</annotation>".encode(),
        f"<annotation><source>{source}</source>{size}{node.format(0)}</annotation>".encode(),
    ]


def table() -> list[bytes]:
    """Tables with times, with decimal commas, and TensorFlow's with names of pictures."""
    timed = "t,x,y,w,h,class,track_id,confidence\n" + "20,1,2,3,4,car,7,0.5\n90,1,2,3,4,bus,8,1\n"
    comma = "\ufefft_ms;x1;y1;x2;y2;label;iscrowd\r\n0,5;1,5;2;4;6;car;1\r\n2;1;2;4;6;1;0\r\n"
    named = "filename,width,height,class,xmin,ymin,xmax,ymax\n" + "".join(
        f"frame_{k:06d}.png,320,240,car,10,20,30,40\n" for k in range(4)
    )
    return [timed.encode(), comma.encode(), named.encode(), timed.encode("utf-16")]


LABEL_SAMPLES = {
    "labels-npy": Samples(".npy", npy),
    "labels-coco": Samples(".json", coco),
    "labels-mot": Samples(".txt", mot),
    "labels-yolo": Samples(".txt", yolo),
    "labels-voc": Samples(".xml", voc),
    "labels-csv": Samples(".csv", table),
}
"""By name: how files end, and what makes them."""
