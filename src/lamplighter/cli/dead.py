"""`lamplighter jobs dead`: the jobs that failed for good, and of what."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, next_of, print_json, print_table, say, say_more
from lamplighter.cli.which import Before, ChildOf, Limit, Names, Queues, Tenants, where_of
from lamplighter.core.model import Failure, JobView, State
from lamplighter.store.base import Store

LONGEST = 80  # characters of a reason that a table has room for


def dead(
    *,
    queue: Queues = None,
    name: Names = None,
    tenant: Tenants = None,
    child_of: ChildOf = None,
    limit: Limit = 20,
    before: Before = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List the jobs that failed for good, the newest first: after how many attempts, and with what last error."""
    where = where_of(queue=queue, name=name, tenant=tenant, state=[State.FAILED], child_of=child_of)
    found = with_store(store, lambda opened: _look(opened, where, limit, before))
    views = [view for view, _ in found]
    if json:
        print_json({"jobs": [_plain(view, failure) for view, failure in found], "next": next_of(views, limit)})
        return
    columns = ("id", "name", "queue", "tenant", "failed", "attempts", "error", "reason")
    print_table(columns, [_row(view, failure) for view, failure in found], empty="No job has failed for good.")
    if found:
        say("`lamplighter jobs show ID` tells all of one, `lamplighter jobs retry ID` runs it again.")
    say_more(views, limit, "--before")


async def _look(store: Store, where: Any, limit: int, before: str | None) -> list[tuple[JobView, Failure | None]]:
    views = await store.page(where, limit=limit, before=before)
    failures = await asyncio.gather(*(store.failures(view.id) for view in views))
    return [(view, some[-1] if some else None) for view, some in zip(views, failures, strict=True)]


def _row(view: JobView, failure: Failure | None) -> tuple[object, ...]:
    reason = next(iter((view.reason or "").splitlines()), "")
    attempts = view.failures + view.crashes
    told = failure.error if failure else None
    return view.id, view.name, view.queue, view.tenant, ago(view.ended_at), attempts, told, reason[:LONGEST]


def _plain(view: JobView, failure: Failure | None) -> dict[str, Any]:
    plain = msgspec.to_builtins(view)
    kept = ("id", "name", "queue", "tenant", "group", "created_at", "ended_at", "keep_until", "reason")
    last = failure and {name: value for name, value in msgspec.to_builtins(failure).items() if name != "traceback"}
    return {name: plain[name] for name in kept} | {"attempts": view.failures + view.crashes, "last_failure": last}
