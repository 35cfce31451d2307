"""The words that the project has retired do not come back: in code, pages and messages."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.py")),
    *sorted(path for kind in ("*.py", "*.pyi") for path in (ROOT / "src").rglob(kind)),
]
# What was said -> what is said.
RETIRED = {
    r"nobody|somebody|whoever": "name the tool or the user",
    r"corrections?": "deltas",
    r"admit|expose|driven": "input gate, output gate, projected",
    r"AnyDetector|StreamDetector": "Detector, DetectorProtocol",
    r"RecordingStreams?|VideoStream|ImageStream|LiveStream": "RecordingSource, SequentialClips, …",
    r"VideoInfo": "ClipInfo",
    r"levers?": "variants",
    r"noise_window": "background_filter",
    r"lonely": "unmatched",
    r"so many (?:microseconds|times|pixels|frames)": "N microseconds",
    r"plays? silence|breaks off|runs? dry|clock on the wall": "empty frames, is truncated, …",
    r"\w+_called": "get_x, resolve_x",
    r"(?<!there )is no (?!longer|more|less|such)[a-z]+": "is not a …",
    r"house|rooms|doors?|floors": "package, layer",
}
# Where a retired word is right: a name in files of version 0.1.0, a term of another field.
ALLOWED = {
    "src/evdet/models/rvt/head.py": ["corrections"],  # a weight's name in checkpoints
    "src/evdet/detectors/published_rvt.py": ["corrections"],
    "docs/guides/rvt.md": ["corrections"],
    "src/evdet/config/reading.py": ["noise_window"],  # a field of older files
    "src/evdet/detectors/onnx_metadata.py": ["noise_window"],
    "src/evdet/runs.py": ["levers"],  # a key of older speed.json files
    "src/evdet/cli/options/parsing.py": ["levers"],  # an option that is answered with its new name
    "src/evdet/draw/video.py": ["VideoStream"],  # PyAV's
    "src/evdet/sources/videos.py": ["VideoStream"],
}


def test_retired_words_do_not_come_back():
    found = {path.relative_to(ROOT).as_posix(): retired_words_of(path) for path in FILES}
    assert {name: words for name, words in found.items() if words} == {}


def retired_words_of(path):
    text = path.read_text()
    allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), [])
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]!r} (say: {instead})"
        for word, instead in RETIRED.items()
        for match in re.finditer(rf"(?<![\w.])(?:{word})(?!\w)", text, re.I)
        if match[0] not in allowed
    ]
