import json
from pathlib import Path

import pytest

from evdet.labels.annotation_tools import class_names_of_tool
from evdet.labels.source import LabelSource


def names_in(path: Path, text: str):
    path.write_text(text)
    return class_names_of_tool(LabelSource(path, {}))


def test_cvat_names_the_labels_of_its_task_and_of_its_boxes(tmp_path):
    text = (
        "<annotations><meta><task><name>drive</name><labels><label><name>person</name></label>"
        "<label><name>car</name></label></labels></task></meta>"
        '<image id="0" name="a.png"><box label="bus"/></image></annotations>'
    )
    assert names_in(tmp_path / "a.xml", text) == {0: "bus", 1: "car", 2: "person"}


def test_label_studio_names_the_labels_of_its_regions(tmp_path):
    results = [{"value": {"labels": ["van"]}}, {"value": {"rectanglelabels": ["car"]}}]
    task = {"data": {"video": "a.mp4"}, "annotations": [{"result": results}]}
    assert names_in(tmp_path / "a.json", json.dumps([task])) == {0: "car", 1: "van"}


def test_datumaro_numbers_its_labels(tmp_path):
    label = {"labels": [{"name": "van"}, {"name": "car"}]}
    text = json.dumps({"categories": {"label": label}, "items": []})
    assert names_in(tmp_path / "a.json", text) == {0: "van", 1: "car"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xml", "<annotation><object><name>car</name></object></annotation>"),
        ("a.json", '{"images": [], "categories": [{"name": "car"}], "annotations": []}'),
        ("a.csv", "t,x,y,w,h,class\n1,2,3,4,5,car\n"),
        ("a.xml", "<annotations/>"),
    ],
)
def test_other_files_and_empty_ones_name_none(tmp_path, name, text):
    assert names_in(tmp_path / name, text) is None
