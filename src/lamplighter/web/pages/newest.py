"""The newest jobs in some states, found where stores have an index for it: by queue and state."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from lamplighter.core.model import ENDED, JobView, QueueStats, State, Where
from lamplighter.store.base import Store


async def newest(
    store: Store, where: Where, stats: Sequence[QueueStats], *, limit: int, before: str | None = None
) -> list[JobView]:
    """A page of `where`. Ended jobs are looked for queue by queue, only where the counts say that there are any.

    A store that goes through all ended jobs for the few that failed would take longer the more there are.
    """
    states = frozenset(where.states)
    if not states or not states <= ENDED:
        return await store.page(where, limit=limit, before=before)
    among = [one.queue for one in stats if (not where.queues or one.queue in where.queues) and _has(one, states)]
    wheres = [replace(where, queues=(queue,), states=(state,)) for queue in among for state in sorted(states)]
    found = await asyncio.gather(*(store.page(one, limit=limit, before=before) for one in wheres))
    return sorted((job for page in found for job in page), key=lambda job: job.id, reverse=True)[:limit]


def _has(stats: QueueStats, states: frozenset[State]) -> bool:
    return any(getattr(stats, state) for state in states)
