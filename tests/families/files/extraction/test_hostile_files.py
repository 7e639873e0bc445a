"""Files that somebody made to break whoever reads them: each gets a verdict, and the next one is read."""

from __future__ import annotations

import asyncio
import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.families.files.extraction import documents as make

from lamplighter.families.files.extraction.extracted import Extracted, ExtractionFailed
from lamplighter.families.files.extraction.extractor import Extractor
from lamplighter.families.files.extraction.finish import keeps_to
from lamplighter.families.files.extraction.limits import Limits

LIMITS = Limits(seconds=20, text_chars=50_000, unpacked_bytes=20 * 1024 * 1024)
DEEP = 100_000


def bomb() -> bytes:
    """A gigabyte of spaces could be in there; what is, is enough to tell."""
    return make.word("<w xmlns='w'><t>" + " " * (30 * 1024 * 1024) + "</t></w>")


def lying_bomb() -> bytes:
    """It says that its part has ten bytes."""
    data = bytearray(bomb())
    directory = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    return bytes(data)


def many_parts() -> bytes:
    return make.zipped(
        {"word/document.xml": "<w/>", "[Content_Types].xml": "", **{f"word/{n}": "" for n in range(20_001)}}
    )


def oddly_packed() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", b" " * 1024 * 1024)
    return file.getvalue()


def hostile() -> dict[str, tuple[bytes, str]]:
    """Files, and what is to be said of those that have to be refused."""
    pdf = make.pdf()
    return {
        "bomb.docx": (bomb(), "packed more than 300 times"),
        "bomb.odt": (make.odt(**{"META-INF/manifest.xml": " " * (30 * 1024 * 1024)}), ""),
        "lying.docx": (lying_bomb(), "damaged"),
        "many.docx": (many_parts(), "more than 20000 entries"),
        "bzip2.docx": (oddly_packed(), "no office program"),
        "laughs.docx": (make.word(f"{make.MANY_LAUGHS}<x>&b;</x>"), "entities"),
        "laughs.odt": (make.odt(make.MANY_LAUGHS), "entities"),
        "laughs.svg": (f'<?xml version="1.0"?>{make.MANY_LAUGHS}<svg>&b;</svg>'.encode(), "entities"),
        "laughs.xml": (f'<?xml version="1.0"?>{make.MANY_LAUGHS}<x>&b;</x>'.encode(), "entities"),
        "other.docx": (make.word(f"{make.OTHER_FILE}<x>&a;</x>"), "entities"),
        "other.odt": (make.odt(make.OTHER_FILE), "entities"),
        "other.svg": (f"{make.OTHER_FILE}<svg>&a;</svg>".encode(), "entities"),
        "half.docx": (make.docx()[:9000], "breaks off"),
        "loop.pdf": (make.pdf_with_a_loop(), "damaged"),
        "head.pdf": (pdf[:60], "PDF"),
        "third.pdf": (pdf[: len(pdf) // 3], ""),
        "most.pdf": (pdf[:-40], ""),
        "bomb.gif": (make.image_bomb(), ""),
        "half.jpg": (make.photo()[:30], "damaged"),
        "nested.eml": (make.nested_mail(1000), ""),
        "deep.html": (b"<html>" + b"<div>" * DEEP + b"seen", ""),
        "unended.html": (b"<html><p>seen" + b"<!" * DEEP, ""),
        "deep.xml": (b"<?xml version='1.0'?>" + b"<a>" * DEEP + b"seen" + b"</a>" * DEEP, ""),
        "nested.zip": (make.zipped({"a.zip": make.zipped({"a.zip": bomb()})}), ""),
        "deep.json": (b"[" * DEEP, ""),
    }


async def test_every_hostile_file_gets_a_verdict_and_the_callers_memory_stays_flat(tmp_path: Path) -> None:
    large = tmp_path / "2gb"
    with large.open("wb") as file:
        file.truncate(2 * 1024**3)
    paths = [large]
    reasons = {}
    for name, (content, reason) in hostile().items():
        reasons[name] = reason
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    verdicts: dict[str, Extracted | str] = {}
    async with Extractor(limits=LIMITS) as extractor:

        async def read(path: Path) -> None:
            try:
                verdicts[path.name] = await extractor.extract(path, name=path.name)
            except ExtractionFailed as error:
                verdicts[path.name] = str(error)

        await read(paths[-1])
        tracemalloc.start()
        await asyncio.gather(*map(read, paths))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 3 * 1024 * 1024
    for name, reason in reasons.items():
        verdict = verdicts[name]
        assert verdict
        assert reason in str(verdict), name
        assert not reason or isinstance(verdict, str), name
        assert "root:" not in str(verdict)
    assert isinstance(verdicts["2gb"], Extracted)
    assert getattr(verdicts["nested.eml"], "title", None) == make.TITLE
    for name in ("deep.html", "deep.xml"):
        assert getattr(verdicts[name], "text", None) == "seen"
    assert getattr(verdicts["bomb.gif"], "details", {})["width"] == 65535


def test_whatever_bytes_and_name_a_file_has_it_is_read_or_said_to_be_unreadable(tmp_path: Path) -> None:
    begins = [
        b"",
        b"%PDF-1.7\n",
        b"PK\x03\x04",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"II*\0",
        b"{\\rtf1",
        b"<html>",
        b"From: a\nTo: b\n",
    ]
    begins += [b"<?xml version='1.0'?><svg>", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"---\ntitle: ", b"\xff\xfe"]
    whole = [make.docx(), make.xlsx(), make.pdf(), make.photo(), make.mail(), make.odt()]
    name = st.text(max_size=20) | st.sampled_from(
        ["a.pdf", "a.docx", "a.eml", "a.md", "a.csv", "a.png", "a.doc", "a.html"]
    )

    def broken(content: bytes, at: float, put: bytes) -> bytes:
        place = int(at * len(content))
        return content[:place] + put + content[place + len(put) :]

    damaged = st.builds(broken, st.sampled_from(whole), st.floats(0, 1), st.binary(min_size=1, max_size=40))
    made = st.builds(bytes.__add__, st.sampled_from(begins), st.binary(max_size=400))
    path = tmp_path / "a"
    extractor = Extractor(processes=1, limits=LIMITS)
    with asyncio.Runner() as runner:
        runner.run(extractor.__aenter__())

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(content=made | damaged, name=name, claimed=st.none() | st.text(max_size=30))
        def read(content: bytes, name: str, claimed: str | None) -> None:
            path.write_bytes(content)
            try:
                found = runner.run(extractor.extract(path, name=name, mime_type=claimed))
            except ExtractionFailed as error:
                assert str(error).startswith("it")  # noqa: PT017 - either will do
            else:
                assert keeps_to(LIMITS, found)

        try:
            read()
        finally:
            runner.run(extractor.__aexit__(None, None, None))


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    async with Extractor(processes=1, limits=LIMITS) as extractor:
        for name, reason in {"folder": "no regular file", "pipe": "no regular file", "nothing": "No such file"}.items():
            with pytest.raises(ExtractionFailed, match=reason):
                await extractor.extract(tmp_path / name, name="a")
