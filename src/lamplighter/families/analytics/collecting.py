"""Collecting: what is not measured as it happens is asked for, from where it was left on.

A source's place is stored in the transaction that stores what was found before it, so nothing is lost between the two.
Transactions do not end in the order of what they say, so each time begins a little earlier; what is known falls away
by its id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, select

from lamplighter.core.clock import Clock, from_us, to_us
from lamplighter.core.model import EndedJob, EndedPlace
from lamplighter.families.analytics.jobs import measured
from lamplighter.families.analytics.level import ALL, EVENTLESS
from lamplighter.families.analytics.marks import Marked, mark
from lamplighter.families.analytics.zones import Calendars
from lamplighter.integrations.measuring.measure import put
from lamplighter.integrations.storage.analytics_tables import rollup_holes, rollup_sources
from lamplighter.integrations.storage.database import Database, insert_into
from lamplighter.integrations.storage.tables import integrations
from lamplighter.store.base import Store

TOGETHER = 500  # jobs in one transaction
OVERLAP = timedelta(minutes=1)  # by as much may clocks differ, and transactions take
AWAY = timedelta(minutes=10)  # without a look at the jobs, after which some may have been forgotten unseen
UPTIME_EVERY = timedelta(minutes=5)

_source = rollup_sources.c


class Place(NamedTuple):
    """How far a source was collected, and when that was."""

    at: int
    place: str
    collected_at: int


class Collecting:
    """Asks the store of jobs, and the past of integrations' health."""

    def __init__(self, database: Database, store: Store, *, clock: Clock, kept: timedelta) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._kept = kept
        self._seen: dict[tuple[str, int], datetime] = {}  # of the overlap: they need not be written again

    async def jobs(self) -> int:
        """Measure what ended since the last time; returns how many were new."""
        now = self._clock()
        place = await self._place("jobs", now)
        await self._note_hole("jobs", place, now)
        after, found = EndedPlace(max(from_us(place.at) - OVERLAP, now - self._kept)), 0
        async for ended in self._ended(after, now + OVERLAP):
            new = [one for one in ended if (one.id, one.fence) not in self._seen]
            found += await self._store_jobs(new, ended[-1].place, now)
            self._seen |= {(one.id, one.fence): one.ended_at for one in new if one.ended_at >= now - 2 * OVERLAP}
        await self._database.write(partial(_look_up, source="jobs", now=now))
        self._seen = {key: at for key, at in self._seen.items() if at >= now - 2 * OVERLAP}
        return found

    async def uptime(self, *, at_once: bool = False) -> int:
        """Have those hours added up of which more is known now; returns how many."""
        now = self._clock()
        place = await self._place("uptime", now)
        if not at_once and now - from_us(place.at) < UPTIME_EVERY:
            return 0
        since = max(from_us(place.at) - UPTIME_EVERY, now - self._kept)
        marked = await self.uptime_between(since, now)
        done = Place(to_us(now), "", to_us(now))
        await self._database.write(partial(_store_place, source="uptime", place=done))
        return marked

    async def jobs_between(self, since: datetime, until: datetime) -> AsyncIterator[tuple[datetime, int]]:
        """Measure again what ended in a time: up to which moment that is done, and how many were new."""
        now = self._clock()
        async for ended in self._ended(EndedPlace(since), until):
            yield ended[-1].ended_at, await self._database.write(partial(_put, jobs=ended, now=now))

    async def uptime_between(self, since: datetime, until: datetime) -> int:
        """Have the hours of a time added up anew, of each tenant that has integrations; returns how many these are."""
        work = partial(_mark_uptime, since=to_us(since), until=to_us(until), now=self._clock())
        return await self._database.write(work)

    async def _ended(self, after: EndedPlace, until: datetime) -> AsyncIterator[list[EndedJob]]:
        while ended := await self._store.ended(after, limit=TOGETHER):
            if some := [one for one in ended if one.ended_at < until]:
                yield some
            if len(some) < TOGETHER:
                return
            after = ended[-1].place

    async def _store_jobs(self, jobs: list[EndedJob], last: EndedPlace, now: datetime) -> int:
        place = Place(to_us(last.ended_at), last.id, to_us(now))

        def work(connection: Connection) -> int:
            new = _put(connection, jobs, now)
            _store_place(connection, "jobs", place)
            return new

        return await self._database.write(work)

    async def _place(self, source: str, now: datetime) -> Place:
        """The first time begins with what is there."""
        statement = select(_source.at, _source.place, _source.collected_at).where(_source.name == source)
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        return Place(*row) if row else Place(to_us(now - self._kept), "", to_us(now))

    async def _note_hole(self, source: str, place: Place, now: datetime) -> None:
        if now - from_us(place.collected_at) < AWAY:
            return

        def work(connection: Connection) -> None:
            new = insert_into(connection, rollup_holes).on_conflict_do_nothing()
            connection.execute(new, {"source": source, "since": place.collected_at, "until": to_us(now)})

        await self._database.write(work)


def _put(connection: Connection, jobs: Iterable[EndedJob], now: datetime) -> int:
    return put(connection, measured(jobs), now)


def _store_place(connection: Connection, source: str, place: Place) -> None:
    statement = insert_into(connection, rollup_sources).values(name=source, **place._asdict())
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=place._asdict()))


def _look_up(connection: Connection, source: str, now: datetime) -> None:
    """It was looked for now, whether there was anything or not."""
    place = Place(to_us(now - OVERLAP), "", to_us(now))
    statement = insert_into(connection, rollup_sources).values(name=source, **place._asdict())
    later = {"collected_at": to_us(now)}
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=later))


def _mark_uptime(connection: Connection, since: int, until: int, now: datetime) -> int:
    calendars = Calendars.read(connection)
    tenants = [ALL, *connection.execute(select(integrations.c.tenant_id).distinct()).scalars()]
    return mark(
        connection,
        (
            Marked(EVENTLESS, tenant_id, "hour", *window)
            for tenant_id in tenants
            for window in calendars.of(tenant_id).windows("hour", since, until)
        ),
        now,
    )
