"""What Lightning says that is of no use to a user is not printed."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

from lightning_fabric.utilities.warnings import PossibleUserWarning

__all__ = ["quiet_lightning"]


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Suppress Lightning's tips; errors and other warnings are shown."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    names = ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.rank_zero")
    loggers += [logging.getLogger(name) for name in names]
    # This logger reports the end of a run that has lost a process.
    launcher = logging.getLogger("lightning_fabric.strategies.launchers.subprocess_script")
    loggers.append(launcher)
    levels = [logger.level for logger in loggers]
    show_thread_error = threading.excepthook

    def show_unless_io(args: threading.ExceptHookArgs) -> None:
        # TensorBoard's thread; the training gets the same error at its next write.
        if not isinstance(args.exc_value, OSError):
            show_thread_error(args)

    threading.excepthook = show_unless_io
    for logger in loggers:
        logger.setLevel(logging.INFO if logger is launcher else logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            # Intended: the model moves the batches of any loader.
            warnings.filterwarnings("ignore", "You have overridden `transfer_batch_to_device`")
            warnings.filterwarnings("ignore", category=FutureWarning, module="pytorch_lightning")
            yield
    finally:
        threading.excepthook = show_thread_error
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
