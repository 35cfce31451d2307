import pytest

from evdet.data.missing_classes import find_missing_classes


@pytest.mark.parametrize("num_boxes", [{}, {"train": {}}, {"train": {"car": 0}, "val": {}}])
def test_without_a_box_nothing_is_said(num_boxes):
    assert find_missing_classes(num_boxes, ("car", "bus")) == {}


def test_splits_with_every_class_are_not_named():
    boxes = {"car": 3, "bus": 1}

    assert find_missing_classes({"train": boxes, "val": boxes}, ("car", "bus")) == {}


def test_a_class_that_is_not_trained_is_not_named():
    num_boxes = {"train": {"car": 1, "bus": 1}, "val": {"car": 1}}

    assert find_missing_classes(num_boxes, ("car",)) == {}


def test_several_missing_classes_are_one_sentence_for_each_split():
    num_boxes = {
        "train": {"car": 9, "bus": 2, "van": 1},
        "val": {"car": 1, "bus": 0},
        "test": {"van": 1},
    }

    found = find_missing_classes(num_boxes, ("car", "bus", "van"))

    assert list(found) == ["val", "test"]
    assert found["val"].startswith("has no box of bus, van: the validation does not score them.")
    assert found["test"].startswith("has no box of car, bus: the test does not score them.")


def test_a_class_that_only_the_test_has_cannot_be_learnt():
    found = find_missing_classes(
        {"train": {"car": 9}, "val": {"car": 1}, "test": {"car": 1, "bus": 1}}, ("car", "bus")
    )

    assert list(found) == ["train", "val"]
    assert "has no box of bus: training cannot learn it" in found["train"]
    assert "`evdet split` balances the classes" in found["train"]


def test_classes_of_no_split_are_one_sentence_and_not_repeated():
    found = find_missing_classes(
        {"train": {"car": 9, "bus": 1}, "val": {"car": 1}}, ("car", "bus", "van", "tram")
    )

    assert list(found) == ["val", ""]
    assert "van" not in found["val"]
    assert found[""] == (
        "has no box of van, tram in any split, though the label map names them: leave them out "
        "with --classes, or label them"
    )


def test_a_split_without_any_box_is_left_to_the_finding_that_says_so():
    found = find_missing_classes({"train": {"car": 9}, "val": {}}, ("car",))

    assert found == {}
