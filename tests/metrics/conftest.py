"""References that several of these tests hold numbers against."""

import contextlib
import io

import pytest


@pytest.fixture(scope="session")
def pycocotools_evaluation():
    """The reference: (truths, detections, number of classes, crowds) -> stats, and precision."""
    return evaluate_with_pycocotools


def evaluate_with_pycocotools(truths, detections, num_classes, iscrowd=None):
    """Stats, and precision by IoU, recall, class, area."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def dataset(frames):
        annotations = []
        for image_id, (boxes, *others) in enumerate(frames, start=1):
            for box, label, score, crowd in zip(boxes.astype(float), *others, strict=True):
                width, height = box[2] - box[0], box[3] - box[1]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": int(label),
                        "bbox": [box[0], box[1], width, height],
                        "area": width * height,
                        "iscrowd": int(crowd),
                        "score": float(score),
                    }
                )
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1} for i in range(len(frames))],
            "categories": [{"id": i + 1} for i in range(num_classes)],
            "annotations": annotations,
        }
        coco.createIndex()
        return coco

    none = [[0] * len(truth) for truth in truths]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(
            dataset(
                [
                    (t[:, :4], t[:, 4], [1.0] * len(t), crowd)
                    for t, crowd in zip(truths, iscrowd or none, strict=True)
                ]
            ),
            dataset(
                [(d["boxes"], d["labels"], d["scores"], [0] * len(d["labels"])) for d in detections]
            ),
            "bbox",
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"][..., -1]
