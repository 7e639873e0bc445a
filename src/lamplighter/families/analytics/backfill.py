"""Backfill: the sources are read again for a time, and what is found that nobody measured is added up.

All is known by an id, so it may be done twice, or while everything else goes on. Refreshes are in no source: they are
measured as they happen, or not at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from lamplighter.core.clock import Clock, from_us, to_us
from lamplighter.core.ids import first_id
from lamplighter.families.analytics.collecting import Collecting
from lamplighter.families.analytics.ranges import BadRange
from lamplighter.integrations.measuring.measure import Measurement, put
from lamplighter.integrations.measuring.told import of_file, of_message
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.file_tables import files
from lamplighter.integrations.storage.tables import messages, recipients

TOGETHER = 500  # rows in one transaction
OPEN = timedelta(days=2)  # for no longer is a message on its way

_message = messages.c
_file = files.c


class Step(NamedTuple):
    """How far a backfill has come: what it reads, how much of that it has read (from 0 to 1), and how many
    measurements were new in all."""

    what: str
    share: float
    new: int


class Backfill:
    """Reads what is known of a time again."""

    def __init__(self, database: Database, collecting: Collecting, *, clock: Clock, kept: timedelta) -> None:
        self._database = database
        self._collecting = collecting
        self._clock = clock
        self._kept = kept

    def check(self, since: datetime, until: datetime) -> None:
        """Raises BadRange for a time of which measurements are not taken any more, or that is none."""
        oldest = self._clock() - self._kept
        if since < oldest - timedelta(seconds=1):
            raise BadRange(
                f"what happened before {oldest:%Y-%m-%dT%H:%M:%SZ} is not taken any more, or hours would be made of a "
                "part of it: begin later, or raise keep_measurements."
            )
        if until <= since:
            raise BadRange("a time ends after it begins: correct the two.")

    async def run(self, since: datetime, until: datetime) -> AsyncIterator[Step]:
        """Read again what happened in a time, from a moment to before another. Raises BadRange."""
        self.check(since, until)
        new = 0
        async for at, some in self._collecting.jobs_between(since, until):
            new += some
            yield Step("jobs", min(1.0, (at - since) / (until - since)), new)
        for what, pages in (("messages", self._messages(since, until)), ("files", self._files(since, until))):
            async for share, some in pages:
                new += some
                yield Step(what, share, new)
        await self._collecting.uptime_between(since, until)
        yield Step("uptime", 1.0, new)

    async def _messages(self, since: datetime, until: datetime) -> AsyncIterator[tuple[float, int]]:
        begins, ends = first_id(to_us(since - OPEN)), first_id(to_us(until))
        statement = (
            select(_message.id, recipients.c.tenant_id, _message.ended_at, _message.failure, _message.created_at)
            .join(recipients, recipients.c.id == _message.recipient_id)
            .where(_message.ended_at >= to_us(since), _message.ended_at < to_us(until), _message.id < ends)
            .order_by(_message.id)
            .limit(TOGETHER)
        )
        after = begins
        while rows := await self._page(statement.where(_message.id > after)):
            after = rows[-1].id
            found = [of_message(row.id, row.tenant_id, row.ended_at, row.failure) for row in rows]
            share = (from_us(rows[-1].created_at) - since) / (until - since)
            yield min(1.0, max(0.0, share)), await self._put(found)

    async def _files(self, since: datetime, until: datetime) -> AsyncIterator[tuple[float, int]]:
        """All files are gone through, for no index has them by when they were indexed."""
        last = await self._last_file()
        statement = select(_file.id, _file.tenant_id, _file.status, _file.indexed_at)
        page = statement.where(~_file.is_folder).order_by(_file.id).limit(TOGETHER)
        after = 0
        while rows := await self._page(page.where(_file.id > after)):
            after = rows[-1].id
            found = [
                of_file(row.id, row.tenant_id, row.indexed_at, is_failed=row.status == "error")
                for row in rows
                if row.indexed_at is not None and to_us(since) <= row.indexed_at < to_us(until)
            ]
            yield min(1.0, after / max(last, 1)), await self._put(found)

    async def _last_file(self) -> int:
        newest = select(_file.id).order_by(_file.id.desc()).limit(1)
        return await self._database.read(lambda connection: connection.execute(newest).scalar()) or 0

    async def _page(self, statement: Select[Any]) -> list[Any]:
        return await self._database.read(lambda connection: list(connection.execute(statement)))

    async def _put(self, found: list[Measurement]) -> int:
        work = partial(_put, found=found, now=self._clock())
        return await self._database.write(work) if found else 0


def _put(connection: Connection, found: list[Measurement], now: datetime) -> int:
    return put(connection, found, now)
