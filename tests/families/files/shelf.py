"""An index of one source, without jobs: synced page by page, read, and compared with what should be in it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from tests.families.files.places import Stub

from lamplighter.core.clock import to_us, utcnow
from lamplighter.core.ids import new_id
from lamplighter.families.files import reading
from lamplighter.families.files.apply import Applied
from lamplighter.families.files.file_source import FileSource, NewSource
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.files import Files, Filter
from lamplighter.families.files.reader import Reader
from lamplighter.families.files.source import Source
from lamplighter.families.files.syncing import Syncing
from lamplighter.families.files.told import SHARDS
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.file_tables import file_texts, files
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.tenants import Tenant, Tenants
from lamplighter.integrations.vault import Vault, new_key
from lamplighter.observe.meter import Meter

COMPARED = ("remote_id", "parent", "name", "path", "is_folder", "mime_type", "size", "revision", "status", "reason")
FOUND = ("digest", "title", "author", "language", "pages", "details", "tries", "due")


class Killed(Exception):
    """The process is gone."""


class Shelf:
    """What is known of one source of one tenant."""

    def __init__(self, database: Database, source: FileSource) -> None:
        self.database = database
        self.source = source
        self.sources = FileSources(database, Vault.from_text(new_key()))
        self.files = Files(database)
        self.meter = Meter()
        self.extractor = Stub()

    async def sync(self, tree: Source, *, die_after: int | None = None) -> int:
        """Until all is told, or it dies after so many pages. Returns how much was told anew."""
        pages = 0

        async def on_page(_: Applied) -> None:
            nonlocal pages
            pages += 1
            if pages == die_after:
                raise Killed

        syncing = Syncing(self.database, clock=utcnow)
        progress = await syncing.go_on(self.source.id, tree, is_over=lambda: False, on_page=on_page)
        assert progress.is_done
        return progress.changed

    async def read(self, tree: Source) -> None:
        """All that is to be read."""
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(tree, self.extractor, Path(folder), largest=100_000, meter=self.meter)
            for shard in range(SHARDS):
                take = partial(reading.take, source_id=self.source.id, shard=shard, after=0)
                while taken := await self.database.write(take):
                    await self.database.write(partial(reading.begin, source_id=self.source.id, taken=taken))
                    verdicts = [await reader.read(one) for one in taken]
                    await self.database.write(
                        partial(reading.store, source_id=self.source.id, verdicts=verdicts, now=utcnow())
                    )

    async def rows(self) -> list[dict[str, Any]]:
        """All columns of all files that should not depend on how they came there, with their texts."""
        columns = [files.c[name] for name in (*COMPARED, *FOUND)]
        statement = select(*columns, file_texts.c.text).outerjoin(file_texts, file_texts.c.file_id == files.c.id)
        found = statement.where(files.c.source_id == self.source.id).order_by(files.c.remote_id)
        return [dict(row._mapping) for row in await self._read(found)]

    async def counted(self) -> tuple[int, int, int]:
        """What the source says of itself."""
        source = await self.sources.get(self.source.id)
        assert source is not None
        return source.files, source.pending, source.failed

    async def recounted(self) -> tuple[int, int, int]:
        """What is so."""
        is_file = (files.c.source_id == self.source.id, files.c.is_folder.is_(False))
        statement = select(files.c.status, func.count()).where(*is_file).group_by(files.c.status)
        by_status = {row[0]: row[1] for row in await self._read(statement)}
        return sum(by_status.values()), by_status.get("pending", 0), by_status.get("error", 0)

    async def found(self, query: str) -> list[str]:
        """The paths of what a search finds."""
        here = Filter(source_id=self.source.id)
        return sorted(hit.file.path for hit in await self.files.search(self.source.tenant_id, query, here, limit=200))

    async def _read(self, statement: Any) -> Any:
        return await self.database.read(lambda connection: connection.execute(statement).all())


@asynccontextmanager
async def shelves(url: str, *tenants: str) -> AsyncIterator[list[Shelf]]:
    """One for each of these tenants, in one database."""
    async with Database(url) as database:
        await upgrade(database)
        await Tenants(database).add([Tenant(id=one, name=one, owner_id="auth|1") for one in tenants])
        sources = FileSources(database, Vault.from_text(new_key()))
        new = [NewSource(tenant_id=one, kind="webdav", name="files", place="http://files.test/") for one in tenants]
        yield [Shelf(database, await sources.add(one)) for one in new]


async def fresh(shelf: Shelf) -> Shelf:
    """The source of another tenant, of which nothing is known yet."""
    tenant = Tenant(id=new_id(to_us(utcnow())), name="another", owner_id="auth|1")
    await Tenants(shelf.database).add([tenant])
    new = NewSource(tenant_id=tenant.id, kind="webdav", name="files", place="http://files.test/")
    return Shelf(shelf.database, await shelf.sources.add(new))
