"""What is found out about files of each kind, as the programs of others write them."""

from __future__ import annotations

import asyncio
import codecs
from datetime import UTC, timedelta
from functools import cache
from pathlib import Path

import pytest
from tests.families.files.extraction import documents as make

from lamplighter.core.config import Settings
from lamplighter.families.files.extraction.extracted import Extracted, ExtractionFailed
from lamplighter.families.files.extraction.extractor import Extractor
from lamplighter.families.files.extraction.limits import Limits, limits_from

CREATED = make.CREATED.replace(tzinfo=UTC)
GERMAN = "Der Leuchtturmwärter zündete am Abend die Lampen an, bevor der Sturm die Küste überrollte. "
RTF = rb"{\rtf1\ansi{\info{\title Harbour report}{\author Ada Keeper}}The keeper lit \b lamps\b0 .\par}"


@cache
def files() -> dict[str, bytes]:
    return {
        "a.docx": make.docx(),
        "a.pptx": make.pptx(),
        "a.xlsx": make.xlsx(),
        "a.odt": make.odt(),
        "a.pdf": make.pdf(),
        "opened.pdf": make.pdf(password=""),
        "locked.pdf": make.pdf(password="secret"),
        "locked.odt": make.odt(**{"META-INF/manifest.xml": "<m><encryption-data/></m>"}),
        "a.eml": make.mail(),
        "a.html": make.HTML,
        "a.md": make.MARKDOWN,
        "a.jpg": make.photo(),
        "a.svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><title>Map</title><text>Pier</text></svg>',
        "a.rtf": RTF,
        "a.epub": make.epub(),
        "broken.doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le") * 90,
        "pdf-called.txt": make.pdf(1),
        "word-called.pdf": make.docx(),
        "text-called.pdf": make.SENTENCE.encode(),
        "page-without-a-name": b"<!DOCTYPE html><p>seen",
        "mail-without-a-name": make.mail(),
        "garbage.pdf": bytes(range(128, 256)) * 9,
        "a.csv": b"name,lamps\nnorth,4\n",
        "a.json": b'{"lamps": [1, 2]}',
        "a.zip": make.zipped({"a.txt": "a"}),
        "a.mp3": b"ID3\x03\0\0\0\0\0\0",
        "empty.txt": b"",
        "latin.txt": (GERMAN * 9).encode("latin-1"),
        "utf16.txt": codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le"),
        "utf16-unmarked.txt": make.SENTENCE.encode("utf-16-be"),
        "cyrillic.txt": ("Смотритель маяка зажёг лампы до начала бури на побережье. " * 20).encode("cp1251"),
        "controls.txt": b"a\tb  c\r\n\r\n\r\nd\x1b[0me\xe2\x80\xaef",
    }


async def _all(folder: Path, limits: Limits) -> dict[str, Extracted | str]:
    answers: dict[str, Extracted | str] = {}
    async with Extractor(processes=1, limits=limits) as extractor:
        for name, content in files().items():
            path = folder / "content"
            path.write_bytes(content)
            try:
                answers[name] = await extractor.extract(path, name=name, mime_type="application/x-nonsense")
            except ExtractionFailed as error:
                answers[name] = str(error)
    return answers


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Extracted | str]:
    return asyncio.run(_all(tmp_path_factory.mktemp("files"), Limits(gps=True)))


@pytest.mark.parametrize(
    ("name", "kind", "pages", "says"),
    [
        ("a.docx", f"{make.OFFICE}wordprocessingml.document", 1, "Lamps\n{}\ncellular\nfootnoted"),
        ("a.pptx", f"{make.OFFICE}presentationml.presentation", 11, "Slide 9 {0}\nSlide 10 {0}\nwhispered"),
        ("a.xlsx", f"{make.OFFICE}spreadsheetml.sheet", 2, "Lamps\nOil\nname {} 4711 \nname 0.5"),
        ("a.odt", make.ODT, 3, "Lamps\n{}"),
        ("a.pdf", "application/pdf", 3, "Page 2\n{}"),
        ("opened.pdf", "application/pdf", 3, "Page 2\n{}"),
        ("a.eml", "message/rfc822", None, "{}"),
        ("a.html", "text/html", None, "{}\ncafé unbroken"),
        ("a.md", "text/markdown", None, "# Lamps\n{}"),
    ],
)
def test_documents_tell_their_text_title_author_pages_date_and_language(
    answers: dict[str, Extracted | str], name: str, kind: str, pages: int | None, says: str
) -> None:
    found = answers[name]
    assert isinstance(found, Extracted), found
    assert (found.mime_type, found.pages, found.is_cut) == (kind, pages, False)
    assert " ".join(says.format(make.SENTENCE).split()) in " ".join(found.text.split())
    assert "unseen" not in found.text
    assert (found.title, (found.author or "").partition(" <")[0]) == (make.TITLE, make.AUTHOR)
    assert found.created_at == CREATED or (found.created_at and found.created_at.replace(microsecond=0) == CREATED)
    assert found.language == "en"


def test_photos_tell_their_measures_camera_date_and_if_asked_for_their_place(
    answers: dict[str, Extracted | str],
) -> None:
    found = answers["a.jpg"]
    assert isinstance(found, Extracted)
    assert (found.title, found.author, found.created_at) == (make.TITLE, make.AUTHOR, CREATED)
    measures = {"width": 64, "height": 48, "format": "JPEG", "camera": "Lumen L1"}
    assert found.details == {**measures, "latitude": -54.5, "longitude": 10.25}


async def test_places_are_not_told_unasked_and_text_is_cut_where_the_limits_say(tmp_path: Path) -> None:
    async with Extractor(processes=1, limits=Limits(text_chars=100)) as extractor:
        for name in ("a.jpg", "a.docx", "a.pdf", "a.html", "a.xlsx", "a.odt", "a.eml", "utf16.txt"):
            (tmp_path / name).write_bytes(files()[name] if name != "utf16.txt" else (GERMAN * 9).encode("utf-16"))
            found = await extractor.extract(tmp_path / name, name=name)
            assert "latitude" not in found.details
            assert len(found.text) <= 100
            assert found.is_cut == (name in {"a.docx", "a.pdf", "a.html", "a.xlsx", "a.odt", "utf16.txt"}), name


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("a.svg", "image/svg+xml", "Map\nPier"),
        ("a.rtf", "application/rtf", "The keeper lit"),
        ("pdf-called.txt", "application/pdf", "Page 0"),
        ("word-called.pdf", f"{make.OFFICE}wordprocessingml.document", "Lamps"),
        ("text-called.pdf", "text/plain", make.SENTENCE),
        ("page-without-a-name", "text/html", "seen"),
        ("mail-without-a-name", "message/rfc822", make.SENTENCE),
        ("garbage.pdf", "application/octet-stream", ""),
        ("a.csv", "text/csv", "name,lamps\nnorth,4"),
        ("a.json", "application/json", '{"lamps": [1, 2]}'),
        ("a.zip", "application/zip", ""),
        ("a.mp3", "audio/mpeg", ""),
        ("empty.txt", "text/plain", ""),
        ("latin.txt", "text/plain", GERMAN),
        ("utf16.txt", "text/plain", GERMAN.strip()),
        ("utf16-unmarked.txt", "text/plain", make.SENTENCE),
        ("cyrillic.txt", "text/plain", "Смотритель маяка"),
        ("controls.txt", "text/plain", "a b c\nd[0mef"),
    ],
)
def test_a_file_is_what_its_content_says_whatever_it_is_called(
    answers: dict[str, Extracted | str], name: str, kind: str, text: str
) -> None:
    found = answers[name]
    assert isinstance(found, Extracted), found
    assert found.mime_type == kind
    assert found.text.startswith(text)


def test_books_and_files_of_older_programs_are_read_by_kreuzberg(answers: dict[str, Extracted | str]) -> None:
    for name in ("a.epub", "a.rtf"):
        found = answers[name]
        assert isinstance(found, Extracted), found
        assert (found.title, found.author) == (make.TITLE, make.AUTHOR)
        assert "keeper lit" in found.text
    assert answers["broken.doc"] == "it is damaged, or of a version that kreuzberg cannot read."


def test_an_operators_settings_are_limits() -> None:
    settings = Settings(files_timeout=timedelta(seconds=7), files_memory_mb=300, files_text=9, files_gps="on")
    assert limits_from(settings) == Limits(seconds=7, memory_mb=300, text_chars=9, gps=True)


def test_languages_are_told_of_texts_that_are_long_enough(answers: dict[str, Extracted | str]) -> None:
    names = ("latin.txt", "cyrillic.txt", "a.csv", "empty.txt")
    assert [getattr(answers[name], "language", "none") for name in names] == ["de", "ru", None, None]


@pytest.mark.parametrize("name", ["locked.pdf", "locked.odt"])
def test_a_file_with_a_password_is_said_to_be_locked(answers: dict[str, Extracted | str], name: str) -> None:
    assert answers[name] == "it is locked with a password."


def test_attachments_are_named_and_dates_that_cannot_be_are_none(answers: dict[str, Extracted | str]) -> None:
    mail, page, text = answers["a.eml"], answers["a.html"], answers["a.odt"]
    assert isinstance(mail, Extracted)
    assert isinstance(page, Extracted)
    assert isinstance(text, Extracted)
    assert mail.details == {"to": "b@example.com", "attachments": "oil.pdf"}
    assert page.details == {"description": "All lamps"}
    assert text.modified_at is None
