"""Cancels a job and all that hangs below it: its children, theirs, and so on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from lamplighter.core.model import LIVE, Cancelled, Where
from lamplighter.store.base import Store

AT_ONCE = 1000  # jobs in one call


async def cancel_tree(
    store: Store,
    root: str,
    *,
    now: datetime,
    keep_until: datetime,
    tenants: tuple[str, ...] = (),
    told: Callable[[Cancelled], None] = lambda _: None,
) -> Cancelled:
    """Cancel what waits and ask what runs to stop, each job before its children: so no further ones can come.

    Done again, it goes on where it was interrupted. With `tenants`, what is below is left alone unless it is theirs.
    `told` hears after each call what was done so far.
    """
    gone = Cancelled([], [])

    async def cancel(ids: list[str]) -> None:
        some = await store.cancel(Where(ids=tuple(ids)), limit=len(ids), now=now, keep_until=keep_until)
        gone.ended.extend(some.ended)
        gone.asked.extend(some.asked)
        told(gone)

    await cancel([root])
    parents = [root]
    while parents:
        children, before = Where(groups=(parents.pop(),), tenants=tenants), None
        while views := await store.page(children, limit=AT_ONCE, before=before):
            if live := [view.id for view in views if view.state in LIVE]:
                await cancel(live)
            parents += [view.id for view in views if view.children is not None]
            before = views[-1].id
    return gone
