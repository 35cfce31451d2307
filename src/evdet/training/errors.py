"""Errors of a training run."""

__all__ = ["TrainingError"]


class TrainingError(RuntimeError):
    """The training cannot continue; the message has the reason and the remedy."""
