"""An error -> one line for the user; our own mistakes are told from what a user can correct."""

from evdet.atomic_file import WriteError

__all__ = ["is_for_users", "reason_of"]


def is_for_users(error: BaseException) -> bool:
    """Whether the message is meant for a user: wrong values, files and memory, not our mistakes."""
    if isinstance(error, (ValueError, OSError, MemoryError)) or _is_memory_of_torch(error):
        return True
    return type(error).__module__.startswith("evdet")


def reason_of(error: BaseException) -> str:
    """The message for a user; of an error of the system without its number."""
    if isinstance(error, MemoryError):
        return f"not enough memory: {error or 'the system gives no more'}"
    if _is_memory_of_torch(error):
        return "not enough memory: the system gives no more"
    if isinstance(error, WriteError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, UnicodeEncodeError):
        return (
            f"a name has bytes that are no text in the system's encoding, in {error.object!r}: "
            "rename the file or folder"
        )
    if not is_for_users(error):
        return f"{type(error).__name__}: {error} (--debug shows the traceback)"
    return str(error)


def _is_memory_of_torch(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
