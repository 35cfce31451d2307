"""Small valid exports of annotation tools, as text, and the reading of them."""

import json
from pathlib import Path

import numpy as np
from fuzz_samples import Samples

from evdet.events.dtypes import SensorSize
from evdet.labels import LabelError, RecordingSpan, read_boxes

__all__ = ["TOOL_SAMPLES", "exercise_tools"]

LABEL_MAP = {0: "car", 1: "person"}
RECORDING = RecordingSpan(SensorSize(height=240, width=304), 1_000, 2_000_000)
PERIOD = 50_000


def cvat() -> list[bytes]:
    """Video tracks with keyframes only, and images."""
    box = '<box frame="{}" keyframe="1" outside="{}" occluded="0" xtl="1.00" ytl="2.50" xbr="30.00"'
    box += ' ybr="40.25" z_order="0">\n</box>\n'
    video = (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta>\n'
        "<task>\n<id>3</id>\n<name>drive</name>\n<size>12</size>\n<start_frame>4</start_frame>\n"
        "<stop_frame>26</stop_frame>\n<frame_filter>step=2</frame_filter>\n</task>\n</meta>\n"
        '<track id="0" label="car" source="manual">\n'
        + box.format(4, 0) + box.format(10, 0) + box.format(14, 1)
        + '</track>\n<track id="1" label="person" source="manual">\n' + box.format(6, 0)
        + '<polygon frame="6" keyframe="1" outside="0" points="1,2;3,4"/>\n</track>\n'
        "</annotations>\n"
    )  # fmt: skip
    images = (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
        '<image id="0" name="frame_000003.png" width="304" height="240">\n'
        '<box label="car" source="manual" occluded="1" xtl="1.00" ytl="2.00" xbr="4.00" ybr="9.00"'
        ' rotation="0.00" z_order="0">\n</box>\n<mask label="car" rle="1, 2" left="0"/>\n</image>\n'
        '<image id="1" name="frame_000007.png" width="304" height="240">\n</image>\n'
        "</annotations>\n"
    )
    return [video.encode(), images.encode()]


def label_studio() -> list[bytes]:
    """A video as JSON and as JSON-MIN, and a picture."""
    keys = [
        {"frame": frame, "enabled": frame != 9, "rotation": 0, "x": 10.5, "y": 20, "width": 5,
         "height": 30, "time": 0.05 * frame}
        for frame in (2, 5, 9, 12)
    ]  # fmt: skip
    value = {"framesCount": 40, "duration": 2.0, "sequence": keys, "labels": ["car"]}
    region = {"value": value, "id": "a", "type": "videorectangle", "from_name": "box"}
    task = {"id": 1, "data": {"video": "/data/upload/1/0a1b2c3d-drive.mp4"}}
    video = [{**task, "annotations": [{"id": 2, "was_cancelled": False, "result": [region]}]}]
    small = [{"video": "drive.mp4", "id": 1, "box": [value], "annotator": 1}]
    square = {"x": 1, "y": 2.5, "width": 3, "height": 4, "rotation": 0, "rectanglelabels": ["car"]}
    result = {"type": "rectanglelabels", "original_width": 304, "original_height": 240}
    picture = [
        {
            "id": 4,
            "data": {"image": "/data/upload/1/0a1b2c3d-frame_000007.png"},
            "annotations": [{"id": 5, "result": [{**result, "value": square}]}],
        }
    ]
    return [json.dumps(one, indent=1).encode() for one in (video, small, picture)]


def datumaro() -> list[bytes]:
    """Two items, of which one has annotations."""
    box = {"type": "bbox", "attributes": {"track_id": 0, "occluded": True}, "label_id": 1}
    items = [
        {
            "id": "frame_000002",
            "annotations": [{**box, "bbox": [1, 2.5, 3, 4]}, {"type": "polygon", "label_id": 0}],
            "attr": {"frame": 2},
            "image": {"path": "frame_000002.PNG", "size": [240, 304]},
        },
        {"id": "frame_000004", "annotations": [], "attr": {"frame": 4}},
    ]
    label = {"labels": [{"name": "car"}, {"name": "person"}], "attributes": ["occluded"]}
    content = {"dm_format_version": "1.0", "categories": {"label": label}, "items": items}
    return [json.dumps(content, indent=1).encode()]


def csv_sink() -> list[bytes]:
    """The table of CSVSink, with the frames."""
    head = "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,class_name,frame_index\r\n"
    rows = "".join(f"{k}.5,2,30,40,1,0.5,{k},person,{k}\r\n" for k in range(6))
    return [(head + rows).encode()]


def json_sink() -> list[bytes]:
    """The list of JSONSink, with the frames."""
    sides = {"x_min": 1.0, "y_min": 2.0, "x_max": 30.0, "y_max": 40.0}
    rows = [
        {**sides, "class_id": 1, "confidence": 0.5, "tracker_id": k, "frame_index": k}
        for k in range(4)
    ]
    return [json.dumps(rows, indent=1).encode()]


TOOL_SAMPLES = {
    "cvat": Samples(".xml", cvat),
    "label studio": Samples(".json", label_studio),
    "datumaro": Samples(".json", datumaro),
    "csv sink": Samples(".csv", csv_sink),
    "json sink": Samples(".json", json_sink),
}
"""By tool."""


def exercise_tools(path: Path) -> str:
    """Read a label file.

    Returns:
        "read" or "refused".
    """
    try:
        labeled = read_boxes(path, LABEL_MAP, recording=RECORDING, frame_period=PERIOD)
    except LabelError as error:
        _check_message(error, path)
        return "refused"
    assert (np.diff(labeled.boxes["t"]) >= 0).all()
    assert (labeled.boxes["class_id"] >= 1).all()
    assert not np.isin(labeled.empty_times, labeled.boxes["t"]).any()
    return "read"


def _check_message(error: LabelError, path: Path) -> None:
    assert path.name in str(error), f"the message does not name the file: {error}"
    assert len(str(error)) < 1000 + len(str(path)), f"the message is long: {error}"
    assert "\n" not in str(error), f"the message has several lines: {error}"
