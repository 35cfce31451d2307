"""What comes with evdet to start from: a recording with its boxes, and trained weights."""

from pathlib import Path

__all__ = ["SAMPLE", "WEIGHTS", "bundled_weights", "sample_recording"]

SAMPLE = "sample"
"""What the bundled recording is called where a path is expected on the command line."""
WEIGHTS = ("events-digits",)
"""Names of the bundled checkpoints."""

_FOLDER = Path(__file__).parent


def sample_recording() -> Path:
    """Give the bundled recording: ten seconds of simulated digits on a 128x128 sensor.

    Three digits move, wait for up to 2.5 seconds and pass behind one another; the boxes and the
    label map lie beside it. `SOURCE.md` there says what made it.

    Returns:
        The DAT file.
    """
    return _FOLDER / "digits_td.dat"


def bundled_weights(name: str) -> Path:
    """Give a bundled checkpoint.

    Args:
        name: one of `WEIGHTS`.

    Returns:
        The file.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in WEIGHTS:
        raise ValueError(
            f"there are no weights called {name!r} in evdet, only {', '.join(WEIGHTS)}; "
            "anything else is the path of a checkpoint"
        )
    return _FOLDER / f"{name}.ckpt"
