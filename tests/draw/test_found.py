import numpy as np

from evdet.boxes import BOX_DTYPE
from evdet.draw import found_html, found_line
from evdet.events import EVENT_DTYPE

NOTHING = np.zeros(0, BOX_DTYPE)
BOXES = np.array([(5, 2, 3, 10, 8, 4, 7, 0.9), (5, 0, 0, 4, 4, 1, 0, 0.5)], BOX_DTYPE)
EVENTS = np.array([(1, 3, 4, 1), (2, 30, 20, 0)], EVENT_DTYPE)


def test_a_frame_without_events_and_boxes_is_shown():
    assert found_line(50_000, NOTHING) == "DetectedFrame(0.050 s, 0 boxes)"
    assert "0 boxes" in found_html(50_000, NOTHING, events=EVENTS[:0], picture=None)
    assert "0 boxes" in found_html(50_000, NOTHING, events=None, picture=None)


def test_a_line_names_the_best_boxes():
    many = np.repeat(BOXES, 5)

    assert found_line(5, BOXES) == "DetectedFrame(0.000 s, 2 boxes: class 4 90% #7, class 1 50%)"
    assert found_line(5, many).endswith(", …)")


def test_a_page_has_the_picture_and_a_row_for_each_box():
    page = found_html(5, BOXES, events=EVENTS, picture=None)

    assert page.count("<img") == 1
    assert page.count("<tr>") == 3


def test_many_boxes_have_few_rows():
    page = found_html(5, np.repeat(BOXES, 50), events=EVENTS, picture=None)

    assert page.count("<tr>") == 12
    assert "and 90 more" in page


def test_a_picture_of_the_source_is_shown():
    page = found_html(5, BOXES, events=None, picture=np.zeros((40, 60, 3), np.uint8))

    assert page.count("<img") == 1
