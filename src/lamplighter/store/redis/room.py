"""Whether a batch that takes several scripts fits into its queues, before the first of them adds anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lamplighter.core.model import NewJob
from lamplighter.store.redis.find import STRETCH, batched
from lamplighter.store.redis.link import Link
from lamplighter.store.redis.rows import pack
from lamplighter.store.redis.scripts import script
from lamplighter.store.rules import queue_full


async def ensure_room(link: Link, jobs: Sequence[NewJob]) -> None:
    """Return if they fit, beside what waits now.

    Raises:
        QueueFull: they do not.
    """
    if await _full(link, jobs) and (full := await _full(link, await _unknown(link, jobs))):
        queue, tenant, most = full
        raise queue_full(queue.decode(), tenant.decode(), most)


async def _full(link: Link, jobs: Sequence[NewJob]) -> tuple[bytes, bytes, int] | None:
    """The bound beyond which they would go: its queue, its tenant or nothing, and how many may wait."""
    queues = Counter((job.queue, None) for job in jobs)
    tenants = Counter((job.queue, job.tenant or "") for job in jobs)
    counts = [(*of, n) for some in (queues, tenants) for of, n in some.items()]
    full = await link.run(script("room"), pack(counts, "a batch"), again=True)
    return tuple(full) or None


async def _unknown(link: Link, jobs: Sequence[NewJob]) -> list[NewJob]:
    """Those that were not added before."""
    new = {job.id: job for job in jobs}
    for some in batched(tuple(new), STRETCH):
        for id_ in await link.run(script("known"), *some, again=True):
            del new[id_.decode()]
    return list(new.values())
