import json
from pathlib import Path

import pytest

from evdet import samples
from evdet.build import DETECTORS, FEATURE_EXTRACTORS
from evdet.cli import main


@pytest.fixture(scope="module")
def listed():
    """Everything, at the size for which RVT's arithmetic is published."""
    from contextlib import redirect_stdout
    from io import StringIO

    out = StringIO()
    with redirect_stdout(out):
        assert main(["models", "--sensor-size", "320x256", "--json"]) == 0
    content = json.loads(out.getvalue())
    return content, {model["name"]: model for model in content["models"]}


def test_every_detector_and_feature_extractor_is_listed(listed):
    _, models = listed
    assert {*DETECTORS} - {"SSD"} <= models.keys()
    assert {f"SSD {name}" for name in FEATURE_EXTRACTORS} <= models.keys()
    assert all(model["parameters"] > 0 and model["gmacs"] > 0 for model in models.values())


@pytest.mark.parametrize(
    ("name", "parameters", "gmacs"),
    [
        ("RVT-Tiny", 4_405_141, 1.39),
        ("RVT-Small", 9_870_165, 2.94),
        ("RVT-Base", 18_536_469, 5.26),
    ],
)
def test_rvt_is_as_large_as_published(listed, name, parameters, gmacs):
    model = listed[1][name]
    assert model["parameters"] == parameters
    assert model["gmacs"] == pytest.approx(gmacs, rel=0.01)


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("SSD Vanilla", {"perot2020-gen1": 40.0, "perot2020-1mpx": 43.0}),
        ("RVT-Tiny", {"rvt-gen1": 44.1}),
        ("RVT-Small", {"rvt-gen1": 46.5}),
        ("RVT-Base", {"rvt-gen1": 47.2, "rvt-1mpx": 47.4}),
        ("S5-ViT-Small", {"s5-gen1": 46.6, "s5-1mpx": 46.5}),
        ("S5-ViT-Base", {"s5-gen1": 47.7, "s5-1mpx": 47.8}),
    ],
)
def test_published_accuracy_has_a_source_and_a_protocol_and_is_not_ours(listed, name, scores):
    from evdet.metrics.protocols import PROTOCOLS

    content, models = listed
    published = models[name]["published"]
    assert {score["protocol"]: score["map"] for score in published["scores"]} == scores
    assert scores.keys() <= {*PROTOCOLS}
    assert published["url"].startswith("https://arxiv.org/abs/")
    assert "not ours" in content["published"]


def test_bundled_weights_carry_the_licence_of_their_data(listed):
    bundled = [entry for model in listed[1].values() for entry in model["bundled"]]
    assert {entry["name"] for entry in bundled} == set(samples.WEIGHTS)
    notice = (Path(samples.__file__).parent / "NOTICE").read_text()
    assert all(entry["licence"].split(":")[0] in notice for entry in bundled)


def test_the_table_says_where_a_network_does_not_fit(capsys):
    assert main(["models", "--sensor-size", "40x32", "--classes", "1"]) == 0

    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("SSD Vanilla "))
    assert row.split()[3] == "-"
    for part in (
        "40x32 (width x height)", "stride 128", "1 class\n", "47.2 Gen1, 47.4 1 Mpx",
        "evdet has not run", "MIT-licensed", "protocols  rvt-gen1, rvt-1mpx", "multiply-acc",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("option", "value"), [("--sensor-size", "0x9"), ("--in-channels", "0"), ("--classes", "0")]
)
def test_a_size_of_nothing_is_refused(option, value, capsys):
    assert main(["models", option, value]) == 2
    said = capsys.readouterr().err
    assert option in said
    assert said.count("\n") == 1
