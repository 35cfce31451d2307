import json
import os
import subprocess
import sys

import pytest

import evdet
from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.detectors import (
    CheckpointError,
    HubError,
    hub_name,
    shown_name,
    weights_config_to_json,
    weights_to_bytes,
)
from hub_server import COMMIT, hub_of

TINY = DetectionConfig(
    classes=("car", "bike"),
    height=32,
    width=48,
    feature_base=2,
    feature_channels_out=4,
    num_levels=2,
    head_channels=4,
)


@pytest.fixture(scope="module")
def files():
    return {
        "model.safetensors": weights_to_bytes(build_detector(TINY).state_dict()),
        "config.json": weights_config_to_json(TINY).encode(),
        "README.md": b"---\nlibrary_name: evdet\n---\n",
        "training.pt": b"not asked for",
    }


OPEN = """
import json, sys, warnings
warnings.simplefilter("error")
import evdet
for name in sys.argv[1:]:
    try:
        detector = evdet.load_detector(name)
        print(json.dumps({"classes": detector.frame_spec.class_names}))
    except ValueError as error:
        print(json.dumps({"error": str(error), "type": type(error).__name__}))
"""


def opened(address, cache, *names, **environment):
    """What a process says that opens names with a hub at an address."""
    settings = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", OPEN, *names],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_other_paths_are_no_names_on_the_hub():
    for path in ("", "runs/hf", "hf", "events-digits", "C:/hf/x", "./hf:/a"):
        assert hub_name(path) is None
        assert shown_name(path) == path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hf://org/name", "hf://org/name"),
        ("hf:/org/name", "hf://org/name"),  # as a Path has it
        ("hf://org/name.v2@v1.0", "hf://org/name.v2@v1.0"),
        ("hf://org/name@refs/pr/3", "hf://org/name@refs/pr/3"),
    ],
)
def test_names_are_read_as_they_are_typed(text, shown):
    assert str(hub_name(text)) == shown
    assert shown_name(text) == shown


@pytest.mark.parametrize(
    "text", ["hf://", "hf://name", "hf://a/b/c", "hf://org/name@", "hf://org/na me", "hf://@x/y"]
)
def test_a_name_that_is_none_says_how_to_write_it(text):
    with pytest.raises(HubError, match="hf://ORG/NAME"):
        hub_name(text)
    with pytest.raises(CheckpointError, match="hf://ORG/NAME"):
        evdet.load_detector(text)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"pip install 'evdet\[hub\]'"):
        evdet.load_detector("hf://org/digits")


@pytest.mark.slow
class TestWithAHub:
    @pytest.fixture(autouse=True)
    def library(self):
        pytest.importorskip("huggingface_hub")

    def test_weights_are_downloaded_once_and_then_come_from_the_cache(self, files, tmp_path):
        names = ["hf://org/digits", f"hf://org/digits@{COMMIT}"]
        with hub_of(files) as (address, requests):
            first = opened(address, tmp_path, *names)
            gotten = [path for method, path in requests if method == "GET" and "/resolve/" in path]
        assert first == [{"classes": ["car", "bike"]}] * 2
        assert sorted(path.rpartition("/")[2] for path in gotten) == [
            "README.md",
            "config.json",
            "model.safetensors",
        ]
        # The hub is gone.
        for settings in ({}, {"HF_HUB_OFFLINE": "1"}):
            assert opened(address, tmp_path, names[0], **settings) == first[:1]

    def test_what_the_hub_refuses_is_one_line(self, files, tmp_path):
        def said(name="hf://org/digits", **changes):
            with hub_of(**{"files": files, **changes}) as (address, _):
                (answer,) = opened(address, tmp_path, name)
            assert answer["type"] == "CheckpointError"
            assert "\n" not in answer["error"]
            assert answer["error"].startswith(name)
            return answer["error"]

        assert "does not exist, or is private" in said("hf://org/other")
        assert "no such branch, tag or commit" in said("hf://org/digits@v9")
        assert "is gated" in said(error=(403, "GatedRepo"))
        assert "cannot be downloaded" in said(error=(500, ""))
        assert "has no model.safetensors" in said(files={"README.md": b"", "config.json": b"{}"})
        foreign = {**files, "config.json": b'{"architectures": ["Detr"]}'}
        with hub_of(foreign) as (address, _):
            (answer,) = opened(address, tmp_path / "foreign", "hf://org/digits")
        assert "not a configuration of evdet" in answer["error"]

    def test_without_a_server_or_offline_it_is_said(self, tmp_path):
        nowhere = "http://127.0.0.1:9"
        for settings in ({}, {"HF_HUB_OFFLINE": "1"}):
            (answer,) = opened(nowhere, tmp_path, "hf://org/digits", **settings)
            assert "the cache has no copy" in answer["error"]
