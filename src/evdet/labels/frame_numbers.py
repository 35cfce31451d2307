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


_TIME_ADVICE = "number the files by frame, or write a COCO file or a table with times `t`"
# 2024-05-01, and the time of day after it: the numbers of a date have one sign between them.
_DATE = re.compile(r"(?:19|20)\d\d")
_SIGN = re.compile(r"[-_.:T hms]{1,2}")
# Numbers of frames may go on after the end of a recording that was cut, but not all, and so far.
_TIMES_LONGER, _MORE = 10, 1000


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
        if len(digits.lstrip("0")) > _MAX_DIGITS or _is_fraction(parts, index):
            raise source.error(
                f"the number {digits[:20]} of the {what} {name} is not that of a frame but seems "
                f"to be a time: {_TIME_ADVICE}"
            )
        number = int(digits)
        if number in seen:
            raise source.error(
                f"the {what}s {seen[number]} and {name} both are frame {number}: {_ADVICE}"
            )
        seen[number] = name
        numbers.append(number)
    _check_in_recording(source, numbers, names, what)
    return numbers


def note_first_frame(numbers: Sequence[int]) -> tuple[str, ...]:
    """A note where frames seem to count from 1, though evdet counts from 0; empty otherwise."""
    if len(numbers) > 1 and min(numbers) == 1 and len(numbers) == max(numbers):
        return (
            "frame numbers run from 1; they are taken as counted from 0, so frame 0 has no labels",
        )
    return ()


def _check_in_recording(
    source: LabelSource, numbers: Sequence[int], names: Sequence[str], what: str
) -> None:
    """Refuse numbers that are all far beyond the recording, such as those of times."""
    recording, period = source.recording, source.frame_period
    if not numbers or recording is None or recording.end is None or not period or period < 0:
        return
    num_frames = recording.end // period - (recording.start or 0) // period + 1
    if min(numbers) > num_frames * _TIMES_LONGER + _MORE:
        raise source.error(
            f"the {what} {names[0]} is frame {numbers[0]:,}, far beyond the recording, which has "
            f"{num_frames:,} frames of {period} us: is the number a time, or --frame-period wrong? "
            f"If it is a time, {_TIME_ADVICE}"
        )


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
        _check_no_clock(source, split[0], different[0], names, what)
        return different[0]
    after_word = [k for k in different if _FRAME_WORD.search(text[k])]
    if len(after_word) == 1:
        return after_word[0]
    raise source.error(
        f"{len(different)} numbers differ between the names of the {what}s, such as {names[0]} and "
        f"{names[-1]}: {_ADVICE}"
    )


def _check_no_clock(
    source: LabelSource, parts: _Name, index: int, names: Sequence[str], what: str
) -> None:
    """Refuse the seconds of a time of day, as in 2024-05-01_12-30-45."""
    text, numbers = parts
    for first, year in enumerate(numbers):
        if not _DATE.fullmatch(year) or not first < index <= first + 5:
            continue
        # A number after the date alone may count frames: 2024-05-01_03.
        last = min(max(index, first + 4), len(numbers) - 1)
        signs, two = text[first + 1 : last + 1], numbers[first + 1 : last + 1]
        is_clock = len(two) >= 4 and all(len(number) == 2 for number in two)
        if (is_clock or index <= first + 2) and all(map(_SIGN.fullmatch, signs)):
            raise source.error(
                f"the names of the {what}s differ in a date or a time of day, such as "
                f"{names[0]}: {_TIME_ADVICE}"
            )


def _is_fraction(parts: _Name, index: int) -> bool:
    """Whether a number is the decimals of a time in seconds since 1970."""
    return index > 0 and parts.text[index] == "." and len(parts.numbers[index - 1]) >= 9


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
