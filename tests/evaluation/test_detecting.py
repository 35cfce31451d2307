import torch

from evdet.evaluation import rename_classes


def found_of(labels, **more):
    labels = torch.tensor(labels, dtype=torch.int64)
    boxes = torch.arange(4.0 * len(labels)).reshape(-1, 4)
    return {"boxes": boxes, "labels": labels, "scores": torch.ones(len(labels)), **more}


def test_the_same_classes_leave_detections_as_they_are():
    found = [[found_of([1, 2])]]
    assert rename_classes(found, ("a", "b"), ("a", "b")) is found


def test_classes_are_matched_by_name_and_others_left_out():
    along = torch.tensor([0.1, 0.2, 0.3, 0.4])
    found = [[found_of([]), found_of([1, 2, 3, 2], class_scores=along)]]
    [[empty, renamed]] = rename_classes(found, ("car", "bus", "dog"), ("dog", "car"))
    assert len(empty["labels"]) == len(empty["boxes"]) == 0
    assert renamed["labels"].tolist() == [2, 1]
    assert renamed["boxes"][:, 0].tolist() == [0, 8]
    assert torch.equal(renamed["class_scores"], along[[0, 2]])
