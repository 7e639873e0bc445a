"""What a PROPFIND answers (RFC 4918, 14.16), read piece by piece.

By Python's own expat, which is as safe as a library around it once every DTD is refused: without one there are no
entities, so nothing can grow, and nothing from elsewhere is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

from msgspec import Struct

DAV = "DAV: "
LARGEST = 1024 * 1024 * 1024  # bytes, which are read as they come
LONGEST_TEXT = 16 * 1024  # characters
DEEPEST = 32


class Resource(Struct):
    """A response. What a server does not know is ''."""

    href: str = ""
    is_folder: bool = False
    etag: str = ""
    size: str = ""
    modified: str = ""
    created: str = ""
    mime_type: str = ""


FIELDS = {
    "href": "href",
    "getetag": "etag",
    "getcontentlength": "size",
    "getlastmodified": "modified",
    "creationdate": "created",
    "getcontenttype": "mime_type",
}


TEXTS = frozenset(DAV + name for name in FIELDS)


class NotMultistatus(ValueError):
    """It is no such answer, or one that is not read."""


class Reader:
    """Feed it what comes, and take what is complete."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._path: list[str] = []
        self._resource: Resource | None = None
        self._texts: list[str] | None = None
        self._length = 0
        self._complete: list[Resource] = []
        self._total = 0

    def feed(self, piece: bytes, *, is_last: bool = False) -> Iterator[Resource]:
        """The resources that are complete with this piece. Raises NotMultistatus."""
        self._total += len(piece)
        if self._total > LARGEST:
            raise NotMultistatus("it is too long")
        try:
            self._parser.Parse(piece, is_last)
        except expat.ExpatError as error:
            raise NotMultistatus("it is no XML") from error
        complete, self._complete = self._complete, []
        yield from complete

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if not self._path and name != DAV + "multistatus":
            raise NotMultistatus("it is another document")
        self._path.append(name)
        if len(self._path) > DEEPEST:
            raise NotMultistatus("it is nested too deeply")
        if name == DAV + "response":
            self._resource = Resource()
        elif name == DAV + "collection" and self._resource and self._path[-2] == DAV + "resourcetype":
            self._resource.is_folder = True
        elif name in TEXTS:
            self._texts, self._length = [], 0

    def _text(self, text: str) -> None:
        if self._texts is None:
            return
        self._length += len(text)
        if self._length > LONGEST_TEXT:
            raise NotMultistatus("one of its values is too long")
        self._texts.append(text)

    def _end(self, name: str) -> None:
        self._path.pop()
        if self._resource is None:
            return
        if name == DAV + "response":
            self._complete.append(self._resource)
            self._resource = None
        elif self._texts is not None and name in TEXTS:
            text = "".join(self._texts).strip()
            if text:  # a property that it has not is told too, as an empty one
                setattr(self._resource, FIELDS[name.removeprefix(DAV)], text)
            self._texts = None

    def _refuse(self, *_declaration: object) -> None:
        raise NotMultistatus("it has a DTD")
