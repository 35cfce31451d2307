"""Damaged exports of annotation tools are read or refused, quickly and in one line."""

import pytest
from fuzz_loop import fuzz
from hypothesis import HealthCheck, given, settings, strategies as st
from test_fuzz_decoders import DAMAGE, damage
from tool_samples import TOOL_SAMPLES, exercise_tools


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz_tools")


@pytest.mark.parametrize("name", TOOL_SAMPLES)
def test_undamaged_exports_are_read(folder, name):
    suffix, make, *_ = TOOL_SAMPLES[name]
    for number, content in enumerate(make()):
        path = folder / f"whole{number}{suffix}"
        path.write_bytes(content)
        assert exercise_tools(path) == "read"


@pytest.mark.parametrize("name", TOOL_SAMPLES)
@given(st.data(), st.lists(DAMAGE, min_size=1, max_size=4))
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_a_damaged_export_is_read_or_refused(folder, name, data, kinds):
    suffix, make, *_ = TOOL_SAMPLES[name]
    path = folder / f"damaged{suffix}"
    path.write_bytes(damage(data.draw(st.sampled_from(make())), kinds))
    assert exercise_tools(path) in ("read", "refused")


@pytest.mark.parametrize("name", TOOL_SAMPLES)
def test_an_export_that_is_cut_is_refused_or_read(folder, name):
    suffix, make, *_ = TOOL_SAMPLES[name]
    for content in make():
        for length in range(0, len(content), max(1, len(content) // 60)):
            path = folder / f"cut{suffix}"
            path.write_bytes(content[:length])
            assert exercise_tools(path) in ("read", "refused")


@pytest.mark.slow
@pytest.mark.parametrize("name", TOOL_SAMPLES)
def test_many_damaged_exports_take_neither_long_nor_much_memory(name):
    suffix, make, *_ = TOOL_SAMPLES[name]
    outcome = fuzz(make(), suffix, count=800, seed=1, read=exercise_tools)
    assert not outcome.failures, outcome.failures[0].reason
    assert outcome.answers["read"]
    assert outcome.answers["refused"]
