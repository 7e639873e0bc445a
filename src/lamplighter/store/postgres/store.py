"""The PostgreSQL store: what `base.Store` promises, each operation one function of the schema."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self
from uuid import UUID

from lamplighter.core.clock import from_us, maybe_from_us, maybe_to_us, to_us
from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.flow_control import LIMIT, GateView, Order, ShareView
from lamplighter.core.log_line import Logged, LogLine, LogPlace
from lamplighter.core.model import (
    ENDED,
    LIVE,
    MOST_LINES,
    MOVES,
    Added,
    Arguments,
    Beat,
    Beaten,
    Cancelled,
    Claimed,
    EndedJob,
    EndedPlace,
    Failure,
    JobView,
    Keep,
    NewJob,
    Outcome,
    QueueStats,
    Record,
    State,
    Swept,
    Where,
)
from lamplighter.store.carried import parted
from lamplighter.store.per_loop import PerLoop
from lamplighter.store.postgres import rows, views
from lamplighter.store.postgres.bell import Bell, channel
from lamplighter.store.postgres.connections import Connections
from lamplighter.store.postgres.queries import Queries
from lamplighter.store.postgres.schema import PostgresSchema
from lamplighter.store.postgres.transaction import fetch_in, fetch_within
from lamplighter.store.postgres.url import Place, parse
from lamplighter.store.rules import plain_rule

FOLD_AFTER = 5000  # jobs: a fold takes twice as many changes


class PostgresStore:
    """Jobs in one schema of a PostgreSQL database (see `base.Store`).

    A place says: the schema; how many `connections` each event loop may have; the `patience` (seconds) after which a
    call that got no answer is StoreUnavailable; and whether a `pooler` gives a connection for a transaction
    only: then nothing is prepared, and other processes are heard by polling.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._queries = Queries(place.schema)
        self._connections = PerLoop(self._connected)
        self._bell = Bell(place)
        self._unfolded = 0  # jobs that were added here since what is counted was put together
        self._inside = 0  # how often it was entered
        self._id: UUID | None = None  # of the database, which a caller's transaction must be open on

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The store of `postgresql://user:password@host:port/database?schema=...`; see `url`."""
        return cls(parse(url))

    @property
    def url(self) -> str:
        return self._place.shown

    async def __aenter__(self) -> Self:
        if self._inside == 0:
            await PostgresSchema(self._place).prepare()
        self._inside += 1
        try:
            if self._id is None:
                [[self._id]] = await self._fetch("about")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._inside = max(self._inside - 1, 0)
        if self._inside == 0:
            await self._bell.close()
            await self._connections.close()

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        if tx is not None:
            statement, args = self._add_and_notify(jobs, now)
            return views.added(jobs, await fetch_in(tx, statement, args, self.url))
        refused = await self._fetch("add", rows.jobs(jobs), to_us(now), self._id, self._place.lock_timeout, None)
        added = views.added(jobs, refused)
        await self._ring()
        await self._fold(len(jobs))
        return added

    def add_within(self, tx: object, jobs: Sequence[NewJob], *, now: datetime) -> list[Added]:
        statement, args = self._add_and_notify(jobs, now)
        return views.added(jobs, fetch_within(tx, statement, args, self.url))

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        if limit <= 0:
            return []
        found = await self._fetch("claim", list(queues), limit, worker, to_us(now + lease), to_us(now))
        claimed = views.claimed(found)
        if len(claimed) < len(found):  # there may be more behind those that a gate does not let through
            await self._ring()
        return claimed

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        [[won]] = await self._fetch("finish", rows.outcomes(outcomes), to_us(now))
        await self._ring()
        return list(won)

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        renewed = await self._fetch("beat", rows.beats(beats), to_us(now + lease))
        mine = {(job, fence): asked for job, fence, asked in renewed}
        stop = [beat.id for beat in beats if mine.get((beat.id, beat.fence))]
        return Beaten(stop, [beat.id for beat in beats if (beat.id, beat.fence) not in mine])

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        [[due, rescued, next_at, failed, told]] = await self._fetch("sweep", max(limit, 0), to_us(now))
        if due or rescued or failed:
            await self._ring()
        return Swept(due, rescued, maybe_from_us(next_at), tuple(failed), views.turned(told))

    async def cancel(self, where: Where, *, limit: int, now: datetime, keep_until: datetime | None = None) -> Cancelled:
        ids, states = await self._matching(where, LIVE, limit)
        [[ended, asked]] = await self._fetch("cancel", ids, states, maybe_to_us(keep_until), to_us(now))
        await self._ring()
        return Cancelled(ended, asked)

    async def retry(self, where: Where, *, limit: int, now: datetime) -> list[str]:
        ids, states = await self._matching(where, MOVES["be retried"].sources, limit)
        [[retried]] = await self._fetch("retry", ids, states, to_us(now))
        await self._ring()
        return list(retried)

    async def prune(self, keep: Keep, *, limit: int, now: datetime) -> int:
        [[forgotten]] = await self._fetch("prune", keep.done, keep.failed, max(limit, 0), to_us(now))
        return int(forgotten)

    async def forget(self, where: Where, *, limit: int) -> list[str]:
        ids, states = await self._matching(where, ENDED, limit)
        [[forgotten]] = await self._fetch("forget", ids, states)
        return list(forgotten)

    async def page(self, where: Where, *, limit: int, before: str | None = None) -> list[JobView]:
        return await self._page(where, LIVE | ENDED, limit, before)

    async def arguments(self, where: Where, *, limit: int, before: str | None = None) -> list[Arguments]:
        rows = await self._newest(self._queries.arguments, where, LIVE | ENDED, limit, before)
        return [Arguments(id_, parted(args)[0]) for id_, args in rows]

    async def ended(self, after: EndedPlace, *, limit: int) -> list[EndedJob]:
        return views.ended(await self._fetch("ended_after", to_us(after.ended_at), after.id, max(limit, 0)))

    async def failures(self, job: str) -> list[Failure]:
        return views.failures(await self._fetch("failures", job))

    async def log(self, logged: Sequence[Logged], *, keep: int) -> None:
        await self._fetch("log", rows.log_lines(logged), keep)

    async def logs(self, job: str, *, limit: int, after: LogPlace | None = None) -> list[LogLine]:
        if after is None:
            return views.log_lines(await self._fetch("last_logs", job, max(limit, 0)))[::-1]
        return views.log_lines(await self._fetch("logs", job, *after, max(limit, 0)))

    async def stats(self) -> list[QueueStats]:
        self._refuse_closed()
        here = await self._connections.here()
        read = partial(here.fetch, self._queries["totals"], MOST_LINES)
        return views.stats(await here.together.read("stats", read))

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self._fetch("pause" if paused else "resume", queue)
        await self._ring()

    async def put(self, record: Record) -> None:
        rule = plain_rule(record)
        await self._fetch("put", record.kind, record.name, record.value, maybe_to_us(record.expires_at), rule)
        if rule is not None:
            await self._ring()

    async def drop(self, kind: str, name: str) -> None:
        await self._fetch("drop", kind, name)
        if kind == LIMIT:
            await self._ring()

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        return views.records(kind, await self._fetch("records", kind, to_us(now)))

    async def order(self, orders: Sequence[Order], *, now: datetime) -> None:
        await self._fetch("order", rows.orders(orders), to_us(now))
        await self._ring()

    async def gates(self, keys: Sequence[str] = (), *, limit: int, now: datetime) -> list[GateView]:
        return views.gates(await self._fetch("gates", list(keys), max(limit, 0), to_us(now)), to_us(now))

    async def shares(self, queue: str, *, limit: int) -> list[ShareView]:
        return views.shares(await self._fetch("shares", queue, max(limit, 0)))

    async def time(self) -> datetime | None:
        [[us]] = await self._fetch("time")
        return from_us(us)

    def wake(self) -> AsyncIterator[None]:
        return self._bell.listen()

    async def _matching(self, where: Where, among: frozenset[State], limit: int) -> tuple[list[str], list[str]]:
        """Ids to be changed if they are still in one of these states by then."""
        found = await self._page(where, among, limit, None)
        return [job.id for job in found], sorted(_states(where, among))

    async def _page(self, where: Where, among: frozenset[State], limit: int, before: str | None) -> list[JobView]:
        return [views.view(row) for row in await self._newest(self._queries.page, where, among, limit, before)]

    async def _newest(
        self,
        statement: Callable[[Sequence[str], Sequence[str]], str],
        where: Where,
        among: frozenset[State],
        limit: int,
        before: str | None,
    ) -> list[Any]:
        """Rows of the statement for the tables and filters that it takes."""
        states = _states(where, among)
        tables = [table for table, those_in_it in (("jobs", LIVE), ("ended", ENDED)) if states & those_in_it]
        if not tables or limit <= 0:
            return []
        every = states == LIVE | ENDED
        filters: dict[str, Any] = {
            "ids": list(where.ids),
            "queues": list(where.queues),
            "names": list(where.names),
            "tenants": list(where.tenants),
            "groups": list(dict.fromkeys(where.groups)),
            "states": [] if every else sorted(states),
            "before": before,
        }
        binds = {name: value for name, value in filters.items() if value}
        return await self._run(statement(tables, list(binds)), *binds.values(), limit)

    def _add_and_notify(self, jobs: Sequence[NewJob], now: datetime) -> tuple[str, tuple[Any, ...]]:
        """PostgreSQL tells the others when the transaction commits."""
        self._refuse_closed()
        patience, words = self._place.lock_timeout, channel(self._place.schema)
        return self._queries["add"], (rows.jobs(jobs), to_us(now), str(self._id), patience, words)

    async def _fetch(self, name: str, *args: Any) -> list[Any]:
        return await self._run(self._queries[name], *args)

    async def _run(self, statement: str, *args: Any) -> list[Any]:
        self._refuse_closed()
        return await (await self._connections.here()).fetch(statement, *args)

    async def _fold(self, added: int) -> None:
        """Workers put together what was counted; while none is alive, whoever adds must, or it would grow for ever."""
        self._unfolded += added
        if self._unfolded >= FOLD_AFTER:
            self._unfolded = 0
            with suppress(StoreUnavailable):  # the jobs are in, whatever becomes of this
                await self._fetch("fold")

    async def _ring(self) -> None:
        self._bell.ring()
        if self._inside:  # or a call that outlived the store would open it again
            (await self._connections.here()).say(*self._bell.words)

    def _refuse_closed(self) -> None:
        if self._inside == 0:
            raise StoreUnavailable(f"the store {self.url} is not open: enter it with `async with` first.")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connections]:
        connections = Connections(self._place)
        try:
            yield connections
        finally:
            await connections.close()


def _states(where: Where, among: frozenset[State]) -> frozenset[State]:
    return among.intersection(where.states) if where.states else among
