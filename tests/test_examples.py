import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_stays_short(path, tmp_path, monkeypatch, capsys):
    if "optuna" in path.read_text():
        pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [path.name])
    assert path.read_text().count("\n") <= 60
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
