"""The legend of shapes is complete: no annotation uses a letter that it does not explain."""

import re
from pathlib import Path

from evdet import shapes

SOURCE = Path(shapes.__file__).parents[1]
SHAPE = re.compile(r"\b(?:Float|Int|UInt|Bool|Num|Shaped)[0-9]*\[[\w.]+, \"([^\"]*)\"\]")


def test_every_single_letter_of_a_shape_is_in_the_legend():
    legend = set(re.findall(r"``([A-Z ]+)``", shapes.__doc__))
    letters = {letter for entry in legend for letter in entry.split()}
    used = {
        letter
        for path in SOURCE.rglob("*.py")
        for shape in SHAPE.findall(path.read_text())
        for letter in shape.split()
        if re.fullmatch("[A-Z]", letter)
    }
    assert used - letters == set()
