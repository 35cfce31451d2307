"""The text of a label file, in the encodings of spreadsheets and editors."""

from pathlib import Path

from evdet.labels.source import LabelSource

__all__ = ["read_text"]

_MAX_BYTES = 1 << 30


def read_text(source: LabelSource, path: Path | None = None) -> str:
    """Read UTF-8, with or without byte order mark, or UTF-16 with it.

    Args:
        source: the label file.
        path: the file, where the labels are a folder.

    Raises:
        LabelError: it is not text.
    """
    path = path or source.path
    if path.stat().st_size > _MAX_BYTES:
        raise source.error(f"{path.stat().st_size} bytes are too many for labels", path=path)
    content = path.read_bytes()
    if content[:4] == b"PK\x03\x04":
        raise source.error(
            "it is an Excel workbook or a zip, not text: save the sheet as CSV", path=path
        )
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise source.error(
            f"byte {error.start} is not valid UTF-8: save the file as UTF-8", path=path
        ) from error
    if "\0" in text:
        raise source.error("it is a binary file, not text", path=path)
    return text
