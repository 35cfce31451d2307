"""Names of files and classes that hold control characters."""

import json
from pathlib import Path

import numpy as np

from drill.attack import Attack, evdet

__all__ = ["TERMINAL"]

_EVIL = "a\x1b]0;title\x07\x1b[31m"


def _clean(text: str) -> str | None:
    signs = {sign for sign in text if not sign.isprintable() and sign not in "\n\r\t"}
    return f"prints {sorted(signs)}" if signs else None


def _file_name(folder: Path) -> str | None:
    path = folder / f"{_EVIL}.dat"
    path.write_bytes(b"nothing")
    answer = evdet("info", path, folder=folder)
    return answer.unlike(2) or _clean(answer.out + answer.err)


def _class_name(folder: Path) -> str | None:
    from evdet import BOX_DTYPE

    (folder / "labels.json").write_text(json.dumps({"0": _EVIL}))
    boxes = np.zeros(3, BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = np.arange(1, 4) * 100_000, 8, 8
    for name in ("found.npy", "truth.npy"):
        np.save(folder / name, boxes)
    words = ("score", "--detections", "found.npy", "--boxes", "truth.npy")
    answer = evdet(*words, "--label-map", "labels.json", folder=folder)
    return answer.unlike(0) or _clean(answer.out + answer.err)


TERMINAL = (
    Attack("control characters", "a file's name holds escape sequences", _file_name),
    Attack("control characters", "a class name holds escape sequences", _class_name),
)
