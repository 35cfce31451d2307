import json

import pytest

from evdet.labels import OWN_IDS, choose_label_ids


@pytest.fixture
def drive(tmp_path):
    """A recording in a data set that numbers its classes in its own way."""
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps({"3": "person", "9": "car"}))
    return tmp_path / "drive_td.dat"


def test_without_a_label_map_classes_are_numbered_from_0(tmp_path):
    own = {0: "car", 1: "person"}
    assert choose_label_ids([], None, None) == {}
    assert choose_label_ids(["car", "person"], None, None) == own
    assert choose_label_ids(["car", "person"], tmp_path / "drive_td.dat", None) == own


def test_the_data_set_of_the_source_numbers_them(drive):
    found = choose_label_ids(["car", "person"], drive, None)
    assert list(found.items()) == [(9, "car"), (3, "person")]
    assert choose_label_ids(["car"], drive, OWN_IDS) == {0: "car"}


def test_a_named_label_map_comes_first(drive, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"1": "car"}))
    assert choose_label_ids(["car"], drive, str(other)) == {1: "car"}
    with pytest.raises(ValueError, match=r"no\.json does not exist"):
        choose_label_ids(["car"], drive, str(tmp_path / "no.json"))


def test_a_class_that_the_label_map_lacks_is_named(drive):
    with pytest.raises(ValueError, match="has no bus of these, only person, car"):
        choose_label_ids(["bus", "car"], drive, None)
    with pytest.raises(ValueError, match="has no class of these"):
        choose_label_ids(["bus", "tram"], drive, None)
