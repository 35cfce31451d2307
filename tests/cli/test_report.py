import pytest

from evdet.cli import main
from evdet.config import DetectionConfig, write_config
from evdet.runs import RunFolder, TrainingRecord


@pytest.fixture
def make_run(tmp_path):
    def make(*parts):
        folder = tmp_path.joinpath(*parts)
        folder.mkdir(parents=True)
        write_config(DetectionConfig(), folder / "config.yaml")
        RunFolder(folder).write_training(
            TrainingRecord(num_frames=80, seconds=1.0, frames_per_second=80.0, environment={})
        )
        return folder

    return make


def test_a_run_without_training_and_scores_has_nothing_to_report(make_run, capsys):
    run = make_run("first")
    RunFolder(run).training_file.unlink()

    assert main(["report", str(run)]) == 2
    assert "has nothing to report yet" in capsys.readouterr().err
    assert not (run / "report.html").exists()


def test_one_run_has_a_report_in_its_folder(make_run, capsys):
    run = make_run("first")

    assert main(["report", str(run)]) == 0
    assert "<h1>first</h1>" in (run / "report.html").read_text()
    assert str(run / "report.html") in capsys.readouterr().out


def test_several_runs_are_compared_in_the_folder_of_the_first(make_run, capsys):
    first, second, third = make_run("first"), make_run("second"), make_run("third")

    assert main(["report", str(first), str(second), str(third)]) == 0
    page = (first / "comparison.html").read_text()
    assert "<h1>3 runs side by side</h1>\n<p>first, second, third</p>" in page
    assert str(first / "comparison.html") in capsys.readouterr().out
    assert not (first / "report.html").exists()


def test_runs_of_one_name_are_told_apart_by_their_folders(make_run, tmp_path):
    runs = [make_run("monday", "run"), make_run("tuesday", "run")]
    page = tmp_path / "page.html"

    assert main(["report", *map(str, runs), "--output", str(page)]) == 0
    assert "<h1>monday/run against tuesday/run</h1>" in page.read_text()


def test_a_run_named_twice_is_refused(make_run, capsys):
    run = make_run("first")

    assert main(["report", str(run), f"{run}/../first"]) == 2
    assert f"{run}/../first" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_named(make_run, tmp_path, capsys):
    assert main(["report", str(make_run("first")), str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_no_run_at_all_is_refused(capsys):
    assert main(["report"]) == 2
    assert "evdet report" in capsys.readouterr().err
