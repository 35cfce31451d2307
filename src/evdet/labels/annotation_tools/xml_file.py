"""The XML of an annotation tool, without what only harmful files have."""

from xml.etree import ElementTree

from evdet.labels.source import LabelSource
from evdet.labels.text import read_text

__all__ = ["read_xml"]


def read_xml(source: LabelSource) -> ElementTree.Element:
    """Read an XML file.

    Raises:
        LabelError: it is not XML, or it declares entities, which can fill the memory; annotation
            tools write none.
    """
    text = read_text(source)
    if "<!DOCTYPE" in text:
        raise source.error(
            "the XML has a document type (<!DOCTYPE ...>), which annotation tools do not write: "
            "remove it if you trust the file"
        )
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise source.error(f"not valid XML: {error}. Was the file copied completely?") from error
