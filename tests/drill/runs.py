"""Files of a run that came from elsewhere, or were altered."""

import json
from functools import partial
from pathlib import Path

from drill.attack import Attack, evdet
from report.altered_run import altered, write_run

__all__ = ["RUNS"]

_PAGE = "report.html"


def _report(folder: Path, place: tuple[str | int, ...], value: object) -> str | None:
    run = write_run(folder)
    run.write_evaluation(altered(json.loads(run.evaluation_file.read_text()), place, value))
    answer = evdet("report", ".", folder=folder)
    if (folder / _PAGE).exists():
        return "a page was written"
    return answer.unlike(2, "evaluation.json is damaged", max_mb=400, max_seconds=10)


def _text(folder: Path, file: str, text: str) -> str | None:
    run = write_run(folder)
    (run.path / file).write_text(text)
    return evdet("report", ".", folder=folder).unlike(2, file, max_mb=400, max_seconds=10)


def _picture(folder: Path, file: str) -> str | None:
    (folder / "run").mkdir()
    run = write_run(folder / "run")
    (folder / "secret.png").write_bytes((run.evaluation / "best-00.png").read_bytes())
    (run.evaluation / "link.png").symlink_to(folder / "secret.png")
    content = json.loads(run.evaluation_file.read_text())
    name = file.format(folder=folder)
    content["pictures"] = {"best": [{"file": name, "caption": "from elsewhere"}]}
    run.write_evaluation(content)
    answer = evdet("report", "run", folder=folder)
    if "from elsewhere" in (run.path / _PAGE).read_text():
        return "the picture is in the page"
    return answer.unlike(0)


_ALTERED = {
    "a score is a text": (("mAP",), "high"),
    "a class is a number": (("per_class", "car"), 3),
    "a count is negative": (("num_truths",), -1),
    "the confusion matrix has another size": (("confusion",), [[1]]),
    "a point of a curve is a list": (("curves", "by_size", "points", 0), []),
    "a size of boxes is beyond all numbers": (("data", "splits", "test", "sides", 0, 0), 1e308),
    "the notes are nested": (("notes",), [[["a"]]]),
}
RUNS = (
    *(
        Attack("altered runs", name, partial(_report, place=place, value=value))
        for name, (place, value) in _ALTERED.items()
    ),
    Attack(
        "altered runs",
        "speed.json is a list of brackets 20,000 deep",
        partial(_text, file="speed.json", text="[" * 20_000),
    ),
    Attack(
        "altered runs",
        "training.json has an endless duration",
        partial(
            _text,
            file="training.json",
            text='{"num_frames": 1e999, "seconds": 1, "frames_per_second": 1}',
        ),
    ),
    *(
        Attack("altered runs", f"a picture is {file}", partial(_picture, file=file))
        for file in ("../../secret.png", "{folder}/secret.png", "link.png")
    ),
)
