"""A file of a run that holds what it cannot hold is named in one line, and gives no page."""

import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator

from evdet.draw import encode_png
from evdet.report import read_run, write_comparison, write_report
from evdet.report.file_contents import check_content, schema_of
from report.altered_run import WRONG, altered, places_in, write_run

FILES = {
    "evaluation": lambda run: run.evaluation_file,
    "speed": lambda run: run.speed_file,
    "training": lambda run: run.training_file,
}


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


def make_pages(run):
    content = read_run(run)
    write_report(run.report, content)
    write_comparison(run.comparison, [content, content], ["a", "b"])


@pytest.mark.parametrize("kind", FILES)
def test_the_schemas_are_schemas(kind):
    Draft202012Validator.check_schema(schema_of(kind))


def test_a_run_as_evdet_writes_it_passes(run):
    make_pages(run)
    assert run.comparison.exists()


@pytest.mark.parametrize("kind", FILES)
def test_fields_of_a_later_version_are_allowed(run, kind):
    content = json.loads(FILES[kind](run).read_text())
    check_content(FILES[kind](run), {**content, "new": {"deep": [1]}}, kind)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("mAP",), "high", r"\$\.mAP: 'high' is not of type"),
        (("mAP",), 1.5, r"\$\.mAP: 1\.5 is greater"),
        (("per_class", "car", "num_truths"), -3, r"num_truths: -3 is less"),
        (("confusion",), [[1]], r"\$\.confusion: 2 rows of 2 counts belong to 1 classes"),
        (("curves", "by_size", "points"), "x" * 9999, r"points: 'x{70,} \.\.\. x"),
    ],
)
def test_the_field_is_named_and_its_value_is_cut(run, place, value, message):
    content = altered(json.loads(run.evaluation_file.read_text()), place, value)
    run.write_evaluation(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_run(run)
    assert str(caught.value).startswith(f"{run.evaluation_file} is damaged (")
    assert len(str(caught.value)) < 400


def test_pictures_outside_the_run_are_not_shown(run, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    secret.write_bytes(encode_png(np.full((4, 6, 3), 7, np.uint8)))
    (run.evaluation / "link.png").symlink_to(secret)
    for file in (f"../../{secret.parent.name}/secret.png", str(secret), "link.png"):
        content = json.loads(run.evaluation_file.read_text())
        content["pictures"] = {"best": [{"file": file, "caption": "a"}]}
        run.write_evaluation(content)
        report = read_run(run)
        assert report.best == []
        assert f"no picture: {file} is outside" in report.notes[-1]


def make_pages_or_refuse(run, kind, place, value):
    path = FILES[kind](run)
    original = path.read_text()
    path.write_text(json.dumps(altered(json.loads(original), place, value)))
    said = path.name
    try:
        make_pages(run)
    except ValueError as error:
        said = str(error)
    finally:
        path.write_text(original)
    assert path.name in said
    assert "\n" not in said


def alter_one_value(tmp_path_factory, data):
    run = write_run(tmp_path_factory.mktemp("run"))
    kind = data.draw(st.sampled_from(list(FILES)))
    places = list(places_in(json.loads(FILES[kind](run).read_text())))
    place = data.draw(st.sampled_from(places))
    make_pages_or_refuse(run, kind, place, data.draw(st.sampled_from([..., *WRONG])))


@given(st.data())
@settings(max_examples=4, derandomize=True)
def test_an_altered_value_never_ends_in_a_traceback(tmp_path_factory, data):
    alter_one_value(tmp_path_factory, data)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=200)
def test_many_altered_values_never_end_in_a_traceback(tmp_path_factory, data):
    alter_one_value(tmp_path_factory, data)
