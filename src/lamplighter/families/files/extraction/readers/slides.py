"""PowerPoint presentations (.pptx)."""

from __future__ import annotations

from lamplighter.families.files.extraction.document import Document, Found
from lamplighter.families.files.extraction.readers.office import add_paragraphs, main_part, numbered, open_parts


def read(document: Document, found: Found) -> None:
    """What is on each slide, then what the speaker noted."""
    parts = open_parts(document, found)
    main_part(parts, "ppt/presentation.xml")
    slides = numbered(parts, r"ppt/slides/slide(\d{1,6})\.xml")
    found.pages = len(slides)
    for name in (*slides, *numbered(parts, r"ppt/notesSlides/notesSlide(\d{1,6})\.xml")):
        add_paragraphs(parts, name, found)
