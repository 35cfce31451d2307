"""A short run of the label files of `python tests/fuzz/run.py`."""

import pytest
from fuzz_loop import damage, draw_damage, fuzz
from hypothesis import HealthCheck, given, settings, strategies as st
from label_samples import LABEL_SAMPLES, exercise_labels


@pytest.mark.parametrize("name", LABEL_SAMPLES)
def test_undamaged_label_files_are_read(tmp_path, name):
    suffix, make, wrap, _ = LABEL_SAMPLES[name]
    for number, content in enumerate(make()):
        path = tmp_path / f"whole{number}{suffix}"
        path.write_bytes(wrap(content))
        assert exercise_labels(path) == "read"


@pytest.mark.parametrize("name", LABEL_SAMPLES)
@given(st.data(), st.randoms(use_true_random=False))
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_a_damaged_label_file_is_read_or_refused(tmp_path_factory, name, data, random):
    suffix, make, wrap, _ = LABEL_SAMPLES[name]
    content = damage(data.draw(st.sampled_from(make())), draw_damage(random))
    path = tmp_path_factory.mktemp("labels") / f"damaged{suffix}"
    path.write_bytes(wrap(content))
    assert exercise_labels(path) in ("read", "refused")


@pytest.mark.slow
@pytest.mark.parametrize("name", LABEL_SAMPLES)
def test_many_damaged_label_files_take_neither_long_nor_much_memory(name):
    suffix, make, wrap, _ = LABEL_SAMPLES[name]
    outcome = fuzz(make(), suffix, wrap=wrap, read=exercise_labels, count=800, seed=1)
    assert not outcome.failures, outcome.failures[0].reason
    assert outcome.answers["read"]
    assert outcome.answers["refused"]
