"""The text of a label file, whatever a spreadsheet or editor has made of its letters."""

from pathlib import Path

from evdet.labels.source import LabelSource

__all__ = ["read_text"]

_MAX_BYTES = 1 << 30


def read_text(source: LabelSource, path: Path | None = None) -> str:
    """Read UTF-8, with or without the mark that Excel puts in front, or UTF-16 with its mark.

    Args:
        source: whose error to raise.
        path: the file, where the labels are a folder.

    Returns:
        The text.

    Raises:
        LabelError: these are no letters.
    """
    path = path or source.path
    if path.stat().st_size > _MAX_BYTES:
        raise source.error(f"{path.stat().st_size} bytes are no label file", path=path)
    content = path.read_bytes()
    if content[:4] == b"PK\x03\x04":
        raise source.error(
            "this is an Excel workbook or a zip, not text: save the sheet as CSV", path=path
        )
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise source.error(
            f"byte {error.start} is no text in UTF-8: save the file as UTF-8", path=path
        ) from error
    if "\0" in text:
        raise source.error("this is a binary file, not text", path=path)
    return text
