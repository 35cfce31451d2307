"""Every attack of the drill is withstood."""

import pytest

from drill.kinds import ATTACKS
from drill.run import try_one


def test_each_attack_has_a_name_of_its_own():
    names = [(one.kind, one.name) for one in ATTACKS]
    assert names
    assert len(names) == len(set(names))


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: f"{one.kind}: {one.name}")
def test_is_withstood(attack):
    outcome, _ = try_one(attack)
    if outcome.startswith("skipped"):
        pytest.skip(outcome)
    assert outcome == "green"
