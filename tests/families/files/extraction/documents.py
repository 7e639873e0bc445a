"""Documents as real programs write them, and what an attacker makes of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from typing import Any

from PIL import ExifTags, Image
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject

CREATED = datetime(2024, 5, 6, 7, 8, 9)  # noqa: DTZ001 - as office programs keep it, who mean UTC
TITLE, AUTHOR = "Harbour report", "Ada Keeper"
SENTENCE = "The lighthouse keeper lit the lamps along the harbour before the evening storm reached the coast."
OFFICE = "application/vnd.openxmlformats-officedocument."
ODT = "application/vnd.oasis.opendocument.text"
MANY_LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OTHER_FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def docx() -> bytes:
    from docx import Document

    document = Document()
    document.add_heading("Lamps")
    document.add_paragraph(SENTENCE)
    document.add_table(rows=1, cols=2).rows[0].cells[1].text = "cellular"
    document.sections[0].footer.paragraphs[0].text = "footnoted"
    _tell(document.core_properties)
    return _saved(document)


def pptx() -> bytes:
    from pptx import Presentation

    presentation = Presentation()
    for number in range(11):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = f"Slide {number} {SENTENCE}"
    slide.notes_slide.notes_text_frame.text = "whispered"
    _tell(presentation.core_properties)
    return _saved(presentation)


def xlsx() -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "Lamps"
    book.active.append(["name", SENTENCE, 4711])
    book.create_sheet("Oil").append(["name", 0.5])
    book.properties.title, book.properties.creator, book.properties.created = TITLE, AUTHOR, CREATED
    return _saved(book)


def _tell(properties: Any) -> None:
    properties.title, properties.author, properties.created = TITLE, AUTHOR, CREATED


def _saved(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def pdf(pages: int = 3, password: str | None = None) -> bytes:
    writer = PdfWriter()
    font = DictionaryObject({NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1")})
    font[NameObject("/BaseFont")] = NameObject("/Helvetica")
    for number in range(pages):
        page = writer.add_blank_page(600, 800)
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        lines = "".join(f"({SENTENCE}) Tj 0 -20 Td " for _ in range(20))
        content.set_data(f"BT /F1 12 Tf 10 700 Td (Page {number}) Tj 0 -20 Td {lines}ET".encode())
        page[NameObject("/Contents")] = ArrayObject([writer._add_object(content)])
    writer.add_metadata({"/Title": TITLE, "/Author": AUTHOR, "/CreationDate": "D:20240506090809+02'00'"})
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def pdf_with_a_loop() -> bytes:
    """The tree of its pages has its own root as a child."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>",
    )
    data, places = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj%sendobj\n" % (number, item)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return data + b"xref\n0 3\n0000000000 65535 f \n%strailer<</Root 1 0 R/Size 3>>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(data),
    )


def zipped(parts: Mapping[str, bytes | str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def word(body: bytes | str) -> bytes:
    return zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": body})


def odt(prolog: str = "", **more: str) -> bytes:
    meta = (
        '<meta xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:meta="urn:meta">'
        f"<dc:title>{TITLE}</dc:title><meta:initial-creator>{AUTHOR}</meta:initial-creator>"
        "<meta:creation-date>2024-05-06T07:08:09.123456789</meta:creation-date><dc:date>9999-99-99</dc:date>"
        '<meta:document-statistic meta:page-count="3"/></meta>'
    )
    content = f'{prolog}<c xmlns:text="urn:text"><text:h>Lamps</text:h><text:p>{SENTENCE}</text:p></c>'
    return zipped({"mimetype": ODT, "meta.xml": meta, "content.xml": content, **more})


def epub() -> bytes:
    book = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{TITLE}</dc:title><dc:creator>{AUTHOR}</dc:creator></metadata>"
        '<manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    box = '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="c.opf"/>'
    page = f'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>{SENTENCE}</p></body></html>'
    box += "</rootfiles></container>"
    return zipped({"mimetype": "application/epub+zip", "META-INF/container.xml": box, "c.opf": book, "a.xhtml": page})


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"{AUTHOR} <ada@example.com>", "b@example.com", TITLE
    message["Date"] = "Mon, 06 May 2024 09:08:09 +0200"
    message.set_content(SENTENCE)
    message.add_alternative("<p>unseen</p>", subtype="html")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="oil.pdf")
    return message.as_bytes()


def nested_mail(depth: int) -> bytes:
    head = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth))
    return f"From: a@example.com\nSubject: {TITLE}\n{head}Content-Type: text/plain\n\nhello\n".encode()


def photo() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model], exif[ExifTags.Base.Artist] = "Lumen", "L1", AUTHOR
    exif[ExifTags.Base.ImageDescription] = TITLE
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLatitude] = "S", (54.0, 30.0, 0.0)
    place[ExifTags.GPS.GPSLongitudeRef], place[ExifTags.GPS.GPSLongitude] = "E", (10.0, 15.0, 0.0)
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def image_bomb() -> bytes:
    """A GIF of 65535 x 65535 in a few bytes."""
    return b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;"


HTML = f"""<!-- made by hand --><!DOCTYPE html><html lang="en-GB"><head><title>{TITLE}</title>
<meta name="author" content="{AUTHOR}"><meta name="description" content="All lamps">
<meta property="article:published_time" content="2024-05-06T09:08:09+02:00">
<style>p {{ color: unseen }}</style><script>unseen()</script></head>
<body><p>{SENTENCE}<p>caf&eacute; un<b>bro</b>ken</body></html>""".encode()
MARKDOWN = f"---\ntitle: '{TITLE}'\nauthor: {AUTHOR}\ndate: 2024-05-06T07:08:09Z\n---\n# Lamps\n{SENTENCE}\n".encode()
