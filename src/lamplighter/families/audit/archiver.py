"""Archiving: records of a chain and day go into an object elsewhere, and from the live table once they are there.

    plan (which records, and the digest of their object) -> put where nothing is -> read back -> written -> delete
    exactly those, some at a time -> archived

Each step is durable before the next, and can be gone on with by anybody: whoever is killed in between loses nothing and
doubles nothing. A plan whose object was not put yet is dropped and made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from lamplighter.core.clock import Clock, from_us, to_us, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.ids import new_id
from lamplighter.families.audit import objects
from lamplighter.families.audit.archive import Archive, archives_by, as_of, key_of
from lamplighter.families.audit.packing import Header, Packed, Packer
from lamplighter.families.audit.storage import ArchiveDown, ArchiveError, Storage
from lamplighter.integrations.auditing.chain import SHARED, sealed, stored
from lamplighter.integrations.auditing.policy import Policy
from lamplighter.integrations.auditing.rules import policy_in_force
from lamplighter.integrations.auditing.sealing import Overtaken
from lamplighter.integrations.storage.audit_tables import audit_archives, audit_chains
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import audit

BATCH = 500  # records that one transaction deletes: refreshes wait for no more
READ = 1000  # records in one read
DAY = timedelta(days=1)
OPEN = ("planned", "written")

Step = Callable[[str, float, float], None]

_row, _archive, _chain = audit.c, audit_archives.c, audit_chains.c


class Moved(NamedTuple):
    """How many records and objects were archived, and of how many chains that failed; whether nothing is left to do."""

    records: int
    objects: int
    failed: int
    is_done: bool


class _Start(NamedTuple):
    """A chain before something is taken out of it."""

    moves: int
    seq: int
    hash: str


class Archiver:
    """Archives what is old enough. `is_over`: asked between objects, whether to stop for now."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        settings: Settings,
        *,
        clock: Clock = utcnow,
        batch: int = BATCH,
        step: Step = lambda _what, _done, _total: None,
    ) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings
        self._clock = clock
        self._batch = batch
        self._step = step
        self._records = self._objects = self._failures = 0
        self._left: set[str] = set()  # chains that are left alone this time

    async def run(self, is_over: Callable[[], bool] = lambda: False) -> Moved:
        """Go on with what somebody has begun, then archive what is due, the oldest days first.

        Raises:
            ArchiveDown: the archive does not answer. What is wrong with one chain alone is noted there.
        """
        is_done = await self._go_on_with_all(is_over) and await self._archive_all(is_over)
        return Moved(self._records, self._objects, self._failures, is_done)

    async def _go_on_with_all(self, is_over: Callable[[], bool]) -> bool:
        begun = select(audit_archives).where(_archive.state.in_(OPEN)).order_by(_archive.id)
        for archive in await archives_by(self._database, begun):
            if is_over():
                return False
            await self._noting(archive.chain, partial(self._go_on, archive))
        return True

    async def _archive_all(self, is_over: Callable[[], bool]) -> bool:
        now, since = self._clock(), 0
        policy = await self._database.read(lambda connection: policy_in_force(connection, self._settings))
        while (day := await self._database.read(partial(_next_day, policy=policy, now=now, since=since))) is not None:
            for chain in await self._database.read(partial(_chains_of, policy=policy, now=now, day=day)):
                which = _Which(chain, day, policy, now)
                while chain not in self._left and await self._noting(chain, partial(self._archive, which)):
                    if is_over():
                        return False
            since = to_us(day + DAY)
        return True

    async def _noting(self, chain: str, work: Callable[[], object]) -> bool:
        """Whether the work came to something. What keeps it from that is written down with its chain."""
        try:
            done = bool(await work())  # type: ignore[misc]  # a coroutine
        except Overtaken:  # by another process, which goes on with it
            self._left.add(chain)
            return False
        except ArchiveError as error:
            self._left.add(chain)
            self._failures += 1
            await self._database.write(partial(note_failure, chain=chain, failure=str(error), now=self._clock()))
            if isinstance(error, ArchiveDown):
                raise
            return False
        await self._database.write(partial(note_failure, chain=chain, failure=None, now=self._clock()))
        return done

    async def _archive(self, which: _Which) -> bool:
        """One object of a chain and day; False: nothing is due there."""
        start, packed = await self._packed(which)
        if packed is None:
            return False
        archive = _planned(which, packed, self._clock())
        await self._database.write(partial(_plan, archive=archive, moves=start.moves))
        places = await objects.put(self._storage, archive, packed.content)
        await self._finish(archive, places)
        return True

    async def _go_on(self, archive: Archive) -> bool:
        """With what was begun by somebody who may have been killed."""
        places = await objects.find(self._storage, archive)
        if places is None and archive.state == "planned":
            await self._database.write(partial(_drop, archive=archive))
            return False
        if places is None:
            await objects.read_whole(self._storage, archive)  # which says that it is missing
        await self._finish(archive, places or [])
        return True

    async def _finish(self, archive: Archive, places: Sequence[tuple[int, str]]) -> None:
        """From when it was read back."""
        if archive.state == "planned":
            await self._database.write(partial(_move, archive=archive, before="planned", after="written"))
        for start in range(0, len(places), self._batch):
            some = [seq for seq, _ in places[start : start + self._batch]]
            await self._database.write(partial(_delete, chain=archive.chain, places=some))
        await self._database.write(partial(_move, archive=archive, before="written", after="archived"))
        self._records += len(places)
        self._objects += 1
        self._step("archiving", self._records, self._records)

    async def _packed(self, which: _Which) -> tuple[_Start, Packed | None]:
        start, bounds = await self._database.read(partial(_begin, which=which))
        if bounds is None:
            return start, None
        header = Header(chain=which.chain, day=as_of(which.day), generation=1, head_seq=start.seq, head_hash=start.hash)
        packer, after = Packer(header), bounds[0] - 1
        while not packer.is_full:
            some = stored().where(which.condition, _row.chain == which.chain, _row.seq.between(after + 1, bounds[1]))
            statement = some.order_by(_row.seq).limit(READ)
            rows = await self._database.read(lambda one: one.execute(statement).all())  # noqa: B023 - run now
            if not rows:
                break
            await asyncio.to_thread(lambda: packer.add(map(sealed, rows)))  # noqa: B023 - the same
            after = rows[-1].seq
        return start, await asyncio.to_thread(packer.finish)


class _Which(NamedTuple):
    """Records of a chain and day that are due by then."""

    chain: str
    day: datetime
    policy: Policy
    now: datetime

    @property
    def condition(self) -> ColumnElement[bool]:
        """The same of rows. The tenant is in it, too, since there is an index of tenants and moments."""
        is_tenant = _row.tenant_id.is_(None) if self.chain == SHARED else _row.tenant_id == self.chain
        return and_(is_tenant, _of_day(self.day), _due(self.policy, self.now))


def note_failure(connection: Connection, *, chain: str, failure: str | None, now: datetime) -> None:
    """What keeps a chain from being archived, and since when; None: nothing does."""
    of_chain = _chain.chain == chain
    if failure is None:
        well = update(audit_chains).where(of_chain, _chain.failure.is_not(None))
        connection.execute(well.values(failure=None, failing_since=None))
        return
    since = func.coalesce(_chain.failing_since, to_us(now))
    connection.execute(update(audit_chains).where(of_chain).values(failure=failure, failing_since=since))


def _next_day(connection: Connection, *, policy: Policy, now: datetime, since: int) -> datetime | None:
    """The first day from then on that has something due."""
    oldest = select(_row.at).where(_due(policy, now), _row.at >= since).order_by(_row.at).limit(1)
    at = connection.scalar(oldest)
    if at is None:
        return None
    return datetime.combine(from_us(at).date(), datetime.min.time(), UTC)


def _chains_of(connection: Connection, *, policy: Policy, now: datetime, day: datetime) -> list[str]:
    """Those that have something due that day."""
    chains = select(_row.chain).where(_due(policy, now), _of_day(day)).distinct().order_by(_row.chain)
    return list(connection.execute(chains).scalars())


def _due(policy: Policy, now: datetime) -> ColumnElement[bool]:
    """What is sealed, old enough, and no copy of what is archived already."""
    return and_(_row.seq.is_not(None), _row.restored_until.is_(None), policy.to_archive(now))


def _of_day(day: datetime) -> ColumnElement[bool]:
    return and_(_row.at >= to_us(day), _row.at < to_us(day + DAY))


def _begin(connection: Connection, *, which: _Which) -> tuple[_Start, tuple[int, int] | None]:
    """The chain as it is before anything is read, and between which places what is due lies."""
    found = select(_chain.moves, _chain.seq, _chain.hash).where(_chain.chain == which.chain)
    start = _Start(*connection.execute(found).one())
    first, last = connection.execute(select(func.min(_row.seq), func.max(_row.seq)).where(which.condition)).one()
    return start, None if first is None else (first, last)


def _planned(which: _Which, packed: Packed, now: datetime) -> Archive:
    day = as_of(which.day)
    return Archive(
        id=new_id(to_us(now)),
        chain=which.chain,
        day=day,
        key=key_of(which.chain, day, packed.first_seq, packed.last_seq),
        generation=1,
        state="planned",
        count=packed.count,
        destroyed=0,
        first_seq=packed.first_seq,
        last_seq=packed.last_seq,
        first_at=from_us(packed.first_at),
        last_at=from_us(packed.last_at),
        digest=packed.digest,
        size=len(packed.content),
        actions=packed.actions,
        next=None,
        leftover=None,
        restored_until=None,
        created_at=now,
    )


def _plan(connection: Connection, *, archive: Archive, moves: int) -> None:
    """Only if nothing was taken out of the chain since it was read, and nobody else archives it."""
    mine = update(audit_chains).where(_chain.chain == archive.chain, _chain.moves == moves)
    if connection.execute(mine.values(moves=moves + 1)).rowcount != 1:
        raise Overtaken
    begun = select(_archive.id).where(_archive.chain == archive.chain, _archive.state.in_(OPEN))
    if connection.execute(begun).first() is not None:
        raise Overtaken
    row = {name: getattr(archive, name) for name in archive.__struct_fields__}
    moments = {name: to_us(row[name]) for name in ("first_at", "last_at", "created_at")}
    connection.execute(insert(audit_archives), [row | moments])


def _drop(connection: Connection, *, archive: Archive) -> None:
    connection.execute(delete(audit_archives).where(_archive.id == archive.id, _archive.state == "planned"))


def _move(connection: Connection, *, archive: Archive, before: str, after: str) -> None:
    mine = update(audit_archives).where(_archive.id == archive.id, _archive.state == before)
    if connection.execute(mine.values(state=after)).rowcount != 1:
        raise Overtaken


def _delete(connection: Connection, *, chain: str, places: Sequence[int]) -> None:
    gone = delete(audit).where(_row.chain == chain, _row.seq.in_(places), _row.restored_until.is_(None))
    connection.execute(gone)
