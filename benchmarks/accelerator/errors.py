"""The error of a check that this machine cannot run."""

__all__ = ["UnavailableError"]


class UnavailableError(RuntimeError):
    """The check is skipped: the message says what is missing."""
