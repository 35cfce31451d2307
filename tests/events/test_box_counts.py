import numpy as np

from evdet.boxes import BOX_DTYPE
from evdet.events import EVENT_DTYPE, SensorSize, count_events_inside

SIZE = SensorSize(height=10, width=20)


def test_without_events_or_boxes_there_is_nothing_to_count():
    boxes = np.zeros(2, BOX_DTYPE)
    assert count_events_inside(np.zeros(0, EVENT_DTYPE), boxes, SIZE).tolist() == [0, 0]
    assert len(count_events_inside(np.zeros(3, EVENT_DTYPE), boxes[:0], SIZE)) == 0


def test_events_on_a_border_count_once():
    events = np.zeros(4, EVENT_DTYPE)
    events["x"], events["y"] = [5, 9, 10, 25], [5, 5, 5, 5]
    boxes = np.zeros(2, BOX_DTYPE)
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = [5, 9.5], 5, [5, 30], 1
    assert count_events_inside(events, boxes, SIZE).tolist() == [2, 1]
