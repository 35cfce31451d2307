"""Bundled samples: a recording with its boxes, and trained weights."""

from pathlib import Path

__all__ = ["SAMPLE", "WEIGHTS", "bundled_weights", "sample_recording"]

SAMPLE = "sample"
"""Name of the bundled recording on the command line, in place of a path."""
WEIGHTS = ("events-digits",)
"""Names of the bundled checkpoints."""

_FOLDER = Path(__file__).parent


def sample_recording() -> Path:
    """Get the path of the bundled recording, a DAT file.

    It is ten seconds of simulated digits on a 128x128 sensor: three digits move, stop for up to 2.5
    seconds and pass behind one another. Its folder has the boxes, the label map and `SOURCE.md`,
    which describes how it was made.
    """
    return _FOLDER / "digits_td.dat"


def bundled_weights(name: str) -> Path:
    """Get the path of a bundled checkpoint.

    Raises:
        ValueError: an unknown name.
    """
    if name not in WEIGHTS:
        raise ValueError(
            f"evdet has no weights named {name!r}: choose one of {', '.join(WEIGHTS)}, or name a "
            "checkpoint file"
        )
    return _FOLDER / f"{name}.ckpt"
