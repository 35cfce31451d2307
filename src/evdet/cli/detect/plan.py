"""`evdet detect --print-config`: everything that a detection is going to do, as YAML."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import yaml

from evdet.cli.detect.one_source import SCORE_THRESH
from evdet.cli.detect.options import DetectOptions
from evdet.cli.many import Job, digest_of
from evdet.detectors import checkpoint_file, resolve_device
from evdet.models import DetectorProtocol
from evdet.pipeline import frame_spec_of, frames_for

__all__ = ["describe_plan"]


def describe_plan(
    detector: DetectorProtocol,
    options: DetectOptions,
    jobs: Sequence[Job],
    *,
    finished: Sequence[Job] = (),
) -> str:
    """Put into YAML what a detection is going to do; nothing is written.

    Args:
        detector: what detects.
        options: as the user typed them.
        jobs: the sources, and the files that each becomes.
        finished: those that are skipped, since they are finished.
    """
    spec = frames_for(detector, delta_t=options.delta_t)
    checkpoint = checkpoint_file(options.checkpoint)
    tracker = options.tracking.open_tracker(spec.delta_t, options.selection.score_thresh)
    shown = (
        SCORE_THRESH if options.selection.score_thresh is None else options.selection.score_thresh
    )
    thresholds = spec.thresholds.but(
        score_thresh=shown,
        nms_thresh=options.selection.nms_thresh,
        agnostic=options.selection.agnostic_nms,
    )
    frames = asdict(spec)
    for name in ("thresholds", "class_names", "trained_delta_t"):
        del frames[name]
    size = {} if options.sensor_size is None else {"sensor_size": options.sensor_size}
    reading = {name: value for name, value in asdict(options.reading).items() if value}
    content: dict[str, Any] = {
        "checkpoint": {"path": str(checkpoint), "sha256": digest_of(checkpoint)},
        "classes": list(frame_spec_of(detector).class_names),
        "frames": {**frames, "trained_delta_t": spec.trained_delta_t or spec.delta_t},
        "reading": {**size, **reading},
        "interval": {"start": options.start, "duration": options.duration},
        "selection": asdict(thresholds),
        "tracker": None if tracker is None else {
            "name": tracker.name,
            "start_thresh": tracker.start_thresh,
            "extend_thresh": tracker.extend_thresh,
            "rules": f"a track {tracker.rules}",
        },
        "reset_every": options.selection.reset_every,
        "label_map": options.label_map,
        "device": str(resolve_device(options.device)),
        "threads": options.threads or "automatic",
        "jobs": options.many_files.jobs or "automatic",
        "sources": [_job(job) for job in jobs],
        "finished": [str(job.source) for job in finished],
    }  # fmt: skip
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip()


def _job(job: Job) -> dict[str, Any]:
    return {"source": str(job.source), "outputs": [str(path) for path in job.outputs]}
