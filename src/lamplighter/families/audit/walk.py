"""A walk along a chain: through the live table, archives and gaps, from its first record to its head.

Only a page of the live table and the objects that hold the next records are in memory. While it walks, records may move
into archives: what is in the live table no more is looked for in those that came since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

from sqlalchemy import func, select

from lamplighter.families.audit import objects
from lamplighter.families.audit.archive import Archive, Archives, archives_by
from lamplighter.families.audit.objects import Reading
from lamplighter.families.audit.storage import ArchiveAltered, ArchiveDown, ArchiveMissing, Storage
from lamplighter.integrations.auditing.chain import Sealed, genesis, link, sealed, stored
from lamplighter.integrations.auditing.sealing import Head
from lamplighter.integrations.storage.audit_tables import audit_archives, audit_chains, audit_gaps
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import audit

READ = 1000  # records of the live table in one read

_row, _archive, _gap, _chain = audit.c, audit_archives.c, audit_gaps.c, audit_chains.c


Some: TypeAlias = Callable[[], Awaitable[list[Sealed]]]


class Broken(Exception):
    """The chain is not whole. `what`: altered, reordered, missing, archive missing, archive altered, or rewritten."""

    def __init__(self, seq: int, what: str, says: str) -> None:
        super().__init__(says)
        self.seq = seq
        self.what = what
        self.says = says


class Source:
    """Records in the order of their places, some of which were read already. `seq`: the place of the next one; None: it
    has to be read, or there is none."""

    def __init__(self, name: str, some: Some) -> None:
        self.name = name
        self._some = some
        self.records: list[Sealed] = []
        self.at = 0
        self.seq: int | None = None

    def pass_by(self) -> None:
        """Go on to the one after the next one."""
        self.at += 1
        self.seq = self.records[self.at].seq if self.at < len(self.records) else None

    async def fill(self, least: int) -> None:
        """Have the next record ready, from a place on."""
        while self.seq is None or self.seq < least:
            if self.seq is not None:
                self.pass_by()
                continue
            self.records, self.at = await self._some(), -1
            self.pass_by()
            if not self.records:
                return


class Walked(NamedTuple):
    """How many places there are, and of how many of them the records were destroyed."""

    places: int
    destroyed: int


class Walk:
    """One walk. `heads`: what others know the chain to have been; `step`: is told after each stretch how far it is."""

    def __init__(
        self,
        database: Database,
        storage: Storage | None,
        head: Head,
        *,
        heads: Sequence[Head] = (),
        step: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._storage = storage
        self._head = head
        self._step = step
        self._next, self._before = 1, genesis(head.chain)
        self._known: list[tuple[int, str, str]] = []
        self._live = Source("the live table", self._read_live)
        self._archives: list[Source] = []
        self._opened: set[str] = set()
        self._looked_to = 1  # whatever holds records before this place is open
        self._destroyed = 0
        for one in heads:
            self._expect(one, "the head that was noted")

    async def run(self) -> Walked:
        """To its end. Raises Broken, or ArchiveDown if that cannot be said."""
        await self._check_head()
        await self._walk()
        while self._known and (head := await self._head_now()).seq > self._head.seq:  # it has grown meanwhile
            self._head = head
            await self._walk()
        if self._known:
            seq, _, where = self._known[0]
            says = f"{where} knows of record {seq:,}, and the chain ends at {self._head.seq:,}."
            raise Broken(self._head.seq, "rewritten", says)
        await self._close()
        return Walked(self._head.seq, self._destroyed)

    async def _walk(self) -> None:
        while self._next <= self._head.seq:
            if await self._find() or await self._find(anew=True):
                await self._follow()
            elif not await self._jump():
                await self._miss()
            self._step(self._next - 1)
        if self._before != self._head.hash:
            raise Broken(self._head.seq, "rewritten", "its head is not that of its last record.")

    async def _check_head(self) -> None:
        """What is sealed later than the head says was sealed by nobody."""
        last = select(func.max(_row.seq)).where(_row.chain == self._head.chain)
        seq = select(_chain.seq).where(_chain.chain == self._head.chain)
        found, now = await self._database.read(lambda one: (one.scalar(last), one.scalar(seq)))
        if found is not None and found > (now or 0):
            raise Broken(found, "rewritten", f"record {found:,} comes after its head, which is {now or 0:,}.")

    async def _head_now(self) -> Head:
        found = select(_chain.chain, _chain.seq, _chain.hash).where(_chain.chain == self._head.chain)
        return Head(*(await self._database.read(lambda one: one.execute(found).one())))

    async def _find(self, *, anew: bool = False) -> bool:
        """Whether the next record is somewhere. `anew`: it may have moved since."""
        if anew:
            self._live = Source(self._live.name, self._read_live)
        await self._live.fill(self._next)
        if anew or self._next >= self._looked_to:
            await self._open_archives()
        for source in self._archives:
            await source.fill(self._next)
        self._archives = [one for one in self._archives if one.seq is not None]
        return any(one.seq == self._next for one in (self._live, *self._archives))

    async def _follow(self) -> None:
        """As far as what was read goes."""
        sources = [self._live, *self._archives]
        stop = min([self._head.seq + 1, self._looked_to, *(seq + 1 for seq, *_ in self._known[:1])])
        place = await asyncio.to_thread(_checked, sources, _Place(self._next, self._before, self._destroyed), stop)
        self._next, self._before, self._destroyed = place.seq, place.before, place.destroyed
        if place.wrong is not None:
            await self._say_what_is_wrong(place.wrong)
        self._meet()

    async def _jump(self) -> bool:
        """Over what was destroyed; False: nothing was, there."""
        found = select(audit_gaps).where(_gap.chain == self._head.chain, _gap.first_seq <= self._next)
        statement = found.order_by(_gap.first_seq.desc()).limit(1)
        gap = await self._database.read(lambda one: one.execute(statement).first())
        if gap is None or gap.last_seq < self._next:
            return False
        self._destroyed += gap.last_seq + 1 - self._next
        self._next, self._before = gap.last_seq + 1, gap.last_hash
        while self._known and self._known[0][0] < gap.last_seq:
            heappop(self._known)  # nobody can tell any more
        self._meet()
        return True

    async def _miss(self) -> None:
        """Say up to where nothing is."""
        rest = [one.seq for one in (self._live, *self._archives) if one.seq is not None]
        last = min([self._head.seq + 1, *rest]) - 1
        what = f"record {self._next:,} is" if last == self._next else f"records {self._next:,} to {last:,} are"
        raise Broken(self._next, "missing", f"{what} missing: neither in the live table nor in an archive.")

    async def _say_what_is_wrong(self, source: Source) -> None:
        """Whether the record that belongs there is somewhere else in the live table."""
        _, hash_, _ = source.records[source.at]
        after, of_chain = 0, stored().where(_row.chain == self._head.chain).order_by(_row.seq).limit(READ)
        while rows := await self._database.read(lambda one: one.execute(of_chain.where(_row.seq > after)).all()):  # noqa: B023 - run now
            for one in map(sealed, rows):
                if one.content is None or one.seq == self._next:
                    continue
                if link(self._before, self._next, one.content) in {hash_, one.hash}:
                    says = f"at {self._next:,} is another record than was sealed there: that one is at {one.seq:,} now."
                    raise Broken(self._next, "reordered", says)
            after = rows[-1].seq
        raise self._altered(source)

    def _altered(self, source: Source) -> Broken:
        return Broken(self._next, "altered", f"record {self._next:,} in {source.name} is not what was sealed.")

    def _expect(self, head: Head, where: str) -> None:
        heappush(self._known, (head.seq, head.hash, where))

    def _meet(self) -> None:
        """Whether the chain is what others know it to have been."""
        while self._known and self._known[0][0] < self._next:
            seq, hash_, where = heappop(self._known)
            if seq == self._next - 1 and hash_ != self._before:
                raise Broken(seq, "rewritten", f"{where} has another hash of record {seq:,} than the chain has now.")

    async def _read_live(self) -> list[Sealed]:
        after = self._live.records[-1].seq if self._live.records else self._next - 1
        place = _row.seq.between(after + 1, self._head.seq)
        statement = stored().where(_row.chain == self._head.chain, place).order_by(_row.seq).limit(READ)
        return [sealed(row) for row in await self._database.read(lambda one: one.execute(statement).all())]

    async def _open_archives(self) -> None:
        """Those that hold one of the next records, or may."""
        end = self._next + READ
        within = (_archive.first_seq < end, _archive.last_seq >= self._next)
        statement = select(audit_archives).where(_archive.chain == self._head.chain, *within)
        read_back = statement.where(_archive.state.in_(("written", "archived")))
        for archive in await archives_by(self._database, read_back):
            if archive.key not in self._opened and (source := await self._open(archive)) is not None:
                self._opened.add(archive.key)
                self._archives.append(source)
        self._looked_to = end

    async def _open(self, archive: Archive) -> Source | None:
        """None: it has been written anew meanwhile, or destroyed, and it is to be looked for again."""
        if self._storage is None:
            raise ArchiveDown(f"the archive {archive.key} cannot be read: set audit_archive to where it is.")
        try:
            reading = await objects.read(self._storage, archive)
        except (ArchiveMissing, ArchiveAltered) as error:
            now = await Archives(self._database).get(archive.id)
            if now is None or now.key != archive.key or now.state == "destroyed":
                return None
            raise _unreadable(error, max(self._next, archive.first_seq)) from None
        header = reading.header
        self._expect(Head(header.chain, header.head_seq, header.head_hash), f"the archive {archive.key}")
        return Source(f"the archive {archive.key}", partial(self._some, reading))

    async def _some(self, reading: Reading) -> list[Sealed]:
        try:
            return await reading.some()
        except ArchiveAltered as error:
            raise _unreadable(error, self._next) from None

    async def _close(self) -> None:
        """What is left of objects is read too: only then is it known whether they are what was written."""
        for source in self._archives:
            while source.records:
                source.seq = None
                await source.fill(0)


def _unreadable(error: Exception, seq: int) -> Broken:
    return Broken(seq, "archive missing" if isinstance(error, ArchiveMissing) else "archive altered", str(error))


class _Place(NamedTuple):
    """The place after the last record that fits, its hash, how many were destroyed, and where one is that does not."""

    seq: int
    before: str
    destroyed: int
    wrong: Source | None = None


def _checked(sources: Sequence[Source], place: _Place, stop: int) -> _Place:
    """Follow the sources until one of them has to be read on, or something does not fit. A record may be in several,
    such as a restored copy: each has to fit."""
    seq, before, destroyed, _ = place
    while seq < stop and (here := [one for one in sources if one.seq == seq]):
        for source in here:
            _, hash_, content = source.records[source.at]
            if content is not None and link(before, seq, content) != hash_:
                return _Place(seq, before, destroyed, source)
        destroyed += content is None
        seq, before = seq + 1, hash_
        for source in here:
            source.pass_by()
            if source.seq is None:
                stop = seq
    return _Place(seq, before, destroyed)
