"""Bundled samples: recordings with their boxes, and trained weights."""

from pathlib import Path

__all__ = [
    "SAMPLES",
    "WEIGHTS",
    "bundled_weights",
    "find_recording",
    "sample_recording",
]

_FILES = {"sample": "digits_td.dat", "sample-nmnist": "nmnist_td.dat"}
SAMPLES = tuple(_FILES)
"""Names of the bundled recordings, on the command line in place of a path."""
WEIGHTS = ("events-digits",)
"""Names of the bundled checkpoints."""

_FOLDER = Path(__file__).parent


def sample_recording(name: str = "sample") -> Path:
    """Get the path of a bundled recording, a DAT file.

    Both show three digits on a 128x128 sensor that move, stop for up to 2.5 seconds and pass
    behind one another. `sample` is ten seconds of simulated events; `sample-nmnist` is nine seconds
    of a real sensor's, put together from recordings of N-MNIST. The folder has their boxes, the
    label map and `SOURCE.md`, which describes how they were made.

    Args:
        name: one of `SAMPLES`.

    Raises:
        ValueError: an unknown name.
    """
    if name not in _FILES:
        raise ValueError(
            f"evdet has no recording named {name!r}: choose one of {', '.join(SAMPLES)}"
        )
    return _FOLDER / _FILES[name]


def find_recording(path: Path) -> Path:
    """The bundled recording if the path is its name and no file has that name; else the path.

    Raises:
        ValueError: the path does not exist, and could be a misspelt name.
    """
    name = str(path)
    if path.exists() or path.suffix or path.name != name:
        return path
    if name not in _FILES:
        raise ValueError(f"{name} does not exist (bundled recordings: {', '.join(SAMPLES)})")
    return sample_recording(name)


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
