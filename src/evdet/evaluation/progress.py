"""Where an evaluation stands, kept in a file, so that one that was stopped goes on from there."""

import io
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from evdet.atomic_file import write_bytes
from evdet.detectors import CheckpointError, check_file

__all__ = ["EvaluationProgress", "fingerprint", "from_bytes", "to_bytes"]

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN = 30.0
# Writing takes at most this share of the time.
_SHARE_OF_TIME = 0.05
_PARTS = ("num_batches", "memory", "recordings", "frames", "gallery", "broken")


@dataclass
class EvaluationProgress:
    """The state of an evaluation after some of its batches.

    Args:
        path: the file.
        settings: what decides the result: a file of other settings is not continued.
        seconds: time from one writing of the file to the next.
    """

    path: Path
    settings: Mapping[str, str]
    seconds: float | int = _SECONDS_BETWEEN

    def __post_init__(self) -> None:
        self._state: dict[str, Any] | None = self._read()
        self._written = time.monotonic()
        self._pause = self.seconds

    @property
    def num_batches(self) -> int:
        """Batches that were evaluated before."""
        return 0 if self._state is None else int(self._state["num_batches"])

    @property
    def broken(self) -> dict[str, str]:
        """Recordings of these batches that are damaged, and why."""
        return {} if self._state is None else dict(self._state["broken"])

    @property
    def state(self) -> dict[str, Any] | None:
        """What was found in these batches; None before the first."""
        return self._state

    @property
    def is_due(self) -> bool:
        """Whether it is time to write the file."""
        return time.monotonic() - self._written >= self._pause

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the file.

        Args:
            state: plain values and tensors by the names of the parts.

        Raises:
            WriteError: the file cannot be written.
        """
        began = time.monotonic()
        content = io.BytesIO()
        torch.save({**state, "settings": dict(self.settings)}, content)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(self.path, content.getvalue())
        self._written = time.monotonic()
        self._pause = max(self.seconds, (self._written - began) / _SHARE_OF_TIME)

    def remove(self) -> None:
        """Remove the file of an evaluation that is complete."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            check_file(self.path)
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except (CheckpointError, OSError, RuntimeError, ValueError, EOFError) as error:
            _log.warning("%s cannot be continued, and the evaluation begins anew: %s",
                         self.path, error)  # fmt: skip
            return None
        if not isinstance(state, dict) or not {*_PARTS, "settings"} <= state.keys():
            return None
        if state["settings"] != dict(self.settings):
            _log.warning(
                "an evaluation with other settings was stopped here (%s): it is not continued",
                self.path,
            )
            return None
        return state


def to_bytes(array: Shaped[np.ndarray, "..."]) -> Tensor:
    """The bytes of an array, as a tensor that a file can hold."""
    return torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy())


def from_bytes(content: Tensor, dtype: np.dtype) -> Shaped[np.ndarray, " _"]:
    """The array of one dimension whose bytes `to_bytes` gave.

    Args:
        content: the bytes.
        dtype: of the array.
    """
    return np.frombuffer(content.numpy().tobytes(), dtype).copy()


def fingerprint(paths: Iterable[Path]) -> str:
    """Size and time of modification of files, in one text."""
    told = []
    for path in sorted(set(paths)):
        try:
            status = path.stat()
        except OSError:
            continue
        told.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(told)
