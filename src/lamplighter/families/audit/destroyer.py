"""Destroying what is archived when its time is over, unless it is held: an action of an archive at a time.

An archive of which something is left is written anew, as its next generation: of what is destroyed, place and hash are
left there, so that the chain still verifies. One of which nothing is left goes, and the chain keeps where its records
were. As in archiving, each step is durable before the next, and anybody can go on with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial

from msgspec import to_builtins
from sqlalchemy import ColumnElement, Connection, delete, select, update

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.families.audit import objects
from lamplighter.families.audit.archive import Archive, Next, archives_by, key_of
from lamplighter.families.audit.archiver import note_failure
from lamplighter.families.audit.packing import Header, Packed, Packer, without
from lamplighter.families.audit.storage import ArchiveDown, ArchiveError, Storage
from lamplighter.integrations.audit import Resource, record
from lamplighter.integrations.auditing.chain import Run, runs
from lamplighter.integrations.auditing.gaps import destroyed, take_out
from lamplighter.integrations.auditing.policy import Policy
from lamplighter.integrations.auditing.rules import policy_in_force
from lamplighter.integrations.auditing.sealing import Overtaken
from lamplighter.integrations.storage.audit_tables import audit_archives
from lamplighter.integrations.storage.database import Database

PAGE = 200  # archives in one read

_archive = audit_archives.c


class Destroyer:
    """Destroys what is past its time in archives. `is_over`: asked between objects, whether to stop for now."""

    def __init__(self, database: Database, storage: Storage, settings: Settings, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings
        self._clock = clock

    async def run(self, is_over: Callable[[], bool] = lambda: False) -> int:
        """How many records are gone. Raises ArchiveDown; what is wrong with one archive is noted with its chain."""
        gone, after, now = 0, "", self._clock()
        policy = await self._database.read(lambda connection: policy_in_force(connection, self._settings))
        pages = select(audit_archives).where(_archive.state.in_(("archived", "destroyed"))).order_by(_archive.id)
        while found := await archives_by(self._database, pages.where(_archive.id > after).limit(PAGE)):
            for archive in found:
                if is_over():
                    return gone
                gone += await self._noting(archive, policy, now)
            after = found[-1].id
        return gone

    async def _noting(self, archive: Archive, policy: Policy, now: datetime) -> int:
        try:
            return await self._destroy(archive, policy, now)
        except Overtaken:  # by another process, which goes on with it
            return 0
        except ArchiveError as error:
            failure = str(error)
            await self._database.write(partial(note_failure, chain=archive.chain, failure=failure, now=now))
            if isinstance(error, ArchiveDown):
                raise
            return 0

    async def _destroy(self, archive: Archive, policy: Policy, now: datetime) -> int:
        """What is to go of it; first whatever was begun is brought to its end."""
        if archive.state == "destroyed" or archive.leftover is not None or archive.next is not None:
            return await self._go_on(archive)
        going = _expired(archive, policy, now)
        if not going or archive.restored_until is not None:  # what is restored waits for its copies to go
            return 0
        return await self._destroy_all(archive) if going == set(archive.actions) else await self._shrink(archive, going)

    async def _go_on(self, archive: Archive) -> int:
        if archive.next is not None:
            if await objects.find(self._storage, archive.next) is None:
                await self._database.write(partial(_drop_next, archive=archive))
                return 0
            return await self._swap(archive, archive.next)
        if archive.leftover is not None:
            await self._storage.delete(archive.leftover)
        await self._database.write(partial(_clear, archive=archive))
        return 0

    async def _shrink(self, archive: Archive, going: set[str]) -> int:
        packed = await self._packed(archive, frozenset(going))
        key = key_of(archive.chain, archive.day, archive.first_seq, archive.last_seq, archive.generation + 1)
        following = Next(
            key=key,
            digest=packed.digest,
            size=len(packed.content),
            destroyed=packed.destroyed,
            actions=packed.actions,
        )
        await self._database.write(partial(_announce, archive=archive, following=following))
        await objects.put(self._storage, following, packed.content)
        return await self._swap(archive, following)

    async def _swap(self, archive: Archive, following: Next) -> int:
        """The next generation for this one; if something in it is held by now, it is not destroyed."""
        now = self._clock()
        swap = partial(_swap, archive=archive, following=following, settings=self._settings, now=now)
        leftover = await self._database.write(swap)
        await self._storage.delete(leftover)
        await self._database.write(partial(_clear, archive=archive))
        return following.destroyed - archive.destroyed if leftover == archive.key else 0

    async def _destroy_all(self, archive: Archive) -> int:
        places = await objects.read_whole(self._storage, archive)
        gone = partial(_gone, archive=archive, runs=runs(places), settings=self._settings, now=self._clock())
        await self._database.write(gone)
        await self._storage.delete(archive.key)
        await self._database.write(partial(_clear, archive=archive))
        return archive.count - archive.destroyed

    async def _packed(self, archive: Archive, going: frozenset[str]) -> Packed:
        reading = await objects.read(self._storage, archive)
        before = reading.header
        header = Header(
            chain=before.chain,
            day=before.day,
            generation=archive.generation + 1,
            head_seq=before.head_seq,
            head_hash=before.head_hash,
        )
        packer = Packer(header)
        async for some in reading:
            await asyncio.to_thread(lambda: packer.add(without(some, going)))  # noqa: B023 - run now
        return await asyncio.to_thread(packer.finish)


def _expired(archive: Archive, policy: Policy, now: datetime) -> set[str]:
    """The actions that are past their time with all of their records."""
    return {
        action for action, (_, last) in archive.actions.items() if policy.may_destroy(archive.chain, action, last, now)
    }


def _announce(connection: Connection, *, archive: Archive, following: Next) -> None:
    mine = update(audit_archives).where(
        _archive.id == archive.id, _archive.generation == archive.generation, _archive.next.is_(None), *_at_rest()
    )
    if connection.execute(mine.values(next=to_builtins(following))).rowcount != 1:
        raise Overtaken


def _at_rest() -> tuple[ColumnElement[bool], ...]:
    return (_archive.state == "archived", _archive.leftover.is_(None), _archive.restored_until.is_(None))


def _drop_next(connection: Connection, *, archive: Archive) -> None:
    connection.execute(update(audit_archives).where(_archive.id == archive.id).values(next=None))


def _swap(connection: Connection, *, archive: Archive, following: Next, settings: Settings, now: datetime) -> str:
    """Returns the key that is to be deleted."""
    going = set(archive.actions) - set(following.actions)
    is_still_so = going <= _expired(archive, policy_in_force(connection, settings), now)
    mine = update(audit_archives).where(
        _archive.id == archive.id, _archive.generation == archive.generation, _archive.next.is_not(None)
    )
    values = {
        "key": following.key,
        "generation": archive.generation + 1,
        "digest": following.digest,
        "size": following.size,
        "destroyed": following.destroyed,
        "actions": to_builtins(following.actions),
    }
    leftover = archive.key if is_still_so else following.key
    done = connection.execute(mine.values(**(values if is_still_so else {}), next=None, leftover=leftover))
    if done.rowcount != 1:
        raise Overtaken
    if is_still_so:
        _note(connection, archive, going, now)
    return leftover


def _gone(connection: Connection, *, archive: Archive, runs: list[Run], settings: Settings, now: datetime) -> None:
    going = _expired(archive, policy_in_force(connection, settings), now)
    mine = update(audit_archives).where(
        _archive.id == archive.id, _archive.generation == archive.generation, _archive.next.is_(None), *_at_rest()
    )
    done = connection.execute(mine.values(state="destroyed", leftover=archive.key))
    if going != set(archive.actions) or done.rowcount != 1:
        raise Overtaken
    take_out(connection, archive.chain)
    destroyed(connection, archive.chain, runs, now)
    _note(connection, archive, going, now)


def _note(connection: Connection, archive: Archive, going: set[str], now: datetime) -> None:
    """Destroying records is a record."""
    metadata = {
        "day": archive.day,
        "key": archive.key,
        "destroyed": {action: archive.actions[action][0] for action in sorted(going)},
    }
    about = Resource("audit-archive", archive.id, archive.chain or None)
    record(connection, "audit-archive.destroyed", [about], now, metadata=metadata)


def _clear(connection: Connection, *, archive: Archive) -> None:
    """What was left over is deleted; of an archive that is destroyed, nothing is left to know."""
    of_it = _archive.id == archive.id
    connection.execute(update(audit_archives).where(of_it).values(leftover=None))
    connection.execute(delete(audit_archives).where(of_it, _archive.state == "destroyed"))
