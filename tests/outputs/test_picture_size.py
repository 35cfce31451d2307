import pytest

from evdet.outputs import enlargement


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [(128, 128, 5), (240, 304, 2), (720, 1280, 1), (1280, 720, 1), (34, 34, 18), (1000, 10, 1)],
)
def test_small_sensors_are_enlarged_as_far_as_a_screen_has_room(height, width, factor):
    assert enlargement((height, width)) == factor


def test_a_part_of_a_screen_has_less_room():
    assert enlargement((128, 128), room=300) == 2
    assert enlargement((128, 128), room=100) == 1
