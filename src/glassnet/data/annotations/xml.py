"""XML from strangers: a small tree, and no document type, so no entities that grow into gigabytes or read files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

LARGEST = 1 << 24  # bytes: an annotation of one picture is a few thousand


class BadXml(ValueError):  # noqa: N818 - never leaves this package
    """The file is no XML that is read here; the message says why, as the rest of a sentence."""


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root element of a file. Raises `BadXml`, and `OSError` where it cannot be read."""
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise BadXml(f"it has more than {LARGEST >> 20} MB; expected the annotation of one picture")
    return parse_xml(data)


def parse_xml(data: bytes) -> ElementTree.Element:
    """Return the root element of `data`. Raises `BadXml`.

    Expat is used bare because `ElementTree.XMLParser` has no switch that refuses a document type.
    """
    if not data.strip():
        raise BadXml("it is an empty file")
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: encodings that do not exist
        if isinstance(error, BadXml):
            raise
        raise BadXml(f"it is no well-formed XML: {error}") from error
    return builder.close()


def _refuse(*_: object) -> None:
    raise BadXml("it declares a document type (DTD), which can hide entities; remove the <!DOCTYPE ...>")
