"""Excel workbooks (.xlsx): names of sheets, texts and numbers of cells, row by row."""

from __future__ import annotations

from collections.abc import Mapping

from lamplighter.families.files.extraction.document import Document, Found
from lamplighter.families.files.extraction.readers.office import main_part, numbered, open_parts
from lamplighter.families.files.extraction.xml_events import parse, whole

_LONGEST_CELL = 32_767  # characters, as Excel has it


def read(document: Document, found: Found) -> None:
    """All sheets."""
    parts = open_parts(document, found)
    names = _SheetNames()
    parse(parts.read(main_part(parts, "xl/workbook.xml")), names)
    found.pages = len(names.names)
    found.add("\n".join(names.names) + "\n")
    shared = _SharedTexts(document.limits.text_chars)
    if "xl/sharedStrings.xml" in parts.names:
        parse(parts.read("xl/sharedStrings.xml"), shared)
    for name in numbered(parts, r"xl/worksheets/sheet(\d{1,6})\.xml"):
        parse(parts.read(name), _Rows(shared.texts, found))


class _SheetNames:
    def __init__(self) -> None:
        self.names: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            self.names.append(attributes.get("name", ""))

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class _SharedTexts:
    """Cells name a text by its number. Once they are longer in all than may be told, the rest is left empty."""

    def __init__(self, most: int) -> None:
        self.texts: list[str] = []
        self._left = most
        self._piece = ""
        self._in_text = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002
        self._in_text = name == "t"

    def end(self, name: str) -> None:
        self._in_text = False
        if name == "si":
            self.texts.append(self._piece)
            self._piece = ""

    def text(self, text: str) -> None:
        if self._in_text and self._left > 0:
            self._piece += text[: self._left]
            self._left -= len(text)


class _Rows:
    def __init__(self, shared: list[str], found: Found) -> None:
        self._shared = shared
        self._found = found
        self._is_shared = False
        self._value: str | None = None

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "c":
            self._is_shared = attributes.get("t") == "s"
        self._value = "" if name in {"v", "t"} else None

    def end(self, name: str) -> None:
        if self._value is not None:
            self._found.add(self._resolved(self._value) + " ")
            self._value = None
        elif name == "row":
            self._found.add("\n")

    def text(self, text: str) -> None:
        if self._value is not None and len(self._value) < _LONGEST_CELL:
            self._value += text

    def _resolved(self, value: str) -> str:
        if not self._is_shared:
            return value
        number = whole(value)
        return self._shared[number] if number is not None and number < len(self._shared) else ""
