"""`evdet evaluate`: a checkpoint on a data set, or a file of detections, against truth."""

from evdet.cli.evaluate_checkpoint import evaluate_checkpoint
from evdet.cli.evaluate_files import evaluate_files
from evdet.cli.evaluate_options import EvaluateOptions

__all__ = ["EvaluateOptions", "evaluate"]


def evaluate(options: EvaluateOptions) -> None:
    """Evaluate, print the scores, and keep what a report shows.

    Args:
        options: what the user asked for.

    Raises:
        ValueError: neither a checkpoint nor files are named, or both.
    """
    files = options.detections, options.boxes
    if options.checkpoint is not None and any(files):
        raise ValueError(
            "name a checkpoint, or --detections and --boxes, and not both: files are scored as "
            "they are"
        )
    if options.checkpoint is not None:
        evaluate_checkpoint(options)
    elif all(files):
        evaluate_files(options)
    else:
        missing = [name for name in ("detections", "boxes") if getattr(options, name) is None]
        raise ValueError(
            "name a checkpoint, or a file of --detections and a file of --boxes: "
            f"--{' and --'.join(missing)} missing"
        )
