import dataclasses
import html.parser
import json
import math
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from evdet.boxes import BOX_DTYPE
from evdet.config import ConfigError, DetectionConfig, write_config
from evdet.draw import write_video
from evdet.metrics import ScoredRecording, average_precision, confusion_matrix
from evdet.metrics.curves import performance_curves
from evdet.report import (
    Picture,
    RunReport,
    describe_environment,
    read_run,
    read_scalars,
    write_comparison,
    write_report,
)
from evdet.runs import RunFolder

NAMES = ["car", "<script>alert(1)</script>", "no truth"]
ROOT = Path(__file__).parents[2]
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
        score_thresh=0.05,
        config=dataclasses.asdict(DetectionConfig()),
        versions=describe_environment(),
        commands=["evdet train --config x.yaml"],
        notes=["no tracks: <none>"],
    )


def curves_of(num_found, *, fields=(("still_us", "<i8"), ("num_events", "<i8"))):
    """Curves of an object that moves for two windows and then rests for two."""
    truth = np.zeros(4, [*BOX_DTYPE.descr, *fields])
    truth["t"], truth["class_id"], truth["track_id"] = np.arange(1, 5) * 50_000, 1, 3
    truth["w"] = truth["h"] = truth["class_confidence"] = 20
    for name, _ in fields:
        truth[name] = [0, 0, 50_000, 100_001]
    recording = ScoredRecording("drive", truth, truth["t"].copy(), truth[:num_found])
    curves = performance_curves([recording], NAMES, size=(64, 64), delta_t=50_000)
    return json.loads(json.dumps(curves.as_dict(), allow_nan=False))


def data_of(objects, *, split="test", rates=(900.0, 2e6), num_recordings=2):
    """Statistics of one split, as an evaluation keeps them."""
    one = {
        "num_recordings": num_recordings,
        "num_read": num_recordings,
        "num_frames": 7,
        "objects": objects,
        "rates": list(rates),
        "sides": [[16.0, 3], [64.0, 1]],
    }
    return {"splits": {split: one}, "note": ""}


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


@pytest.fixture(scope="module")
def typical_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("typical")
    return page_of(folder, typical_run(folder))


def test_a_typical_run_has_every_section(typical_page):
    page = typical_page

    assert Outline(page).headings == [
        "Detections",
        "Worst frames",
        "Accuracy",
        "Confusion",
        "Training",
        "Reproduce",
    ]
    for text in ("9 min 43 s", "38,400", "1.23 M", "Moving MNIST &amp; more", "feature_base: 16"):
        assert text in page
    assert len(page) < 5_000_000


def test_the_page_loads_nothing_from_elsewhere(typical_page):
    page = typical_page

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
        strip=[Picture(image=noise(), caption=f'"{evil}', heading=evil)],
        best=[Picture(image=noise(), caption=evil, heading=f'">{evil}')],
        data=data_of({evil: 3}, split=evil),
        date=evil,
        config={evil: evil},
        versions={evil: evil},
        commands=[evil],
        notes=[evil],
    )
    page = page_of(tmp_path, run)

    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 10
    assert not {"script", "img"} & set(Outline(page.replace("<img alt", "<p alt")).tags)


def test_placeholder_colors_become_the_pages_own(typical_page):
    page = typical_page

    assert "#0101" not in page
    assert "var(--series-1)" in page
    assert "xmlns" not in page


@pytest.mark.parametrize("num_boxes", [0, 1])
def test_scores_without_truth_or_detections_have_a_dash(tmp_path, num_boxes):
    page = page_of(tmp_path, RunReport(title="x", **scored(found(num_boxes))))

    assert "<td>–</td>" in page
    assert "nan" not in page.lower()
    noun = "detection" if num_boxes == 1 else "detections"
    assert f"2 objects in 1 frame; {num_boxes} {noun} at score 0.5 (found)" in page


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


def test_curves_are_numbers_plots_and_tables(tmp_path):
    page = page_of(tmp_path, RunReport(title="x", curves=curves_of(num_found=2)))

    assert Outline(page).headings == ["Accuracy by group and latency"]
    assert "<b>1.000</b> moving → <b>0.000</b> 0.1–0.2 s" in page
    assert "<b>0 s</b> median, <b>0 s</b> for 90 %, <b>0.0%</b> never" in page
    for title in (
        "stillness",
        "object size",
        "events in the box",
        "latency",
    ):
        assert f"<h3>AP by {title}" in page
        assert f'aria-label="AP by {title}' in page
    assert Outline(page).tags.count("details") == 5
    assert "nan" not in page.lower()


def test_a_detector_that_finds_nothing_has_curves_without_a_first_detection(tmp_path):
    page = page_of(tmp_path, RunReport(title="x", curves=curves_of(num_found=0)))

    assert "<b>–</b> median, <b>–</b> for 90 %, <b>100.0%</b> never" in page


def test_a_curve_that_cannot_be_had_says_why(tmp_path):
    curves = curves_of(num_found=2, fields=())
    curves["reasons"]["by_stillness"] += " <b>"
    page = page_of(tmp_path, RunReport(title="x", curves=curves))

    assert "(field still_us) &lt;b&gt;" in page
    assert "field num_events" in page
    assert 'aria-label="AP by stillness' not in page
    assert 'aria-label="AP by object size' in page


def compare(tmp_path, *runs, names=("first", "second")):
    write_comparison(tmp_path / "comparison.html", runs, names[: len(runs)])
    return (tmp_path / "comparison.html").read_text(encoding="utf-8")


def test_two_runs_stand_side_by_side(tmp_path):
    scalars = {"train_loss": [(0, 2.0), (9, 1.0)], "val_map": [(9, 0.3)], "lr": [(0, 1.0)]}
    first = dataclasses.replace(
        typical_run(tmp_path), curves=curves_of(num_found=2), scalars=scalars
    )
    config = dataclasses.asdict(DetectionConfig(lr=0.5, root_dir="elsewhere"))
    second = dataclasses.replace(
        first, **scored(found(0)), curves=curves_of(num_found=4), config=config, num_parameters=7
    )
    page = compare(tmp_path, first, second)

    assert "<title>first against second</title>" in page
    assert Outline(page).headings == [
        "Overview",
        "Detections",
        "Worst frames",
        "Accuracy by class",
        "Accuracy by group and latency",
        "Training",
        "Differences",
    ]
    assert Outline(page).tags.count("video") == 2
    # The better score in bold, and how far the second is from the first.
    assert "<td><b>0.500</b></td><td>0.000</td><td>−0.500</td>" in page
    assert "<td>1.23 M</td><td>7</td>" in page
    # Of the fields those that differ, save for where the run lies.
    assert '<th scope="row">lr</th><td>0.001</td><td>0.5</td>' in page
    assert "root_dir" not in page
    assert "feature_base" not in page
    # Both memory curves: the second run found the object while it rested.
    assert "<b>1.000</b> → <b>0.000</b>" in page
    assert "<b>1.000</b> → <b>1.000</b>" in page
    assert "may not be comparable" not in page


def test_runs_that_were_never_evaluated_can_be_compared(tmp_path):
    page = compare(tmp_path, RunReport(title="a"), RunReport(title="b"))

    assert "<h1>first against second</h1>" in page
    assert Outline(page).headings == ["Overview"]


def test_scores_of_files_in_a_runs_folder_are_shown_as_what_they_are(tmp_path):
    write_config(DetectionConfig(), tmp_path / "config.yaml")
    (tmp_path / "evaluation").mkdir()
    numbers = {**scored(found(1))["scores"], "detections": "d.npy", "boxes": "b.npy"}
    (tmp_path / "evaluation" / "evaluation.json").write_text(json.dumps(numbers))

    summary = read_run(RunFolder(tmp_path)).summary

    assert all(value in summary for value in ("d.npy", "b.npy", "1 frame;"))


def test_an_older_run_has_a_place_and_is_told_to_be_evaluated_again(tmp_path):
    older = RunReport(title="x", **scored(found(1)))
    page = compare(tmp_path, older, dataclasses.replace(older, curves=curves_of(num_found=2)))

    assert page.count("none: evaluate again") == 5
    assert 'aria-label="AP by stillness' in page


def test_runs_whose_numbers_do_not_mean_the_same_are_told_apart(tmp_path):
    config = dataclasses.asdict(DetectionConfig())
    first = RunReport(title="x", **scored(found(1)), config=config)
    scores = {**first.scores, "protocol": "perot2020-gen1", "num_frames": 5}
    config = {**first.config, "dataset_path": "drives"}
    page = compare(tmp_path, first, dataclasses.replace(first, scores=scores, config=config))

    for what in (
        "different protocols and may not be comparable (first: coco; second: perot2020-gen1)",
        "different test frames and may not be comparable (first: 2 objects in 1 frames",
        "different data sets and may not be comparable (first: toy_problem; second: drives)",
    ):
        assert what in page


def test_a_comparison_loads_nothing_and_escapes_what_it_was_given(tmp_path):
    evil = "<script>alert(1)</script>"
    curves = curves_of(num_found=2)
    curves["by_size"]["points"][0]["label"] = evil
    run = RunReport(
        title="x",
        **scored(found(1)),
        curves=curves,
        config={evil: evil},
        versions={evil: evil},
        notes=[evil],
        failures=[Picture(image=noise(), caption=evil)],
    )
    other = dataclasses.replace(run, config={evil: 1}, versions={}, scores=None)
    page = compare(tmp_path, run, other, names=(evil, "other"))

    assert "<script" not in page
    assert all(value.startswith("data:") for value in Outline(page).loaded)


def test_the_largest_comparison_has_a_colour_for_each_run(tmp_path):
    runs = [RunReport(title="x", **scored(found(1)), curves=curves_of(num_found=2))] * 6
    page = compare(tmp_path, *runs, names=[f"run {number}" for number in range(6)])

    assert "var(--series-6)" in page
    assert "#0101" not in page


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "2 to 6 runs, got 1"),
        (list("abcdefg"), "2 to 6 runs, got 7"),
        (["a", "a"], r"\['a', 'a'\]"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        write_comparison(tmp_path / "x.html", [RunReport(title="x")] * len(names), names)


def test_a_folder_without_a_configuration_is_no_run(tmp_path):
    with pytest.raises(ConfigError, match=r"is not a run: it has no config\.yaml"):
        read_run(RunFolder(tmp_path))


def test_a_run_says_what_is_missing_and_how_to_get_it(tmp_path):
    write_config(DetectionConfig(), tmp_path / "config.yaml")
    (note,) = read_run(RunFolder(tmp_path)).notes
    assert note == f"not evaluated yet: evdet evaluate {tmp_path}"

    (tmp_path / "evaluation").mkdir()
    numbers = {**scored(found(1))["scores"], "test_frames": 1}
    (tmp_path / "evaluation" / "evaluation.json").write_text(json.dumps(numbers))
    (note,) = read_run(RunFolder(tmp_path)).notes
    assert f"evdet evaluate {tmp_path}" in note

    numbers["curves"] = curves_of(num_found=2)
    (tmp_path / "evaluation" / "evaluation.json").write_text(json.dumps(numbers))
    run = read_run(RunFolder(tmp_path))
    assert list(run.notes) == []
    assert run.curves == numbers["curves"]


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


def test_best_and_typical_frames_come_before_failures(tmp_path):
    kinds = {
        kind: [Picture(image=noise(), caption=f"of {kind}", heading=kind)]
        for kind in ("failures", "typical", "best")
    }
    page = page_of(tmp_path, RunReport(title="x", **kinds))

    assert Outline(page).headings == ["Best, typical and worst frames"]
    places = [page.index(f"<b>{kind}</b> of {kind}") for kind in ("best", "typical", "failures")]
    assert places == sorted(places)


@pytest.mark.parametrize(("number", "columns"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 3)])
def test_a_grid_has_as_many_columns_as_leave_no_hole(tmp_path, number, columns):
    shown = [Picture(image=noise(), caption="x")] * number
    page = page_of(tmp_path, RunReport(title="x", failures=shown))

    assert f'<div class="pictures" style="--columns:{columns}">' in page
    assert Outline(page).tags.count("img") == number


def test_the_data_set_has_a_table_and_plots(tmp_path):
    page = page_of(tmp_path, RunReport(title="x", data=data_of({"car": 1200, "bus": 0})))

    assert Outline(page).headings == ["Data set"]
    assert "<span>1,200</span>" in page
    assert 'aria-label="Event rate of each recording"' in page
    assert 'aria-label="Box sizes"' in page
    assert "test: 2 recordings." in page


def test_frames_made_on_the_fly_have_no_event_rates(tmp_path):
    data = data_of({"car": 1}, rates=(), num_recordings=0)
    page = page_of(tmp_path, RunReport(title="x", data=data))

    assert "Event rate" not in page
    assert "test: 7 frames." in page


def test_a_data_set_without_objects_and_events_is_no_section(tmp_path):
    data = data_of({}, rates=())
    data["splits"]["test"]["sides"] = []

    assert Outline(page_of(tmp_path, RunReport(title="x", data=data))).headings == []


def test_many_classes_are_tabulated_side_by_side(tmp_path):
    names = [f"class {index}" for index in range(80)]
    truths = [np.array([[*BOX, index + 1] for index in range(80)], np.float32)]
    scores = average_precision(truths, found(1), names).as_dict()
    data = data_of(dict.fromkeys(names, 2))
    page = page_of(tmp_path, RunReport(title="x", scores=scores, data=data))

    # Two halves of the classes and one of the sizes; two of the objects.
    assert Outline(page).tags.count("table") == 5


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({(0, 1): 1}, "car: 1 false alarm"),
        ({(1, 0): 2}, "car: 2 of 2 missed"),
        ({(1, 2): 1, (1, 1): 3}, "car: 1 of 4 taken for bus"),
        ({(1, 1): 3}, "No errors"),
    ],
)
def test_the_most_frequent_errors_are_told(tmp_path, wrong, sentence):
    counts = np.zeros((3, 3), np.int64)
    for index, number in wrong.items():
        counts[index] = number
    run = RunReport(title="x", confusion=counts, class_names=["car", "bus"])

    assert f">{sentence}<" in page_of(tmp_path, run)


def test_a_detector_without_likely_detections_is_told_so(tmp_path):
    weak = [{**found(1)[0], "scores": np.full(1, 0.3, np.float32)}]
    run = RunReport(title="x", **scored(weak), score_thresh=0.05)
    page = page_of(tmp_path, run)

    assert "0 detections at score 0.5 (found), 1 detection at score 0.05." in page
    assert "No detection reaches a score of 0.5" in page


def test_a_single_logged_value_is_visible(tmp_path):
    scalars = {"train_loss": [(9, 2.0)], "lr": [(9, 1e-3)], "val_map": [(9, 0.1)]}
    page = page_of(tmp_path, RunReport(title="x", scalars=scalars))

    assert Outline(page).tags.count("svg") == 3
    assert page.count("<use") >= 3  # a marker each


def evaluation_in(folder, **fields):
    """A folder with an evaluation of one class, as `evdet evaluate` writes it."""
    scores = average_precision([np.array([[*BOX, 1]], np.float32)], found(1), ["car"]).as_dict()
    numbers = {
        "evaluated": "2026-01-02 03:04 UTC",
        "checkpoint": "events-digits",
        "dataset": "drives",
        "split": "val",
        "test_frames": 1,
        "confusion": [[0, 0], [0, 1]],
        "curves": None,
        **scores,
        **fields,
    }
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "evaluation.json").write_text(json.dumps(numbers))
    return RunFolder(folder)


def test_an_evaluation_without_a_run_has_a_report(tmp_path):
    (tmp_path / "out of 'here'").mkdir()
    run = read_run(evaluation_in(tmp_path / "out of 'here'"))

    assert run.summary == "1 class, scored on 1 frame of the val recordings of drives."
    assert run.date == "Evaluated 2026-01-02 03:04 UTC"
    folder = shlex.quote(str(tmp_path / "out of 'here'"))
    assert list(run.commands) == [
        f"evdet evaluate events-digits --dataset-path drives --output-dir {folder}",
        f"evdet report {folder}",
    ]
    assert "Evaluated 2026-01-02 03:04 UTC" in page_of(tmp_path, run)


def test_scores_of_files_without_a_run_have_a_report(tmp_path):
    folder = evaluation_in(tmp_path, detections="d 1.npy", boxes="b.npy")
    numbers = json.loads(folder.evaluation_file.read_text())
    for name in ("checkpoint", "dataset", "split", "test_frames", "confusion"):
        del numbers[name]
    folder.evaluation_file.write_text(json.dumps(numbers))
    run = read_run(folder)

    assert run.summary == "Scores of d 1.npy against b.npy, on 1 frame."
    command = "evdet score --detections 'd 1.npy' --boxes b.npy --output-dir"
    assert run.commands[0].startswith(command)
    assert Outline(page_of(tmp_path, run)).headings == ["Accuracy", "Reproduce"]


def test_an_evaluation_of_other_classes_than_the_training_has_a_report(tmp_path):
    write_config(DetectionConfig(), tmp_path / "config.yaml")
    run = read_run(evaluation_in(tmp_path))

    assert run.class_names == ("car",)
    assert "Confusion" in Outline(page_of(tmp_path, run)).headings


def test_pictures_that_are_gone_or_damaged_are_named(tmp_path):
    entries = [{"file": "best-00.png", "caption": "x"}, {"file": "best-01.png", "caption": "x"}]
    folder = evaluation_in(tmp_path, pictures={"best": entries})
    (folder.evaluation / "best-01.png").write_bytes(b"no picture")
    notes = read_run(folder).notes

    assert [note.split(" is ")[0].rpartition("/")[2] for note in notes] == [
        "best-00.png",
        "best-01.png",
    ]


def test_recordings_that_could_not_be_read_are_named(tmp_path):
    (note,) = read_run(evaluation_in(tmp_path, broken={"drive <1>": "cut"})).notes
    assert note.startswith("1 recording truncated, corrupt or not readable")
    assert note.endswith("drive <1>")


def test_a_file_that_is_no_evaluation_is_refused(tmp_path):
    folder = evaluation_in(tmp_path)
    folder.evaluation_file.write_text('{"mAP": 0.5}')

    with pytest.raises(ValueError, match=r"is not a file of evdet evaluate: it has no mAP50, "):
        read_run(folder)


def test_a_training_that_has_not_ended_is_told_so(tmp_path):
    write_config(DetectionConfig(), tmp_path / "config.yaml")
    log(tmp_path / "logs", [(0, 1.0)])
    (note,) = read_run(RunFolder(tmp_path)).notes
    assert note == "the training has not ended and has no checkpoint yet: nothing to evaluate"

    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    first, second = read_run(RunFolder(tmp_path)).notes
    assert f"evdet train --resume --root-dir {tmp_path} continues it" in first
    assert second == f"not evaluated yet: evdet evaluate {tmp_path}"


def test_the_templates_are_in_the_package():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "report/templates/*" in patterns["package-data"]["evdet"]


def test_a_run_without_an_evaluation_does_not_spoil_a_comparison(tmp_path):
    config = dataclasses.asdict(DetectionConfig())
    trained = RunReport(title="a", config=config, **scored(found(1)))
    page = compare(tmp_path, trained, RunReport(title="b"))

    assert "may not be comparable" not in page
    assert "None" not in page
    assert "feature_base" not in page


def test_classes_that_do_not_occur_are_no_rows_of_the_confusion(tmp_path):
    counts = np.zeros((4, 4), np.int64)
    counts[2, 0] = 5
    run = RunReport(title="x", confusion=counts, class_names=["car", "bus", "dog"])
    page = page_of(tmp_path, run)

    assert Outline(page).tags.count("tr") == 3
    assert "2 classes without objects and detections left out." in page


def test_a_confusion_of_nothing_is_no_section(tmp_path):
    run = RunReport(title="x", confusion=np.zeros((2, 2), np.int64), class_names=["car"])
    assert Outline(page_of(tmp_path, run)).headings == []
