"""The file family: sources are looked at when their time has come, and what is new there is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from lamplighter.app import App
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.files import Files
from lamplighter.families.files.source import Source
from lamplighter.families.tokens import TokenFamily

QUEUE = "files"

OpenSource = Callable[..., AbstractAsyncContextManager[Source]]


class FileFamily:
    """The family's jobs on one app, beside its token family. `sources` and `files` are there while the app is open."""

    sources: FileSources
    files: Files

    def __init__(self, app: App[Any], tokens: TokenFamily) -> None:
        self._app = app
        self._tokens = tokens
        app.lifespan(self._open)
        app.keep_part(self)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        service = self._tokens.service
        self.sources = FileSources(service.database, service.vault, clock=self._app.clock)
        self.files = Files(service.database)
        yield
