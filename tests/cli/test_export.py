import sys

import numpy as np
import pytest

from evdet.cli import main
from evdet.detectors import load_onnx
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.dat.reader import write_dat
from evdet.export import Exported


@pytest.fixture
def drift():
    """What the written model adds to its memory."""
    return 0.0


@pytest.fixture
def out(tmp_path, monkeypatch, toy, make_toy, drift):
    """Where the command writes to; its checkpoint is a toy, and so is what it writes."""

    def write(detector, path, *, raw_heads, fixed_shape):
        make_toy(path, raw_heads=raw_heads, drift=drift)
        free = () if fixed_shape else ("batch", "height", "width")
        return Exported(path, path.stat().st_size, free)

    monkeypatch.setattr("evdet.cli.export.load_network", lambda path: toy)
    monkeypatch.setattr("evdet.cli.export.export_onnx", write)
    return tmp_path / "out.onnx"


def run(out, *more):
    return main(["export", "some.ckpt", str(out), *map(str, more)])


def test_what_is_the_same_gets_its_name(out, capsys):
    assert run(out) == 0

    said = capsys.readouterr().out
    assert "24  1 x 8x12" in said
    assert "3  2 x 20x32" in said
    assert "dynamic dimensions  batch, height, width" in said
    assert str(out) in said.splitlines()[-1]
    assert load_onnx(out).num_classes == 2
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("drift", [0.01])
def test_what_differs_does_not_get_its_name_and_says_where(out, capsys):
    out.write_bytes(b"of an earlier day")
    assert run(out, "--time-bins", 2) == 1

    said = capsys.readouterr().out
    assert "memory sum" in said
    assert "out.unchecked.onnx" in said
    assert out.read_bytes() == b"of an earlier day"
    assert out.with_name("out.unchecked.onnx").exists()


def test_raw_heads_of_one_shape_are_compared_once(out, capsys):
    assert run(out, "--raw-heads", "--fixed-shape") == 0

    said = capsys.readouterr().out
    assert "dynamic dimensions  none" in said
    assert "2 x " not in said
    assert load_onnx(out).raw_heads


def write_recording(path, num_bins):
    events = np.zeros(num_bins * 20, EVENT_DTYPE)
    rng = np.random.default_rng(0)
    events["t"] = np.arange(len(events)) * 500
    for name, end in (("x", 12), ("y", 8), ("p", 2)):
        events[name] = rng.integers(0, end, len(events))
    write_dat(path, [events] if num_bins else [], SensorSize(8, 12))
    return path


def test_a_source_of_the_users_is_played(out, tmp_path, capsys):
    recording = write_recording(tmp_path / "own_td.dat", 7)
    assert run(out, "--source", recording) == 0
    assert "7  1 x 8x12" in capsys.readouterr().out


def test_a_source_without_windows_is_named(out, tmp_path, capsys):
    recording = write_recording(tmp_path / "own_td.dat", 0)
    assert run(out, "--source", recording) == 2
    assert "own_td.dat" in capsys.readouterr().err


def test_a_source_of_another_kind_is_named(out, tmp_path, capsys):
    assert run(out, "--source", tmp_path / "a.mp4") == 2
    assert "a.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "more", "name"),
    [
        ("out.pt", (), ".onnx"),
        ("nowhere/out.onnx", (), "nowhere"),
        ("out.onnx", ("--time-bins", 0), "--time-bins"),
    ],
)
def test_wrong_values_are_one_line(out, capsys, file, more, name):
    assert run(out.parent / file, *more) == 2
    said = capsys.readouterr().err
    assert name in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_library_is_named_with_its_remedy(out, capsys, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    assert run(out) == 2

    said = capsys.readouterr().err
    assert library in said
    assert "pip install 'evdet[onnx]'" in said
    assert said.count("\n") == 1
