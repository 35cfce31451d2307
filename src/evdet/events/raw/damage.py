"""What is wrong with a RAW file at the word where decoding ended."""

from pathlib import Path

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK
from evdet.events.raw.state import BAD_TIME, BAD_X, BAD_Y, LATEST, OUTSIDE, STATUS, State

__all__ = ["damage_error"]


def damage_error(
    path: Path, byte: int, state: State, size: SensorSize | None, *, is_assumed: bool
) -> RecordingError:
    """The error of damaged words.

    Args:
        path: the file.
        byte: offset of the first damaged word.
        state: in which decoding ended.
        size: the sensor's, where it is known.
        is_assumed: whether the header is not the file's own.
    """
    t = int(state[BAD_TIME])
    if state[STATUS] == OUTSIDE:
        where = f"the sensor {size}" if size else "the 2048 columns of the format"
        if is_assumed:
            return RecordingError(
                f"{path}: an event at x={state[BAD_X]}, y={state[BAD_Y]}, t={t} us, at byte {byte},"
                f" lies outside {where}. The file is damaged, or --sensor-size or --format is "
                "wrong."
            )
        return RecordingError(
            f"{path}: an event at x={state[BAD_X]}, y={state[BAD_Y]}, t={t} us, at byte {byte}, "
            f"lies outside {where}. The file is damaged, or its header states the wrong geometry: "
            "give the right one (--sensor-size WxH), or use the events before."
        )
    return RecordingError(
        f"{path}: time steps back from {state[LATEST]} to {t} us at byte {byte}, by more than "
        f"{MAX_STEP_BACK} us. The file is damaged, or recordings were joined: split it there, or "
        "use the events before."
    )
