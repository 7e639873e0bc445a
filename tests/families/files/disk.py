"""A folder on disk as a source, for processes that are killed; what is opened there is written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.families.files.places import Stub

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.families.files.extraction.extracted import Extracted
from lamplighter.families.files.family import FileFamily
from lamplighter.families.files.source import Entry, FileRefused, Page, Source
from lamplighter.families.tokens import TokenFamily

PAGE = 20


class Disk:
    """All files of a folder, by path."""

    has_delta = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def list(self, cursor: str | None) -> Page:
        paths = sorted(str(one.relative_to(self._folder)) for one in self._folder.rglob("*"))
        left = [one for one in paths if one > (cursor or "")]
        some = left[:PAGE]
        return Page(
            entries=[self._entry(one) for one in some],
            cursor=some[-1] if some else cursor or "",
            is_last=len(left) <= PAGE,
        )

    async def delta(self, cursor: str) -> Page:
        raise NotImplementedError

    @asynccontextmanager
    async def open(self, entry: Entry) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            content = (self._folder / entry.id).read_bytes()
        except FileNotFoundError:
            raise FileRefused("the file is gone") from None
        yield _whole(content)

    def _entry(self, path: str) -> Entry:
        found = self._folder / path
        is_folder, state = found.is_dir(), found.stat()
        size = None if is_folder else state.st_size
        return Entry(
            id=path, name=found.name, path=path, is_folder=is_folder, size=size, revision=str(state.st_mtime_ns)
        )


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


class Slow(Stub):
    """It takes a while, and writes down what it reads."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    async def extract(self, path: Path, *, name: str, mime_type: str | None) -> Extracted:
        with self._log.open("a") as log:
            log.write(f"{name}\n")
        await asyncio.sleep(0.005)  # a while in which it can be caught at it
        return await super().extract(path, name=name, mime_type=mime_type)


@asynccontextmanager
async def open_disk(kind: str, place: str, **_more: Any) -> AsyncIterator[Source]:
    yield Disk(Path(place))


def declare(settings: Settings, log: Path) -> tuple[App[None], FileFamily]:
    """An app with the family."""
    app = App(settings=settings)
    return app, FileFamily(app, TokenFamily(app), open_source=open_disk, extractor=Slow(log))
