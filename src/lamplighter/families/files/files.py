"""The files that are indexed, for whoever may see those of a tenant: listed, shown, searched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select

from lamplighter.families.files.file import File, Status, file_of
from lamplighter.families.files.query import Query, parse
from lamplighter.families.files.search import MOST_RANKED, best
from lamplighter.families.files.snippet import highlighted, snippet
from lamplighter.families.files.words import clean
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.file_tables import file_sources, file_texts, files

MOST = 200  # files in one page
MOST_FOUND = MOST_RANKED  # how far a search can be gone through
MOST_LOOKED_AT = 10_000  # files, for one page of those that no index tells apart

_row = files.c


class Hit(Struct, frozen=True, kw_only=True):
    """A file that was found. `name` and `snippet` have `words.MARK` and `words.END_MARK` around what matched: escape
    the text, then put tags in their places. The snippet is '' for a file that says nothing."""

    file: File
    name: str
    snippet: str


class Looked(Struct, frozen=True, kw_only=True):
    """What was found. `next`: what to go on with; None: all was looked at."""

    files: list[File]
    next: str | None


class Filter(Struct, frozen=True, kw_only=True):
    """Which files. `mime_type`: what it begins with, such as 'image/'. `under`: the folder that they are in, a path."""

    source_id: str | None = None
    mime_type: str | None = None
    language: str | None = None
    under: str | None = None
    status: Status | None = None

    @property
    def is_slow(self) -> bool:
        """Whether very many files may have to be looked at to find a few."""
        has_index = self.status in {None, "error"}
        return self.mime_type is not None or self.language is not None or not has_index


ALL = Filter()


class Files:
    """The table of files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant_id: str, file_id: int) -> File | None:
        """The file of that tenant, if there is one."""
        statement = select(files).where(_row.id == file_id, *_visible(tenant_id))
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        return None if row is None else file_of(row)

    async def text(self, tenant_id: str, file_id: int) -> str | None:
        """What it says, as much as is kept of that; None: it says nothing, or there is no such file."""
        statement = select(file_texts.c.text).join(files, _row.id == file_texts.c.file_id)
        found = statement.where(_row.id == file_id, *_visible(tenant_id))
        return await self._database.read(lambda connection: connection.execute(found).scalar())

    async def page(self, tenant_id: str, which: Filter = ALL, *, limit: int = 100, after: str = "") -> list[File]:
        """Files and folders by path; go on with `after` = that of the last one of the page."""
        statement = page_of(tenant_id, which, min(limit, MOST), after)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [file_of(row) for row in rows]

    async def look(self, tenant_id: str, which: Filter = ALL, *, limit: int = 100, after: str = "") -> Looked:
        """The same, for somebody who waits: a page that no index helps to find may be short, and goes on all the same.
        Go on with `after` = `next`.
        """
        most = min(limit, MOST)

        def read(connection: Connection) -> Looked:
            end = connection.execute(_end_of_look(tenant_id, which, after)).first() if which.is_slow else None
            statement = page_of(tenant_id, which, most, after)
            if end is not None:
                statement = statement.where(_row.path <= end.path, or_(_row.path < end.path, _row.id <= end.id))
            found = [file_of(row) for row in connection.execute(statement)]
            if len(found) == most:
                return Looked(files=found, next=found[-1].after)
            return Looked(files=found, next=None if end is None else f"{end.id}:{end.path}")

        return await self._database.read(read)

    async def search(
        self, tenant_id: str, query: str, which: Filter = ALL, *, limit: int = 20, after: int = 0
    ) -> list[Hit]:
        """Files that have all of the words, "phrases" and beginnings* of a query and none of its -words, in their name,
        title or text; the best first. Go on with `after` = how many were seen; it goes no further than `MOST_FOUND`.

        Of more than that many, the newest are ranked.
        """
        parsed = parse(query)
        if not parsed.wanted or not 0 <= after < MOST_FOUND:
            return []
        conditions = [*_visible(tenant_id), *_conditions(which), _row.is_folder.is_(False)]
        most = min(limit, MOST, MOST_FOUND - after)

        def read(connection: Connection) -> list[Row[Any]]:
            ids = best(connection, tenant_id, parsed, conditions, limit=most, offset=after)
            rows = {row.id: row for row in connection.execute(_with_text(ids))} if ids else {}
            return [rows[id_] for id_ in ids]

        rows = await self._database.read(read)
        return await asyncio.to_thread(lambda: [_hit(row, parsed) for row in rows])


def page_of(tenant_id: str, which: Filter, limit: int, after: str) -> Select[Any]:
    """The statement behind `page`."""
    statement = select(files).where(*_visible(tenant_id), *_conditions(which), *_further(after))
    return statement.order_by(_row.path, _row.id).limit(limit)


def _end_of_look(tenant_id: str, which: Filter, after: str) -> Select[Any]:
    """Where as many as may be looked at come to their end, if there are more: told by an index alone."""
    within = _conditions(Filter(source_id=which.source_id, under=which.under))
    statement = select(_row.path, _row.id).where(_row.tenant_id == tenant_id, *within, *_further(after))
    return statement.order_by(_row.path, _row.id).offset(MOST_LOOKED_AT - 1).limit(1)


def _further(after: str) -> list[ColumnElement[bool]]:
    """What comes after that one."""
    id_, _, path = after.partition(":")
    if not id_.isdecimal() or len(id_) >= 19:
        return []
    path = clean(path)
    return [_row.path >= path, or_(_row.path > path, and_(_row.path == path, _row.id > int(id_)))]


def _visible(tenant_id: str) -> list[ColumnElement[bool]]:
    """A tenant's, but for those of a source that is being removed."""
    gone = select(file_sources.c.id).where(file_sources.c.tenant_id == tenant_id, file_sources.c.state == "removed")
    return [_row.tenant_id == tenant_id, _row.source_id.not_in(gone)]


def _conditions(which: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if which.source_id is not None:
        conditions.append(_row.source_id == which.source_id)
    if which.mime_type is not None:
        conditions.append(_row.mime_type.startswith(clean(which.mime_type), autoescape=True))
    if which.language is not None:
        conditions.append(_row.language == clean(which.language))
    if which.status is not None:
        conditions += [_row.status == which.status, _row.is_folder.is_(False)]
    if which.under is not None and (folder := clean(which.under).strip("/")):
        conditions += [_row.path >= f"{folder}/", _row.path < f"{folder}0"]  # '0' comes next after '/'
    return conditions


def _with_text(ids: Sequence[int]) -> Select[Any]:
    return (
        select(files, file_texts.c.text).outerjoin(file_texts, file_texts.c.file_id == _row.id).where(_row.id.in_(ids))
    )


def _hit(row: Row[Any], query: Query) -> Hit:
    file = file_of(row)
    return Hit(file=file, name=highlighted(file.name, query), snippet=snippet(row.text, query) if row.text else "")
