"""The newest jobs in some states, asked for in the way that costs stores least."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

from msgspec.structs import replace

from lamplighter.core.model import ENDED, JobView, QueueStats, Where
from lamplighter.store.base import Store


class OfJob(Protocol):
    """What a store tells of a job."""

    @property
    def id(self) -> str: ...


J = TypeVar("J", bound=OfJob)
J_co = TypeVar("J_co", bound=OfJob, covariant=True)


class Read(Protocol[J_co]):
    """A call of the store that tells of the newest jobs that match."""

    def __call__(self, where: Where, *, limit: int, before: str | None) -> Awaitable[Sequence[J_co]]: ...


async def newest(
    store: Store, where: Where, stats: Sequence[QueueStats], *, limit: int, before: str | None = None
) -> list[JobView]:
    """A page of `where`, given the counts of all queues."""
    return await newest_by(store.page, where, stats, limit=limit, before=before)


async def newest_by(
    read: Read[J], where: Where, stats: Sequence[QueueStats], *, limit: int, before: str | None = None
) -> list[J]:
    """What `read` tells of such a page.

    Nobody is asked for what the counts say is not there, or for more than there is: a store would look at every job to
    find that out. Ended jobs are asked for by queue and state, in which order stores have them.
    """
    states = frozenset(where.states)
    if not states:
        return list(await read(where, limit=limit, before=before))
    counts = [(one.queue, state, getattr(one, state)) for one in stats for state in sorted(states)]
    there = [one for one in counts if one[2] and (not where.queues or one[0] in where.queues)]
    most = min(limit, sum(count for *_, count in there))
    if states <= ENDED:
        apart = [replace(where, queues=(queue,), states=(state,)) for queue, state, _ in there]
        return await _merged(read, apart, most, before)
    return list(await read(where, limit=most, before=before)) if there else []


async def _merged(read: Read[J], wheres: Sequence[Where], limit: int, before: str | None) -> list[J]:
    """The newest of all these, a part of each at a time: as a rule that is all that is looked at."""
    part = limit // max(1, len(wheres)) + 1
    found: list[J] = []
    going_on = [(where, before) for where in wheres]
    while going_on:
        pages = await asyncio.gather(*(read(where, limit=part, before=last) for where, last in going_on))
        found = sorted([*found, *(job for page in pages for job in page)], key=lambda job: job.id, reverse=True)[:limit]
        going_on = [
            (where, page[-1].id)
            for (where, _), page in zip(going_on, pages, strict=True)
            if len(page) == part and (len(found) < limit or page[-1].id > found[-1].id)
        ]
    return found
