"""Searching: who did what, the latest first, in the live table and in archives.

A page reads a bounded number of rows and objects. Where it finds too little in them it says where to go on, so that
nobody waits for long, and none is left out.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, or_, select, tuple_

from lamplighter.core.clock import from_us, to_us
from lamplighter.core.errors import ConfigError
from lamplighter.families.audit import objects
from lamplighter.families.audit.archive import Archive, archives_by
from lamplighter.families.audit.storage import Storage
from lamplighter.integrations.audit import Record
from lamplighter.integrations.auditing.chain import SHARED, Content, content_of, stored
from lamplighter.integrations.auditing.policy import Scope
from lamplighter.integrations.storage.audit_tables import audit_archives
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import audit

LOOK = 20_000  # rows that a page looks at, at most
OBJECTS = 8  # that it reads at most, unless more of them are of one and the same time
CANDIDATES = 1000  # that it chooses from

_row, _archive = audit.c, audit_archives.c


class Key(NamedTuple):
    """Where a record is in the order of pages."""

    at: int
    id: str

    def written(self) -> str:
        """As pages are gone on with."""
        return f"{self.at}.{self.id}"


class Filter(Struct, frozen=True, kw_only=True):
    """Which records. `chains`: of these tenants, "" for what concerns no single one; None: of all.

    `action`: one, or all that begin so: integration.*
    """

    chains: Collection[str] | None = None
    action: str | None = None
    user_id: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def is_of(self, content: Content) -> bool:
        """Whether that is one of them, of whatever chain and time."""
        return (self.action is None or Scope(action=self.action).covers("", content["action"])) and all(
            wanted is None or content[name] == wanted
            for name, wanted in (
                ("user_id", self.user_id),
                ("resource_type", self.resource_type),
                ("resource_id", self.resource_id),
            )
        )


class Hit(NamedTuple):
    """A record, and the archive that it is in, if it is in no live table."""

    record: Record
    archive_id: str | None


class Page(NamedTuple):
    """Records, the latest first. `next`: what to go on with; there may be more also if there is none here."""

    hits: Sequence[Hit]
    next: str | None


class _Part(NamedTuple):
    """What was found, and down to where that is all; None: it is all there is."""

    found: dict[Key, Hit]
    floor: Key | None


class Search:
    """Finds records."""

    def __init__(self, database: Database, storage: Storage | None) -> None:
        self._database = database
        self._storage = storage

    async def page(self, which: Filter, *, limit: int = 100, before: str = "", archived: bool = False) -> Page:
        """The latest of them. `archived`: also those in archives, of one tenant.

        Raises:
            ConfigError: `before` is none of ours, or archives are to be searched of more than one tenant.
            ArchiveError: an archive cannot be read.
        """
        end = _read_key(before) if before else None
        live = await self._database.read(partial(_live, which=which, end=end, limit=limit + 1))
        there = await self._archived(which, end, limit + 1) if archived else _Part({}, None)
        floors = [one.floor for one in (live, there) if one.floor is not None]
        floor = max(floors) if floors else None
        found = there.found | live.found
        keys = sorted((key for key in found if floor is None or key >= floor), reverse=True)
        if len(keys) > limit:
            return Page([found[key] for key in keys[:limit]], keys[limit - 1].written())
        return Page([found[key] for key in keys], None if floor is None else floor.written())

    async def _archived(self, which: Filter, end: Key | None, limit: int) -> _Part:
        """Objects by the last moment that they hold, until those that follow hold nothing later than what was found."""
        if which.chains is None or len(which.chains) != 1:
            raise ConfigError("archives are searched of one tenant at a time: say which.")
        [chain] = which.chains
        found: dict[Key, Hit] = {}
        candidates, rest = await self._candidates(which, chain, end)
        for read, archive in enumerate(candidates):
            floor = Key(to_us(archive.last_at) + 1, "")
            is_enough = read >= OBJECTS or sum(key >= floor for key in found) >= limit
            if is_enough and (end is None or floor < end):
                return _Part(found, floor)
            found |= await self._read(archive, which, end, limit)
            found = {key: found[key] for key in heapq.nlargest(limit, found)}
        return _Part(found, min(found) if len(found) == limit else rest)

    async def _candidates(self, which: Filter, chain: str, end: Key | None) -> tuple[list[Archive], Key | None]:
        """Those that may hold some, the latest first; and down to where, if there are too many of them."""
        statement = select(audit_archives).where(
            _archive.chain == chain, _archive.state.in_(("written", "archived")), *_overlaps(which, end)
        )
        found = await archives_by(
            self._database, statement.order_by(_archive.last_at.desc(), _archive.id).limit(CANDIDATES)
        )
        pattern = Scope(action=which.action or "*")
        candidates = [one for one in found if any(pattern.covers("", action) for action in one.actions)]
        return candidates, Key(to_us(found[-1].last_at) + 1, "") if len(found) == CANDIDATES else None

    async def _read(self, archive: Archive, which: Filter, end: Key | None, limit: int) -> dict[Key, Hit]:
        if self._storage is None:
            raise ConfigError("archives cannot be searched: set audit_archive to where they are.")
        kept: list[tuple[Key, Content]] = []
        async for some in await objects.read(self._storage, archive):
            contents = [one.content for one in some if one.content is not None]
            kept = heapq.nlargest(limit, [*kept, *_matching(contents, which, end)], key=lambda one: one[0])
        return {key: Hit(record_of(content), archive.id) for key, content in kept}


def record_of(content: Content) -> Record:
    """As it was written."""
    return Record(**{**content, "at": from_us(content["at"])})


def _matching(contents: Iterable[Content], which: Filter, end: Key | None) -> Iterable[tuple[Key, Content]]:
    since, until = (None if one is None else to_us(one) for one in (which.since, which.until))
    for content in contents:
        key = Key(content["at"], content["id"])
        in_time = (since is None or key.at >= since) and (until is None or key.at < until)
        if in_time and (end is None or key < end) and which.is_of(content):
            yield key, content


def _overlaps(which: Filter, end: Key | None) -> list[ColumnElement[bool]]:
    conditions = [] if end is None else [_archive.first_at <= end.at]
    conditions += [] if which.since is None else [_archive.last_at >= to_us(which.since)]
    return conditions + ([] if which.until is None else [_archive.first_at < to_us(which.until)])


def _live(connection: Connection, *, which: Filter, end: Key | None, limit: int) -> _Part:
    """Rows that match, among so many that are looked at."""
    within = _within(which, end)
    looked: Select[Any] = select(_row.id).where(*within).order_by(_row.at.desc(), _row.id.desc()).limit(LOOK)
    matching = stored().where(_row.id.in_(looked.subquery().select()), *_conditions(which))
    rows = connection.execute(matching.order_by(_row.at.desc(), _row.id.desc()).limit(limit)).all()
    found = {Key(row.at, row.id): Hit(record_of(content_of(row)), None) for row in rows}
    if len(found) == limit:
        return _Part(found, min(found))
    ordered = select(_row.at, _row.id).where(*within).order_by(_row.at.desc(), _row.id.desc())
    last = connection.execute(ordered.offset(LOOK - 1).limit(1)).first()
    return _Part(found, None if last is None else Key(last.at, last.id))


def _within(which: Filter, end: Key | None) -> list[ColumnElement[bool]]:
    """What there are indexes for."""
    conditions: list[ColumnElement[bool]] = [] if which.chains is None else [_of_chains(which.chains)]
    conditions += [] if end is None else [tuple_(_row.at, _row.id) < tuple_(end.at, end.id)]
    conditions += [] if which.since is None else [_row.at >= to_us(which.since)]
    return conditions + ([] if which.until is None else [_row.at < to_us(which.until)])


def _conditions(which: Filter) -> list[ColumnElement[bool]]:
    exact = (
        (_row.user_id, which.user_id),
        (_row.resource_type, which.resource_type),
        (_row.resource_id, which.resource_id),
    )
    conditions: list[ColumnElement[bool]] = [column == wanted for column, wanted in exact if wanted is not None]
    return conditions if which.action is None else [*conditions, Scope(action=which.action).condition()]


def _of_chains(chains: Collection[str]) -> ColumnElement[bool]:
    tenants = sorted(one for one in chains if one != SHARED)
    if SHARED not in chains:
        return _row.tenant_id == tenants[0] if len(tenants) == 1 else _row.tenant_id.in_(tenants)
    shared = _row.tenant_id.is_(None)
    return or_(shared, _row.tenant_id.in_(tenants)) if tenants else shared


def _read_key(written: str) -> Key:
    at, _, id_ = written.partition(".")
    if not (at.isascii() and at.isdecimal() and len(at) <= 18):
        raise ConfigError("`before` is not what a page ended with: begin anew.")
    return Key(int(at), id_)
