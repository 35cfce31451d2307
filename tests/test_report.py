import dataclasses
import html.parser
import math
import re

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from evdet.config import DetectionConfig
from evdet.draw import write_video
from evdet.metrics import average_precision, confusion_matrix
from evdet.report import Picture, RunReport, describe_environment, read_scalars, write_report

NAMES = ["car", "<script>alert(1)</script>", "no truth"]
BOX = [10.0, 10.0, 50.0, 60.0]


def scored(detections):
    """Scores and confusion of one frame with two objects."""
    truths = [np.array([[*BOX, 1], [60, 60, 80, 80, 2]], np.float32)]
    return {
        "scores": average_precision(truths, detections, NAMES).as_dict(),
        "confusion": confusion_matrix(truths, detections, NAMES),
        "class_names": NAMES,
    }


def found(num_boxes):
    return [
        {
            "boxes": np.array([BOX] * num_boxes, np.float32).reshape(-1, 4),
            "labels": np.ones(num_boxes, np.int64),
            "scores": np.full(num_boxes, 0.9, np.float32),
        }
    ]


def noise(seed=0, size=384):
    return np.random.default_rng(seed).integers(0, 60, (size, size, 3), np.uint8)


def typical_run(tmp_path):
    write_video(tmp_path / "demo.mp4", (noise(seed, 64) for seed in range(20)), 10)
    steps = range(0, 5000, 5)
    return RunReport(
        title="Moving MNIST & more",
        summary="A detector.",
        **scored(found(1)),
        scalars={
            "train/loc_loss": [(step, 1 / (1 + step)) for step in steps],
            "train/cls_loss_epoch": [(0, 1.0)],
            "lr-Adam": [(step, 1e-3) for step in steps],
            "val/map": [(100, 0.2), (200, math.nan), (300, 0.4)],
        },
        num_frames=38_400,
        training_seconds=583.0,
        num_parameters=1_234_567,
        video_path=tmp_path / "demo.mp4",
        strip=[Picture(image=noise(1, 256), caption="t = 1 s")],
        failures=[Picture(image=noise(2, 256), caption="1 missed <b>")],
        config=dataclasses.asdict(DetectionConfig()),
        versions=describe_environment(),
        commands=["evdet train --config x.yaml"],
        notes=["no tracks: <none>"],
    )


def page_of(tmp_path, run):
    write_report(tmp_path / "report.html", run)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


class Outline(html.parser.HTMLParser):
    """Collects what a browser would load and what it would show."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.loaded, self.headings = [], [], []
        self.open = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.loaded += [
            value for name, value in attrs if name in ("src", "href", "srcset", "poster", "data")
        ]

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2" and data.strip():
            self.headings.append(data)


def test_an_empty_run_is_a_page_with_a_title(tmp_path):
    page = page_of(tmp_path, RunReport(title="Nothing yet"))

    assert "<h1>Nothing yet</h1>" in page
    assert Outline(page).headings == []


def test_a_typical_run_has_every_section(tmp_path):
    page = page_of(tmp_path, typical_run(tmp_path))

    assert Outline(page).headings == [
        "What it sees",
        "Accuracy",
        "Confusion",
        "Worst frames",
        "Training",
        "Reproduce",
    ]
    for text in ("9 min 43 s", "38,400", "1.23 M", "Moving MNIST &amp; more", "feature_base: 16"):
        assert text in page
    assert len(page) < 5_000_000


def test_the_page_loads_nothing_from_elsewhere(tmp_path):
    page = page_of(tmp_path, typical_run(tmp_path))

    assert all(value.startswith("data:") for value in Outline(page).loaded)
    assert not re.search(r"https?:|//cdn|@import|url\((?!#)", page)
    assert "script" not in Outline(page).tags


def test_strings_from_outside_are_escaped_everywhere(tmp_path):
    evil = "<script>alert(1)</script>"
    run = dataclasses.replace(
        typical_run(tmp_path),
        title=evil,
        summary=evil,
        scalars={f"{evil}loss": [(0, 1.0), (1, 2.0)]},
        strip=[Picture(image=noise(), caption=f'"{evil}')],
        config={evil: evil},
        versions={evil: evil},
        commands=[evil],
        notes=[evil],
    )
    page = page_of(tmp_path, run)

    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 10


def test_placeholder_colors_become_the_pages_own(tmp_path):
    page = page_of(tmp_path, typical_run(tmp_path))

    assert "#0101" not in page
    assert "var(--series-1)" in page
    assert "xmlns" not in page


@pytest.mark.parametrize("num_boxes", [0, 1])
def test_scores_without_truth_or_detections_have_a_dash(tmp_path, num_boxes):
    page = page_of(tmp_path, RunReport(title="x", **scored(found(num_boxes))))

    assert "<td>–</td>" in page
    assert "nan" not in page.lower()
    assert f"{num_boxes} detections against 2 objects" in page


def test_a_video_that_is_missing_or_too_large_becomes_a_note(tmp_path):
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(9_000_000))
    for path, note in ((tmp_path / "gone.mp4", "does not exist"), (large, "too large")):
        page = page_of(tmp_path, RunReport(title="x", video_path=path))

        assert "<video" not in page
        assert note in page


def test_a_confusion_matrix_must_fit_its_names(tmp_path):
    run = RunReport(title="x", confusion=np.zeros((3, 3), np.int64), class_names=NAMES)

    with pytest.raises(ValueError, match="3 classes must be 4 x 4"):
        write_report(tmp_path / "report.html", run)
    assert not list(tmp_path.iterdir())


def log(folder, values):
    with SummaryWriter(folder) as writer:
        for step, value in values:
            writer.add_scalar("loss", value, step)


def test_no_logs_are_no_curves(tmp_path):
    assert read_scalars(tmp_path / "missing") == {}


def test_after_a_resume_the_later_value_of_a_step_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_000_000_000)
    log(tmp_path / "first", [(0, 1.0), (10, 2.0), (20, 3.0)])
    monkeypatch.setattr("time.time", lambda: 1_000_000_100)
    log(tmp_path / "earlier in the alphabet", [(20, 30.0), (30, 40.0)])

    assert read_scalars(tmp_path) == {"loss": [(0, 1.0), (10, 2.0), (20, 30.0), (30, 40.0)]}


def test_the_environment_names_python_and_torch():
    described = describe_environment()

    assert {"python", "torch", "evdet", "processor"} <= described.keys()
