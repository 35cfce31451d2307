"""Names of files, pictures and classes that hold control characters, or ways out of a folder."""

import json
from collections.abc import Callable
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


def _picture_names(name: str) -> Callable[[Path], str | None]:
    """Names of pictures in labels, of which evdet takes the frame numbers and nothing else."""

    def run(folder: Path) -> str | None:
        names = [name.format(folder=folder, number=number) for number in range(3)]
        (folder / "in").mkdir()
        (folder / "outside").mkdir()
        before = sorted(folder.rglob("*"))
        images = [{"id": k, "file_name": one} for k, one in enumerate(names)]
        box = {"category_id": 1, "bbox": [1, 2, 3, 4]}
        annotations = [{"id": k, "image_id": k, **box} for k in range(3)]
        categories = [{"id": 1, "name": "car"}]
        content = {"images": images, "categories": categories, "annotations": annotations}
        (folder / "in/a.json").write_text(json.dumps(content))
        size = ("--sensor-size", "320x240", "--frame-period", "50000")
        for words in (("b.json",), ("b.csv",), ("b", "--format", "voc"), ("c", "--format", "yolo")):
            answer = evdet("labels", "a.json", *words, *size, folder=folder / "in")
            wrong = answer.unlike(0) or _clean(answer.out + answer.err)
            if wrong:
                return f"{words}: {wrong}"
        new = {path for path in folder.rglob("*") if path not in before}
        outside = sorted(str(path) for path in new if folder / "in" not in path.parents)
        return f"wrote {outside}" if outside else None

    return run


def _names_in_lines(folder: Path) -> str | None:
    """A name of two lines would be two classes to what reads YOLO's list of names."""
    from evdet import BOX_DTYPE

    boxes = np.zeros(3, BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = np.arange(1, 4) * 100_000, 8, 8
    np.save(folder / "a.npy", boxes)
    size = ("--sensor-size", "320x240", "--frame-period", "100000")
    for name in ("car\nbus", "car\x1b[31m"):
        (folder / "label_map_dictionary.json").write_text(json.dumps({"0": name}))
        for form in ("yolo", "voc"):
            answer = evdet("labels", "a.npy", "b", "--format", form, *size, folder=folder)
            wrong = answer.unlike(2, "control character") or _clean(answer.out + answer.err)
            if wrong or (folder / "b").exists():
                return f"{form}, {name!r}: {wrong or 'b is there'}"
    return None


_PICTURES = {
    "../": "../outside/frame_{number:06d}.png",
    "an absolute path": "{folder}/outside/frame_{number:06d}.png",
    "escape sequences": "a\x1b]0;title\x07_{number:06d}.png",
}

TERMINAL = (
    *(
        Attack(
            "control characters", f"a picture's name in labels holds {what}", _picture_names(one)
        )
        for what, one in _PICTURES.items()
    ),
    Attack("control characters", "a class name that a format cannot hold", _names_in_lines),
    Attack("control characters", "a file's name holds escape sequences", _file_name),
    Attack("control characters", "a class name holds escape sequences", _class_name),
)
