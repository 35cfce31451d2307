"""Frame numbers from the names of files or pictures."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from evdet.labels.source import LabelSource

__all__ = ["frame_numbers", "note_first_frame"]

# Roboflow appends the picture's ending and a hash: frame_000012_jpg.rf.0a1b2c...
_ROBOFLOW = re.compile(r"[_.-](jpe?g|png|bmp|webp|tiff?|gif)\.rf\.[0-9a-z]+$", re.I)
_PICTURE = re.compile(r"\.(jpe?g|png|bmp|webp|tiff?|gif|txt|xml)$", re.I)
# Label Studio puts the first eight digits of an identifier before the name of an upload.
_LABEL_STUDIO = re.compile(r"^[0-9a-f]{8}-(?=.*\d)", re.I)
_FRAME_WORD = re.compile(r"(frame|frm|fr|img|image|pic|picture)[ _.#-]*$", re.I)
_MAX_DIGITS = 15
_ADVICE = "rename the files so that one number counts the frames, as in frame_000012"


class _Name(NamedTuple):
    """A name, cut into text and numbers."""

    text: tuple[str, ...]
    """The text before each number, and after the last."""
    numbers: tuple[str, ...]


def frame_numbers(source: LabelSource, names: Sequence[str], *, what: str = "file") -> list[int]:
    """The frame number in each of the names of one recording's files.

    The frame number is the one number that differs from name to name. Of several that differ, it
    is the one after a word such as `frame`. The hash of Roboflow, the identifier of Label Studio,
    and endings do not count.

    Args:
        source: the labels, for messages.
        names: names of files, possibly with folders and endings; may be empty.
        what: what has these names, for messages.

    Raises:
        LabelError: a name has no number, it is not clear which number counts the frames, or two
            names have the same.
    """
    stems = _stems(names)
    split = [_split(stem) for stem in stems]
    for name, parts in zip(names, split, strict=True):
        if not parts.numbers:
            raise source.error(
                f"the name of the {what} {name} has no frame number, as frame_000012 has; "
                "numbers start at 0"
            )
    patterns = {parts.text for parts in split}
    columns = [_column(source, split, names, what)] if len(patterns) == 1 and split else []
    numbers: list[int] = []
    seen: dict[int, str] = {}
    for name, parts in zip(names, split, strict=True):
        index = columns[0] if columns else _index_alone(source, name, parts, what, len(patterns))
        digits = parts.numbers[index]
        if len(digits.lstrip("0")) > _MAX_DIGITS:
            raise source.error(f"the number {digits[:20]} of the {what} {name} is too large")
        number = int(digits)
        if number in seen:
            raise source.error(
                f"the {what}s {seen[number]} and {name} both are frame {number}: {_ADVICE}"
            )
        seen[number] = name
        numbers.append(number)
    return numbers


def note_first_frame(numbers: Sequence[int]) -> tuple[str, ...]:
    """A note where frames seem to count from 1, though evdet counts from 0; empty otherwise."""
    if len(numbers) > 1 and min(numbers) == 1 and len(numbers) == max(numbers):
        return (
            "frame numbers run from 1; they are taken as counted from 0, so frame 0 has no labels",
        )
    return ()


def _stems(names: Sequence[str]) -> list[str]:
    stems = []
    for name in names:
        stem = PurePosixPath(name.replace("\\", "/")).name
        stem = _PICTURE.sub("", stem)
        stems.append(_PICTURE.sub("", _ROBOFLOW.sub("", stem)))
    if stems and all(_LABEL_STUDIO.match(stem) for stem in stems):
        stems = [_LABEL_STUDIO.sub("", stem) for stem in stems]
    return stems


def _split(stem: str) -> _Name:
    # Only 0 to 9: other digits of Unicode are text.
    parts = re.split(r"([0-9]+)", stem)
    return _Name(tuple(parts[::2]), tuple(parts[1::2]))


def _column(source: LabelSource, split: Sequence[_Name], names: Sequence[str], what: str) -> int:
    """The index of the frame number in names of one pattern."""
    text, count = split[0].text, len(split[0].numbers)
    if count == 1:
        return 0
    if len(split) == 1:
        return _index_alone(source, names[0], split[0], what, 1)
    values = [[int(parts.numbers[k][-18:]) for parts in split] for k in range(count)]
    varying = [k for k in range(count) if len(set(values[k])) > 1]
    # The same number twice, as in 12/frame_12, is one.
    different = [
        k for i, k in enumerate(varying) if values[k] not in [values[j] for j in varying[:i]]
    ]
    if len(different) == 1:
        return different[0]
    after_word = [k for k in different if _FRAME_WORD.search(text[k])]
    if len(after_word) == 1:
        return after_word[0]
    raise source.error(
        f"{len(different)} numbers differ between the names of the {what}s, such as {names[0]} and "
        f"{names[-1]}: {_ADVICE}"
    )


def _index_alone(source: LabelSource, name: str, parts: _Name, what: str, num_patterns: int) -> int:
    """The index of the frame number in a name that no other name helps to understand."""
    text, numbers = parts
    if len(numbers) == 1:
        return 0
    after_word = [k for k in range(len(numbers)) if _FRAME_WORD.search(text[k])]
    if len(after_word) == 1:
        return after_word[0]
    # video_1080p_0001: the last number stands alone. 2024-05-01 and 12.30.45 are one thing.
    last_is_alone = not text[-1] and text[-2].endswith("_")
    if num_patterns == 1 and last_is_alone:
        return len(numbers) - 1
    raise source.error(
        f"the name of the {what} {name} has {len(numbers)} numbers, and it is not clear which one "
        f"counts the frames: {_ADVICE}"
    )
