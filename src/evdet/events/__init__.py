"""Event files -> events -> frames."""

from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize, TimeBin

__all__ = ["EVENT_DTYPE", "Events", "RecordingError", "SensorSize", "TimeBin"]
