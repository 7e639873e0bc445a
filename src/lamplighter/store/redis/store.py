"""The Redis store: what `base.Store` promises, each operation one script on the server."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NoReturn, Self

from lamplighter.core.clock import from_us
from lamplighter.core.errors import StoreUnavailable, TransactionUnsupported
from lamplighter.core.flow_control import GateView, Order, ShareView, Turned
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
    Swept,
    Where,
)
from lamplighter.core.secret import redact_url
from lamplighter.store.per_loop import PerLoop
from lamplighter.store.redis import gates, rows
from lamplighter.store.redis.check import check
from lamplighter.store.redis.find import batched, find, pairs
from lamplighter.store.redis.link import Link
from lamplighter.store.redis.room import ensure_room
from lamplighter.store.redis.rows import STATES, maybe_moment, moment
from lamplighter.store.redis.scripts import script
from lamplighter.store.redis.url import parse
from lamplighter.store.rules import DROPPED, queue_full

MOST_TOGETHER = 1000  # jobs in one script: some milliseconds, in which the server does nothing else
MOST_BYTES = 4 * 1024 * 1024  # and in one packet


class RedisStore:
    """Jobs in a Redis server, a cluster, or behind Sentinel (see `base.Store`).

    Options of the URL: `prefix` begins all keys (lamplighter); `patience` is how many seconds a call waits for a server
    that is away, and for an answer, before StoreUnavailable (10). `master` names Sentinel's master, and
    `sentinel_username` and `sentinel_password` log in there. With `rediss://` the files `ca`, `cert` and `key`, and
    `verify`, which is full, ca (whatever the host's name) or none.

    Raises:
        ConfigError: the URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._place = parse(url)
        self._url = redact_url(url)
        self._door = threading.Lock()  # guards the two below
        self._inside = 0  # how often it was entered
        self._checked = False
        self._links = PerLoop(self._link)

    @property
    def url(self) -> str:
        return self._url

    async def __aenter__(self) -> Self:
        with self._door:
            self._inside += 1
        try:
            await self._check()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        with self._door:
            self._inside = max(self._inside - 1, 0)
            if self._inside:
                return
            self._checked = False
        await self._links.close()

    async def _check(self) -> None:
        if not self._checked:
            await check(await self._here(), self._url)
            self._checked = True

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[Link]:
        link = Link(self._place)
        try:
            yield link
        finally:
            await link.close()

    async def _here(self) -> Link:
        if not self._inside:
            raise StoreUnavailable(f"the store {self._url} is not open: enter it with `async with` first.")
        return await self._links.here()

    async def _run(self, name: str, *args: Any, again: bool = False) -> Any:
        return await (await self._here()).run(script(name), *args, again=again)

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        if tx is not None:
            self.add_within(tx, jobs, now=now)
        moment_ = moment(now)
        packed = [rows.new_row(job, moment_) for job in jobs]
        parcels = _parcels(packed)
        if len(parcels) > 1:  # each sees to its own room only, and a batch is refused whole
            await ensure_room(await self._here(), jobs)
        added: list[Added] = []
        for first, last in parcels:
            added += await self._add(jobs[first:last], packed[first:last], moment_, check=len(parcels) == 1)
        return added

    async def _add(self, jobs: Sequence[NewJob], packed: list[bytes], now: int, *, check: bool) -> list[Added]:
        args = [arg for job, row in zip(jobs, packed, strict=True) for arg in rows.new_args(job, row)]
        fits, *answer = await self._run("add", now, DROPPED, int(check), *args, again=True)
        if not fits:
            queue, tenant, most = answer
            raise queue_full(queue.decode(), tenant.decode(), most)
        added = [Added(job.id, created=True) for job in jobs]
        for place, holder, replaced in batched(answer[0], 3):
            added[int(place) - 1] = Added(holder.decode(), created=False, replaced=bool(replaced))
        return added

    def add_within(self, tx: object, jobs: Sequence[NewJob], *, now: datetime) -> NoReturn:  # noqa: ARG002 - joins none
        raise TransactionUnsupported(
            f"redis:// cannot join tx={type(tx).__name__}: "
            "use a store in the same database as your data, or the outbox."
        )

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        until, claimed = moment(now + lease), list[Claimed]()
        while limit > len(claimed):
            some = min(limit - len(claimed), MOST_TOGETHER)
            try:
                flat = await self._run("claim", moment(now), some, worker, until, *dict.fromkeys(queues))
            except StoreUnavailable:
                if claimed:
                    break  # these are ours, and would be nobody's until their leases run out
                raise
            claimed += rows.claimed_of(pairs(flat))
            if len(flat) < 2 * some:
                break
        return claimed

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        won: list[str] = []
        for first in range(0, len(outcomes), MOST_TOGETHER):
            some = rows.outcome_rows(outcomes[first : first + MOST_TOGETHER])
            won += _texts(await self._run("finish", moment(now), some))
        return won

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        until, beaten = moment(now + lease), Beaten([], [])
        for first in range(0, len(beats), MOST_TOGETHER):
            some = rows.beat_rows(beats[first : first + MOST_TOGETHER])
            stop, lost = await self._run("beat", until, some, again=True)
            beaten.stop.extend(_texts(stop))
            beaten.lost.extend(_texts(lost))
        return beaten

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        due, let_go, rescued, failed, turned = 0, 0, list[str](), list[str](), list[Turned]()
        while True:
            some = max(0, min(limit - max(due, len(rescued), len(failed)), MOST_TOGETHER))
            came, gone, next_at, ids, lost, told = await self._run("sweep", moment(now), some)
            due, let_go = due + came, let_go + gone
            rescued += _texts(ids)
            failed += _texts(lost)
            turned += gates.turned(told)
            if max(came, len(ids), len(lost)) < some or max(due, len(rescued), len(failed)) >= limit:
                next_look = from_us(int(next_at)) if next_at else None
                return Swept(due + let_go, rescued, next_look, tuple(failed), tuple(turned))

    async def cancel(self, where: Where, *, limit: int, now: datetime, keep_until: datetime | None = None) -> Cancelled:
        keep = "" if keep_until is None else moment(keep_until)
        cancelled = Cancelled([], [])
        for ids in await self._ids(where, limit, LIVE):
            ended, asked = await self._run("cancel", moment(now), keep, *ids)
            cancelled.ended.extend(_texts(ended))
            cancelled.asked.extend(_texts(asked))
        return cancelled

    async def retry(self, where: Where, *, limit: int, now: datetime) -> list[str]:
        queued: list[str] = []
        for ids in await self._ids(where, limit, MOVES["be retried"].sources):
            queued += _texts(await self._run("retry", moment(now), *ids))
        return queued

    async def _ids(self, where: Where, limit: int, among: frozenset[Any]) -> list[list[str]]:
        found = await find(await self._here(), where, limit=limit, among=among)
        return list(batched((id_.decode() for id_, _ in found), MOST_TOGETHER))

    async def prune(self, keep: Keep, *, limit: int, now: datetime) -> int:
        pruned, first = 0, 1
        while True:
            some = max(0, min(limit - pruned, MOST_TOGETHER))
            gone, more = await self._run("prune", moment(now), some, keep.done, keep.failed, first)
            pruned, first = pruned + int(gone), 0
            if not more and (gone < some or pruned >= limit):
                return pruned

    async def forget(self, where: Where, *, limit: int) -> list[str]:
        forgotten: list[str] = []
        for ids in await self._ids(where, limit, ENDED):
            forgotten += _texts(await self._run("forget", *ids))
        return forgotten

    async def page(self, where: Where, *, limit: int, before: str | None = None) -> list[JobView]:
        found = await find(await self._here(), where, limit=limit, before=before)
        return [rows.view_of(id_, packed) for id_, packed in found]

    async def arguments(self, where: Where, *, limit: int, before: str | None = None) -> list[Arguments]:
        found = await find(await self._here(), where, limit=limit, before=before)
        return [rows.arguments_of(id_, packed) for id_, packed in found]

    async def ended(self, after: EndedPlace, *, limit: int) -> list[EndedJob]:
        ended: list[EndedJob] = []
        while len(ended) < limit:
            some = min(limit - len(ended), MOST_TOGETHER)
            found = list(pairs(await self._run("ended", moment(after.ended_at), after.id, some, again=True)))
            ended += (rows.ended_of(id_, packed) for id_, packed in found)
            if len(found) < some:
                break
            after = ended[-1].place
        return ended

    async def failures(self, job: str) -> list[Failure]:
        return [rows.failure_of(packed) for packed in await self._run("failures", job, again=True)]

    async def log(self, logged: Sequence[Logged], *, keep: int) -> None:
        if logged:
            await self._run("log", keep, rows.log_rows(logged), again=True)

    async def logs(self, job: str, *, limit: int, after: LogPlace | None = None) -> list[LogLine]:
        found = await self._run("logs", job, limit, *(after or ()), again=True)
        return [rows.line_of(packed) for packed in found]

    async def stats(self) -> list[QueueStats]:
        numbers, paused, oldest = await self._run("stats", MOST_LINES, again=True)
        counts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for queue in _texts(paused):
            counts[queue] = {}
        for field, n in pairs(numbers):
            counts[field[1:].decode()][STATES[chr(field[0])].value] = int(n)
        for name, due in pairs(oldest):
            counts[name.decode()]["oldest"] = from_us(int(due))
        held = set(_texts(paused))
        return [QueueStats(queue=queue, paused=queue in held, **counts[queue]) for queue in sorted(counts)]

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self._run("pause", queue, "SADD" if paused else "SREM", again=True)

    async def put(self, record: Record) -> None:
        rows.bounded(rows.pack(record.value, f"record {record.name!r}"), f"record {record.name!r}")
        expires_at = maybe_moment(record.expires_at)
        expires = "" if expires_at is None else expires_at
        await self._run("put", record.kind, record.name, record.value, expires, again=True)

    async def drop(self, kind: str, name: str) -> None:
        await self._run("drop", kind, name, again=True)

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        found = pairs(await self._run("records", kind, again=True))
        records = [rows.record_of(kind, name, packed) for name, packed in found]
        good = [record for record in records if record.expires_at is None or record.expires_at > now]
        return sorted(good, key=lambda record: record.name)

    async def order(self, orders: Sequence[Order], *, now: datetime) -> None:
        await self._run("order", moment(now), rows.pack(rows.order_rows(orders), "an order"))

    async def gates(self, keys: Sequence[str] = (), *, limit: int, now: datetime) -> list[GateView]:
        return await gates.find(await self._here(), keys, limit, now)

    async def shares(self, queue: str, *, limit: int) -> list[ShareView]:
        return gates.shares(queue, await self._run("shares", queue, limit, again=True))

    async def time(self) -> datetime | None:
        seconds, us = await self._run("time", again=True)
        return from_us(int(seconds) * 1_000_000 + int(us))

    async def wake(self) -> AsyncIterator[None]:
        async for _ in (await self._here()).listener.hints():
            yield


def _texts(values: Sequence[bytes]) -> list[str]:
    return [value.decode() for value in values]


def _parcels(packed: Sequence[bytes]) -> list[tuple[int, int]]:
    """From where to where each script takes jobs, so that none takes too many or too much."""
    parcels: list[tuple[int, int]] = []
    first = size = 0
    for place, row in enumerate(packed):
        if place - first == MOST_TOGETHER or (size + len(row) > MOST_BYTES and place > first):
            parcels.append((first, place))
            first, size = place, 0
        size += len(row)
    return [*parcels, (first, len(packed))] if packed else []
