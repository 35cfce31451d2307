"""The decorator of compiled loops. The only module that imports numba."""

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

__all__ = ["kernel"]

_LOG = logging.getLogger(__name__)

Loop = TypeVar("Loop", bound=Callable[..., Any])


def kernel(function: Loop) -> Loop:
    """Compile a loop with numba, when it is first called.

    The compiled code is kept on disk: beside the module, else in the user's cache folder, or in the
    folder that NUMBA_CACHE_DIR names. Where none of them can be written to, as in a read-only
    image or on a full disk, each process compiles anew, and one warning says so. A folder that all
    users share, such as /tmp, is not used: loading compiled code runs it.
    """
    compiled: Any
    try:
        compiled = njit(cache=True)(function)
        _survive_a_full_disk(compiled._cache)  # numba has no public way
    except RuntimeError as error:
        # numba has no type of its own for this.
        if "cannot cache" not in str(error):
            raise
        _warn_of_no_folder()
        compiled = njit(function)
    result: Loop = compiled
    return result


def _survive_a_full_disk(cache: Any) -> None:
    save = cache.save_overload

    def save_or_warn(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError:
            _warn_of_no_folder()

    cache.save_overload = save_or_warn


@functools.cache
def _warn_of_no_folder() -> None:
    """Log the warning, once in a process."""
    _LOG.warning(
        "no folder for compiled code can be written to, so every start of evdet compiles it again, "
        "which takes seconds: set NUMBA_CACHE_DIR to a folder that only you can write to"
    )
