import json

import pytest

from evdet.frame_spec import SelectionThresholds
from evdet.speed.measuring import measure_speed


def measure(detector, time_bins, thresholds, **options):
    few = {"num_tbins": 2, "warm_up": 1, "batches": (1, 2)}
    return measure_speed(detector, time_bins, thresholds, **{**few, **options})


def test_without_variants_nothing_is_compared(detector, time_bins, thresholds):
    report = measure(detector, time_bins, thresholds)

    assert report.variants == ()
    assert list(report.frames_per_second) == [1, 2]
    assert report.frame == (2, 32, 32)
    assert report.flops > 0
    assert report.memory.host > 0


def test_plain_pytorch_comes_first_and_only_once(detector, time_bins, thresholds):
    report = measure(detector, time_bins, thresholds, variants=("fold", "eager", "fold"))

    assert [variant.name for variant in report.variants] == ["eager", "fold"]
    assert report.variants[0].times.speedup == 1
    assert all(variant.seconds > 0 for variant in report.variants)


def test_a_variant_that_cannot_be_pulled_keeps_its_row(detector, time_bins, thresholds):
    report = measure(detector, time_bins, thresholds, variants=("half", "fold"))

    assert [variant.name for variant in report.variants] == ["eager", "half", "fold"]
    assert report.variants[1].times is None
    assert report.variants[1].problem == "half needs an accelerator"
    assert report.variants[2].times is not None


def test_what_was_measured_survives_json(detector, time_bins, thresholds):
    report = measure(detector, time_bins, thresholds, variants=("half", "fold"))
    read = json.loads(json.dumps(report.as_dict()))

    assert read["macs"] == report.flops / 2
    assert read["source"] == "noise"
    assert SelectionThresholds(**read["thresholds"]) == thresholds
    assert read["stages"]["stages"]["network"]["p50"] == report.stages.stages["network"].p50
    assert read["stages"]["window"]["p99"] == report.stages.window.p99
    assert set(read["frames_per_second"]) == {"1", "2"}
    assert set(read["memory"]) == {"host", "host_before", "accelerator"}
    eager, half, fold = read["variants"]
    assert eager["difference"] == {"boxes": 0, "scores": 0}
    assert half["difference"] is None
    assert fold["times"]["window"]["best"] > 0


def test_whoever_waits_is_told_what_happens(detector, time_bins, thresholds):
    told = []
    measure(detector, time_bins, thresholds, variants=("fold",), tell=told.append)
    assert told == ["stages", "batches", "eager", "fold", "variants, in turns"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_tbins": 0}, "windows must be at least 1, got 0"),
        ({"warm_up": -1}, "warm_up must be 0 or more, got -1"),
        ({"batches": (1, 0)}, "batches must be at least 1, got 0"),
        ({"variants": ("fast",)}, "unknown variant 'fast'"),
    ],
)
def test_values_out_of_range_are_named(detector, time_bins, thresholds, options, message):
    with pytest.raises(ValueError, match=message):
        measure(detector, time_bins, thresholds, **options)
