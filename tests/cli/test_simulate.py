import pytest
import yaml

from evdet.cli.options import parse
from evdet.cli.simulate import SimulateOptions, simulate

TINY = ["--count", "3", "--minutes", "0.01", "--sensor-size", "44x36"]


def run(*words):
    simulate(parse(SimulateOptions, [str(word) for word in words], prog="evdet", summary=""))


def test_a_data_set_is_made_and_described(capsys, tmp_path):
    run(tmp_path / "set", *TINY)
    shown = capsys.readouterr().out
    assert "3 recordings of 0.2 s (train 1, val 1, test 1), 44x36 pixels" in shown
    names = sorted(path.name for path in (tmp_path / "set" / "val").iterdir())
    assert names == ["digits_val_0000_bbox.npy", "digits_val_0000_td.dat"]


def test_options_reach_the_sensor_and_the_scene(capsys, tmp_path):
    words = ["--threshold", "0.4", "--mismatch", "0", "--refractory", "100", "--leak-rate", "0",
             "--shot-noise", "0", "--max-objects", "1", "--texture", "0", "--frame-rate", "100",
             "--label-period", "25000", "--seed", "7", "--kind", "shapes", "--format", "raw",
             "--train", "2", "--val", "0", "--test", "1"]  # fmt: skip
    run(tmp_path / "set", *TINY, *words)
    made = yaml.safe_load((tmp_path / "set" / "simulation.yaml").read_text())
    assert made["sensor"] | {"dark_intensity": 0, "shot_noise_bright": 0} == {
        "threshold_on": 0.4, "threshold_off": 0.4, "mismatch": 0, "refractory_us": 100,
        "leak_rate_hz": 0, "shot_noise_hz": 0, "shot_noise_bright": 0, "dark_intensity": 0,
        "seed": 7,
    }  # fmt: skip
    assert made["scenes"] == {
        "kind": "shapes", "height": 36, "width": 44, "seconds": pytest.approx(0.2),
        "label_period": 25_000, "frame_rate": 100, "max_objects": 1, "texture": 0, "seed": 7,
    }  # fmt: skip
    assert (made["train"], made["val"], made["test"]) == (2, 0, 1)
    assert len(list((tmp_path / "set").rglob("*.raw"))) == 3


def test_ten_seconds_each_unless_told_otherwise(tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(
        "evdet.cli.simulate.write_simulated_folder",
        lambda out, plan, **_: plans.append(plan) or 0,
    )
    run(tmp_path / "set")
    run(tmp_path / "set", "--train", "30", "--minutes", "9")
    assert [(p.num_recordings, p.scenes.seconds) for p in plans] == [(20, 10), (36, 15)]


def test_shipped_recordings_come_with_a_warning(capsys, tmp_path):
    run(tmp_path / "set", *TINY, "--kind", "nmnist")
    assert "--digits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--count", "2"], "--count"),
        (["--minutes", "0"], "--minutes"),
        (["--threshold", "0"], "--threshold"),
        (["--sensor-size", "44x8"], "8"),
        (["--sensor-size", "8"], "--sensor-size"),
        (["--workers", "0"], "--workers"),
        (["--train", "-1"], "--train"),
        (["--digits", "somewhere"], "--kind nmnist"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, words, name):
    with pytest.raises(ValueError, match=name):
        run(tmp_path / "set", *TINY, *words)
    assert list(tmp_path.iterdir()) == []


def test_recordings_of_digits_that_are_not_there_are_named(tmp_path):
    with pytest.raises(RuntimeError, match="nowhere"):
        run(tmp_path / "set", *TINY, "--kind", "nmnist", "--digits", tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_was_stopped_is_continued_and_a_finished_one_is_said(capsys, tmp_path):
    words = [str(tmp_path / "set"), *TINY]
    run(*words)
    part = tmp_path / ".set.unfinished"
    (tmp_path / "set").rename(part)  # as a kill before the last recording leaves it
    removed = next(part.glob("test/*_bbox.npy"))
    removed.unlink()
    capsys.readouterr()
    run(*words)
    assert "recordings were there from an earlier command" in capsys.readouterr().out
    assert (tmp_path / "set" / "test" / removed.name).exists()
    run(*words)
    assert "made before with these settings, nothing to do" in capsys.readouterr().out
    with pytest.raises(ValueError, match="is not empty"):
        run(*words, "--seed", "9")
