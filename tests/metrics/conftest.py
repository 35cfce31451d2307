"""References that several of these tests hold numbers against."""

import contextlib
import io

import pytest


@pytest.fixture(scope="session")
def pycocotools_evaluation():
    """The reference: (truths, detections, number of classes) -> stats, and precision."""
    return evaluate_with_pycocotools


def evaluate_with_pycocotools(truths, detections, num_classes):
    """Stats, and precision by IoU, recall, class, area."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def dataset(frames):
        annotations = []
        for image_id, (boxes, labels, scores) in enumerate(frames, start=1):
            for box, label, score in zip(boxes.astype(float), labels, scores, strict=True):
                width, height = box[2] - box[0], box[3] - box[1]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": int(label),
                        "bbox": [box[0], box[1], width, height],
                        "area": width * height,
                        "iscrowd": 0,
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

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(
            dataset([(t[:, :4], t[:, 4], [1.0] * len(t)) for t in truths]),
            dataset([(d["boxes"], d["labels"], d["scores"]) for d in detections]),
            "bbox",
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"][..., -1]
