from evdet.frame_spec import SelectionThresholds
from evdet.speed.comparison import VariantTimes
from evdet.speed.costs import PeakMemory
from evdet.speed.durations import Durations
from evdet.speed.measuring import SpeedReport, VariantReport
from evdet.speed.stages import StageTimes
from evdet.speed.tables import describe_speed
from evdet.speed.variants import Difference

TIMES = Durations(p50=1.25, p90=2.5, p99=5.0, best=1.0)


def report_of(**fields):
    known = {
        "source": "drive.dat", "delta_t": 50_000, "frame": (2, 240, 304), "device": "cpu",
        "threads": 1, "num_windows": 200, "warm_up": 20,
        "thresholds": SelectionThresholds(score_thresh=0.05, nms_thresh=0.6, max_boxes=500),
        "parameters": 794_078, "flops": 276_000_000,
        "stages": StageTimes(
            stages={"read": TIMES, "network": TIMES}, window=TIMES, events=1234.0,
            candidates=56.0, boxes=7.0,
        ),
        "frames_per_second": {}, "memory": PeakMemory(500_000_000, 400_000_000, None),
        "variants": (),
    }  # fmt: skip
    return SpeedReport(**{**known, **fields})


def test_what_was_not_measured_has_no_table():
    text = describe_speed(report_of())
    assert "variant" not in text
    assert "batch  " not in text
    assert "accelerator" not in text


def test_stages_stand_in_columns_with_their_protocol():
    lines = describe_speed(report_of()).splitlines()
    assert f"{'read':36}     1.25     2.50     5.00     1.00" in lines
    assert f"{'raw events to boxes':36}     1.25     2.50     5.00     1.00" in lines
    text = "\n".join(lines)
    assert "drive.dat, time bins of 50 ms" in text
    assert "0.276 GFLOP = 0.138 GMAC" in text
    assert "794,078 parameters" in text
    assert "1,234 events, 56 candidates of score 0.05 or more" in text
    assert "batch 1, memory from bin to bin, cpu, 1 thread, 200 time bins after 20 for" in text
    assert "process 500 MB, of which 400 MB before" in text


def test_more_lanes_and_an_accelerator_show():
    text = describe_speed(
        report_of(
            frames_per_second={1: 100.0, 16: 1600.4},
            memory=PeakMemory(500_000_000, 400_000_000, 3_000_000_000),
        )
    )
    assert "      16                         1,600" in text
    assert "on the accelerator 3,000 MB" in text


def test_variants_stand_side_by_side_and_a_missing_one_says_why():
    variants = (
        VariantReport(
            name="fold",
            times=VariantTimes(window=TIMES, speedup=2.5),
            difference=Difference(1e-5, 2e-7),
            seconds=0.25,
        ),
        VariantReport(name="graphs", problem="graphs needs an accelerator"),
    )
    lines = describe_speed(report_of(variants=variants)).splitlines()
    assert lines[-2].split() == [
        *("fold", "1.25", "2.50", "5.00", "1.00", "2.50x", "1e-05", "2e-07", "0.2", "s")
    ]
    assert lines[-1] == f"{'graphs':36} graphs needs an accelerator"
