"""What the page asks for: a detection, as plain values that are checked before they are used."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evdet.events import FORMAT_NAMES, TIME_UNITS, ReadOptions, SensorSize, parse_size
from evdet.samples import SAMPLES

__all__ = ["DetectionRequest", "RequestError", "parse_request", "suffix_of"]

_MOST_TEXT = 100
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}", re.ASCII)


class RequestError(ValueError):
    """The page asked for what does not exist, or a value is out of range; one line."""


@dataclass(frozen=True, kw_only=True)
class DetectionRequest:
    """A detection that is asked for."""

    source: str
    """Id of an upload, or the name of a bundled recording."""
    detector: int
    """Index of the detector."""
    score_thresh: float | None
    """Boxes with a lower score are dropped; None is the default of `evdet detect`."""
    is_tracked: bool
    """Whether boxes become tracks."""
    size: SensorSize | None
    """Of the sensor, where the recording does not state it."""
    reading: ReadOptions
    """What the file leaves open."""

    @property
    def is_sample(self) -> bool:
        """Whether the source is bundled with evdet."""
        return self.source in SAMPLES


def parse_request(fields: Any, *, num_detectors: int, can_track: bool) -> DetectionRequest:
    """Check what the page sent.

    Args:
        fields: the JSON of the request.
        num_detectors: detectors to choose from.
        can_track: whether the library of the trackers is installed.

    Raises:
        RequestError: a field is missing, or a value cannot be used.
    """
    if not isinstance(fields, dict):
        raise RequestError("a detection is asked for by a JSON object")
    detector = fields.get("detector", 0)
    if type(detector) is not int or not 0 <= detector < num_detectors:
        raise RequestError("choose one of the detectors")
    is_tracked = fields.get("track", False)
    if not isinstance(is_tracked, bool):
        raise RequestError("track must be true or false")
    if is_tracked and not can_track:
        raise RequestError("no tracking on this server: pip install 'evdet[tracking]'")
    texts = {name: _text(fields, name) for name in (
        "source", "sensor_size", "format", "time_unit", "columns", "stream",
    )}  # fmt: skip
    return DetectionRequest(
        source=texts["source"] or "",
        detector=detector,
        score_thresh=_score(fields.get("score_thresh")),
        is_tracked=is_tracked,
        size=_size(texts["sensor_size"]),
        reading=_reading(texts),
    )


def suffix_of(name: str) -> str:
    """The ending of a file's name, of letters and digits; empty where it has none.

    Nothing else of a name that a browser sends enters a path.
    """
    suffix = Path(name.replace("\\", "/")).suffix.lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _score(value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise RequestError("the score threshold must be from 0 to 1")
    return float(value)


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise RequestError(f"{name} must be a text of at most {_MOST_TEXT} characters")
    return value


def _size(text: str | None) -> SensorSize | None:
    try:
        return None if text is None else parse_size(text, name="the sensor size")
    except ValueError as error:
        raise RequestError(str(error)) from None


def _reading(texts: dict[str, str | None]) -> ReadOptions:
    for name, known in (("format", FORMAT_NAMES), ("time_unit", TIME_UNITS)):
        value = texts[name]
        if value is not None and value not in known:
            raise RequestError(f"{name.replace('_', ' ')}: choose one of {', '.join(known)}")
    try:
        return ReadOptions(
            format=texts["format"],
            time_unit=texts["time_unit"],
            columns=texts["columns"],
            stream=texts["stream"],
        )
    except ValueError as error:
        raise RequestError(str(error)) from None
