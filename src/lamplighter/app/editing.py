"""A new job made of an old one: of the same name, with other arguments. Each tells of the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from lamplighter.app.app import App
from lamplighter.app.handle import Handle
from lamplighter.core.draft import Options
from lamplighter.core.model import JobView, Record
from lamplighter.store.base import Store

FROM, INTO = "edited_from", "edited_into"  # kinds of records, with the job that they are about: read without the others
KEPT = timedelta(days=90)  # how long they tell


class Lineage(NamedTuple):
    """The job that one was made of, and those that were made of it, the oldest first."""

    made_of: str | None
    made_into: list[str]


async def enqueue_edited(
    app: App[Any], old: JobView, arguments: Mapping[str, object], *, queue: str | None, priority: int | None
) -> Handle[Any]:
    """Add a job of its name and tenant, due now. What is None, and all else, is as the job is declared.

    Where a job that is there holds its unique key, the handle is that one's (`created`), and nothing is told of it.

    Raises:
        UnknownJob: this app has no job of that name.
        BadArguments: the arguments do not fit its function.
        ConfigError, TooLarge, QueueFull, StoreUnavailable: as enqueuing does.
    """
    options: Options = {"tenant": old.tenant, "delay": 0}
    if queue is not None:
        options["queue"] = queue
    if priority is not None:
        options["priority"] = priority
    [handle] = await app.enqueue([app.job_named(old.name).using(**options).draft_of(arguments)])
    if handle.created:
        until = app.clock() + KEPT
        for kind, told in ((_kind(FROM, handle.id), old.id), (_kind(INTO, old.id), handle.id)):
            await app.store.put(Record(kind=kind, name=told, value="{}", expires_at=until))
    return handle


async def lineage(store: Store, job: str, *, now: datetime) -> Lineage:
    """What is on record of it."""
    made_of, made_into = await asyncio.gather(*(store.records(_kind(kind, job), now=now) for kind in (FROM, INTO)))
    return Lineage(made_of[0].name if made_of else None, [one.name for one in made_into])


def _kind(kind: str, job: str) -> str:
    return f"{kind}:{job}"
