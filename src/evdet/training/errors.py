"""What stops a training."""

__all__ = ["TrainingError"]


class TrainingError(RuntimeError):
    """The training cannot go on; the message is short and says what to do."""
