import json

import pytest

from evdet.config import DetectionConfig
from evdet.frame_spec import SelectionThresholds
from evdet.report import RunReport, read_run, write_comparison, write_report
from evdet.runs import RunFolder
from evdet.speed import SpeedReport
from evdet.speed.comparison import VariantTimes
from evdet.speed.costs import PeakMemory
from evdet.speed.durations import Durations
from evdet.speed.measuring import VariantReport
from evdet.speed.stages import StageTimes


def durations(p50):
    return Durations(p50=p50, p90=p50 + 1, p99=p50 + 2, best=p50 / 2)


def speed_of(window, *, variants=(), **fields):
    """What `evdet bench` writes, read again."""
    report = SpeedReport(
        source="drive <of mine>",
        delta_t=50_000,
        frame=(2, 32, 48),
        device="cpu",
        threads=2,
        num_windows=10,
        warm_up=1,
        thresholds=SelectionThresholds(),
        parameters=7,
        flops=2_468_000_000,
        stages=StageTimes(
            stages={"read": durations(0.25), "network": durations(window - 1)},
            window=durations(window),
            events=1234.0,
            candidates=3.0,
            boxes=2.0,
        ),
        frames_per_second={1: 10.0},
        memory=PeakMemory(2, 1, None),
        variants=variants,
    )
    content = {"environment": {"processor": "a CPU"}, **report.as_dict(), **fields}
    return json.loads(json.dumps(content))


def page_of(tmp_path, run):
    write_report(tmp_path / "report.html", run)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def compare(tmp_path, *runs):
    write_comparison(tmp_path / "comparison.html", runs, ("first", "second"))
    return (tmp_path / "comparison.html").read_text(encoding="utf-8")


def test_a_run_that_was_never_measured_has_no_speed(tmp_path):
    page = page_of(tmp_path, RunReport(title="a"))
    assert "Speed" not in page
    assert "time per bin" not in page


def test_the_time_of_a_window_is_told_by_stage_and_variant(tmp_path):
    variants = (
        VariantReport(name="fold", times=VariantTimes(window=durations(4.0), speedup=1.5)),
        VariantReport(name="half", problem="half needs an accelerator"),
    )
    page = page_of(tmp_path, RunReport(title="a", speed=speed_of(6.0, variants=variants)))

    assert "<dt>time per bin</dt><dd>6 ms</dd>" in page
    assert "a CPU, 2 threads" in page
    assert "drive &lt;of mine&gt;, 1,234 events and 1.23 GMACs per time bin." in page
    assert "<td>0.25</td><td>1.25</td><td>2.25</td>" in page
    assert "<td>4.00</td><td>1.50</td>" in page
    assert '<td colspan="2">half needs an accelerator</td>' in page


def test_two_runs_are_compared_by_speed(tmp_path):
    page = compare(
        tmp_path,
        RunReport(title="a", speed=speed_of(6.0)),
        RunReport(title="b", speed=speed_of(12.0)),
    )
    assert "<td>6 ms</td><td>12 ms</td><td>× 2.00</td>" in page
    assert "may not be comparable" not in page


@pytest.mark.parametrize("other", [{"threads": 1}, {"device": "cuda"}, {"source": "elsewhere"}])
def test_speeds_that_were_measured_differently_are_told_apart(tmp_path, other):
    first, second = (RunReport(title="a", speed=speed_of(6.0, **fields)) for fields in ({}, other))
    assert "different speed measurements and may not be comparable" in compare(
        tmp_path, first, second
    )


def test_one_run_without_a_speed_leaves_a_dash(tmp_path):
    page = compare(
        tmp_path, RunReport(title="a", speed=speed_of(6.0)), RunReport(title="b", num_parameters=7)
    )
    assert "<td>6 ms</td><td>–</td>" in page


def test_a_run_is_read_with_the_speed_in_its_folder(tmp_path):
    run = RunFolder(tmp_path)
    run.write_config(DetectionConfig())
    assert read_run(run).speed is None

    run.speed_file.write_text(json.dumps(speed_of(6.0)))
    assert read_run(run).speed == speed_of(6.0)

    for other in ("{}", '{"stages": 1}'):
        run.speed_file.write_text(other)
        with pytest.raises(ValueError, match=r"speed\.json is not a file of evdet bench"):
            read_run(run)

    for other in ("{", "[1]"):
        run.speed_file.write_text(other)
        with pytest.raises(ValueError, match=r"speed\.json is damaged"):
            read_run(run)
