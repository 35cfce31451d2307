"""YAML and JSON of anyone: within bounds, or one line that says why not."""

import time

import pytest
from hypothesis import given, strategies as st

from evdet.config import ConfigError, config_from_params, read_config
from evdet.structured_text import (
    MAX_YAML,
    as_declared,
    parse_json,
    parse_yaml,
    read_yaml,
    shorten_value,
)


def aliases(levels=30):
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_no_text_is_no_value():
    assert parse_yaml("") is None


def test_plain_yaml_is_read():
    assert parse_yaml("lr: 0.001\nclasses: [car, 3]\n") == {"lr": 0.001, "classes": ["car", 3]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (aliases(), "line 1 has an anchor"),
        ("a: &x 1\nb: *x", "anchor"),
        ("a: *x", "alias"),
        ("[" * 20_000, "nested"),
        ("{a: " * 20_000, "nested"),
        ("- " * 20_000, "nested"),
        ("a: " + "x" * MAX_YAML, "characters"),
        ("a: [1", "expected"),
    ],
)
def test_yaml_out_of_bounds_is_refused_at_once_in_one_line(text, message):
    began = time.monotonic()
    with pytest.raises(ValueError, match=message) as refused:
        parse_yaml(text)
    assert time.monotonic() - began < 20
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(ValueError, match="bytes"):
        read_yaml_of("/dev/zero")


def read_yaml_of(name):
    from pathlib import Path

    return read_yaml(Path(name))


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000])
def test_json_that_is_nested_too_deep_is_refused(text):
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json(text)


def nested(levels):
    value = ["x"]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [nested(60), {"a": nested(60)}, "x" * 10**7, 10**10_000, [["x"]] * 10**6, b"x" * 10**6],
    ids=["bomb", "dict", "text", "number", "list", "bytes"],
)
def test_what_a_message_shows_is_short(value):
    assert len(shorten_value(value)) < 700
    for name in ("lr", "classes", "root_dir", "compile", "batch_size", "act"):
        with pytest.raises(ConfigError) as refused:
            config_from_params({name: value, "loss": "softmax_focal_loss"})
        assert len(str(refused.value)) < 1000


def test_a_config_of_aliases_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(aliases())
    with pytest.raises(ConfigError, match=r"a\.yaml.*anchor"):
        read_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "fields",
    [{"feature_base": 10**9}, {"num_levels": 10**6}, {"height": 10**9}, {"head_layers": 10**7}],
)
def test_sizes_of_no_detector_are_refused(fields):
    with pytest.raises(ConfigError, match="at most"):
        config_from_params(fields)


@given(
    st.sampled_from([bool, int, float, str]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
)
def test_a_value_is_of_its_type_or_refused(wanted, value):
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if type(value) is int and abs(value) >= 1 << 63:
        fits = False
    if fits:
        assert type(as_declared("field", wanted, value)) is wanted
    else:
        with pytest.raises(ValueError, match="field must be of type"):
            as_declared("field", wanted, value)
