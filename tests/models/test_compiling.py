import pytest

from evdet.models.compiling import compile_reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "RuntimeError"),
        ("out of luck.", "out of luck"),
        ("a long story\n  InductorError: no C++ compiler found.\nmore", "InductorError: no C++"),
    ],
)
def test_one_line_says_why_a_network_cannot_be_compiled(message, reason):
    said = compile_reason(RuntimeError(message))
    assert said.startswith(reason)
    assert "\n" not in said
    assert not said.endswith(".")
