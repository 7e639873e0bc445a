"""Why a job does not run: all that is in its way, the first thing to do first.

A further kind of blocker is a struct in `blocker.py`, a function in the file of what is in the way, and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from lamplighter.app.why import children, limits, queue, state, workers
from lamplighter.app.why.blocker import Blocker
from lamplighter.app.why.sight import Sight, look
from lamplighter.core.definition import Registry
from lamplighter.store.base import Store

__all__ = ["BLOCKERS", "Blocker", "Sight", "blockers", "look", "why", "why_not_added"]

# What to do first comes first: what the job is, then what waits for somebody's hand, then what passes by itself.
BLOCKERS: tuple[Callable[[Sight], Blocker | Sequence[Blocker] | None], ...] = (
    state.not_there,
    state.ended,
    state.running,
    state.abandoned,
    children.held,
    queue.paused,
    state.unknown_name,
    workers.no_worker,
    workers.not_served,
    workers.stopping,
    workers.deaf,
    state.overdue,
    state.scheduled,
    workers.busy,
    limits.shut,
    queue.in_line,
)


async def why(store: Store, job: str, *, now: datetime, registry: Registry | None = None) -> list[Blocker]:
    """All that keeps a job from running; empty if the next free slot takes it. `registry`: of the app that asks."""
    return blockers(await look(store, job, now=now, registry=registry))


async def why_not_added(store: Store, holder: str, *, now: datetime) -> list[Blocker]:
    """The same for a job that was not added, because another holds its unique key: what keeps that one."""
    sight = await look(store, holder, now=now)
    return [state.key_held(sight), *blockers(sight)]


def blockers(sight: Sight) -> list[Blocker]:
    """What can be seen in its way."""
    return [blocker for find in BLOCKERS for blocker in _each(find(sight))]


def _each(found: Blocker | Sequence[Blocker] | None) -> Sequence[Blocker]:
    if found is None:
        return ()
    return (found,) if isinstance(found, Blocker) else found
