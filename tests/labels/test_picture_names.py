"""Of a picture's name in a label file only the frame number is used: no path in it is opened."""

import json
import sys

import pytest

from evdet.events import SensorSize
from evdet.labels import RecordingSpan, read_boxes

SPAN = RecordingSpan(SensorSize(height=240, width=320), 0, 10**6)
LABEL_MAP = {0: "car"}
NAMES = (
    "../../outside/frame_{:06d}.png",
    "/outside/frame_{:06d}.png",
    "..\\outside\\frame_{:06d}.png",
    "C:\\outside\\frame_{:06d}.png",
    "file:///outside/frame_{:06d}.png",
    "a\x1b]0;title\x07_{:06d}.png",
    "outside\n_{:06d}.png",
)


def coco(names):
    images = [{"id": k, "file_name": name} for k, name in enumerate(names)]
    box = {"category_id": 1, "bbox": [1, 2, 3, 4]}
    return ".json", json.dumps(
        {
            "images": images,
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [{"id": k, "image_id": k, **box} for k in range(len(names))],
        }
    )


def table(names):
    rows = "".join(f'"{name}",320,240,car,10,20,30,40\n' for name in names)
    return ".csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows


def label_studio(names):
    value = {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0, "rectanglelabels": ["car"]}
    result = {"type": "rectanglelabels", "original_width": 320, "original_height": 240}
    result |= {"id": "a", "from_name": "box", "to_name": "image", "value": value}
    return ".json", json.dumps(
        [
            {"id": k, "annotations": [{"id": k, "result": [result]}], "data": {"image": name}}
            for k, name in enumerate(names)
        ]
    )


def datumaro(names):
    box = {"id": 0, "type": "bbox", "attributes": {}, "group": 0, "label_id": 0, "bbox": [1] * 4}
    items = [
        {"id": name, "annotations": [box], "image": {"path": name, "size": [240, 320]}}
        for name in names
    ]
    labels = {"labels": [{"name": "car", "parent": "", "attributes": []}]}
    head = {"infos": {}, "categories": {"label": labels}}
    return ".json", json.dumps({**head, "items": items})


@pytest.fixture(scope="module")
def opened():
    """What is opened, listed, renamed or removed; a hook stays until the process ends."""
    paths = []
    is_on = [True]

    def note(event, arguments):
        if is_on[0] and event.startswith(("open", "os.", "shutil.", "socket.", "subprocess.")):
            paths.append(f"{event} {arguments}")

    sys.addaudithook(note)
    yield paths
    is_on[0] = False


@pytest.mark.parametrize("make", [coco, table, label_studio, datumaro])
@pytest.mark.parametrize("name", NAMES)
def test_a_path_in_a_name_is_not_opened(tmp_path, opened, make, name):
    suffix, text = make([name.format(number) for number in range(3)])
    if make is not table and "\x1b" in name:
        assert "\x1b" not in text  # JSON escapes it
    path = tmp_path / f"labels{suffix}"
    path.write_text(text)
    opened.clear()
    labeled = read_boxes(path, LABEL_MAP, recording=SPAN, frame_period=50_000)
    assert labeled.boxes["t"].tolist() == [50_000, 100_000, 150_000]
    assert not [one for one in opened if "outside" in one]
    assert [one for one in opened if "labels" in one]
