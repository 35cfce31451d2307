import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.labels.classes import apply_classes, choose_classes

LABEL_MAP = {0: "pedestrian", 1: "two wheeler", 2: "car", 3: "truck", 7: "bus"}


def boxes_of(*ids):
    boxes = np.zeros(len(ids), BOX_DTYPE)
    boxes["class_id"] = ids
    return boxes


def test_all_classes_keep_their_order():
    choice = choose_classes(LABEL_MAP)

    assert choice.names == ("pedestrian", "two wheeler", "car", "truck", "bus")
    assert choice.ids == {0: 1, 1: 2, 2: 3, 3: 4, 7: 5}


def test_chosen_classes_are_numbered_in_the_order_of_the_choice():
    choice = choose_classes(LABEL_MAP, ["car", "pedestrian"])

    assert choice.names == ("car", "pedestrian")
    assert choice.ids == {2: 1, 0: 2}


def test_classes_are_merged_under_a_name():
    choice = choose_classes(LABEL_MAP, ["car + truck+bus = vehicle", "two wheeler=bike"])

    assert choice.names == ("vehicle", "bike")
    assert choice.ids == {2: 1, 3: 1, 7: 1, 1: 2}


def test_merged_classes_without_a_name_are_called_as_they_were_asked_for():
    assert choose_classes(LABEL_MAP, ["car+truck"]).names == ("car+truck",)


def test_a_class_may_have_signs_in_its_name():
    assert choose_classes({0: "a+b", 1: "c"}, ["a+b"]).ids == {0: 1}


def test_boxes_get_the_training_s_ids_and_others_are_counted():
    boxes = boxes_of(3, 1, 4, 8, 2, 99)  # in memory: one more than on disk

    kept, counts = apply_classes(boxes, choose_classes(LABEL_MAP, ["bus", "car+truck=vehicle"]))

    assert kept["class_id"].tolist() == [2, 2, 1]
    assert counts == {
        "class pedestrian not chosen": 1,
        "class two wheeler not chosen": 1,
        "class id 98 not in the label map": 1,
    }
    assert boxes["class_id"].tolist() == [3, 1, 4, 8, 2, 99]


def test_no_boxes_are_no_boxes():
    kept, counts = apply_classes(boxes_of(), choose_classes(LABEL_MAP))

    assert len(kept) == 0
    assert counts == {}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["cat"], "the label map has no class 'cat' .*pedestrian, two wheeler, car, truck"),
        (["trck"], "Did you mean 'truck'?"),
        (["car+cat=pet"], "no class 'cat'"),
        (["car", "car+truck=vehicle"], "the class 'car' is used twice"),
        (["car", "truck=car"], "two classes have the name 'car'"),
        (["car+"], r"cannot parse the class 'car\+'"),
        (["car="], "cannot parse the class 'car='"),
        ([""], "cannot parse the class ''"),
    ],
)
def test_silly_choices_are_refused(wanted, message):
    with pytest.raises(ValueError, match=message):
        choose_classes(LABEL_MAP, wanted)
