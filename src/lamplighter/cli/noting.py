"""What is done here to jobs, queues and whatever moves them, in the audit log: where the service's tables are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from lamplighter.cli.extras import has
from lamplighter.cli.opened import file_must_exist, with_store
from lamplighter.core.config import Settings, load
from lamplighter.core.errors import ConfigError, StoreUnavailable
from lamplighter.core.model import Where
from lamplighter.store.base import Store

if TYPE_CHECKING:
    from lamplighter.integrations.audit import AuditLog

T = TypeVar("T")

ONE_BY_ONE = 100  # jobs that each have a record of their own; of more there is one for all
LONGEST_ID = 200  # characters


def noted(
    url: str | None, action: str, name: str, act: Callable[[Store], Awaitable[T]], *, tenant: str | None = None
) -> T:
    """What `act(store)` returns, with the store that the flag or the settings name; noted as `noting` does."""
    settings = load(flags={"store": url}).settings

    async def act_and_note(store: Store) -> T:
        async with noting(settings, action, name, tenant=tenant):
            return await act(store)

    return with_store(url, act_and_note)


@asynccontextmanager
async def noting(settings: Settings, action: str, name: str, *, tenant: str | None = None) -> AsyncIterator[None]:
    """That it is done inside, or why not, is noted as `action`, such as `queue.pause`, of what has that name."""
    async with _log(settings) as log:
        if log is None:
            yield
            return
        from lamplighter.integrations.audit import Resource  # noqa: PLC0415 - optional

        async with log.noting(action, Resource(action.partition(".")[0], name[:LONGEST_ID], tenant)):
            yield


def noted_jobs(
    url: str | None, verb: str, where: Where, act: Callable[[Store], Awaitable[Sequence[str]]]
) -> Sequence[str]:
    """What `act(store)` returns: the ids of the jobs to which it has done that.

    Those that were named have a record each, with their tenant; of all others, one says what they match and how many it
    took.
    """
    settings = load(flags={"store": url}).settings

    async def act_and_note(store: Store) -> Sequence[str]:
        async with _log(settings) as log:
            is_named = log is not None and 0 < len(where.ids) <= ONE_BY_ONE
            named = await store.page(where, limit=ONE_BY_ONE) if is_named else []
            done = await act(store)
            if log is not None:
                touched = set(done)
                each = [(view.id, view.tenant) for view in named if view.id in touched]
                await _note_each(log, f"job.{verb}", each)
                if len(touched) > len(each) or not is_named:  # by filter, or what hangs below a job
                    await _note_all(log, verb, where, len(touched))
            return done

    return with_store(url, act_and_note)


async def _note_each(log: AuditLog, action: str, jobs: Sequence[tuple[str, str | None]]) -> None:
    from lamplighter.integrations.audit import Resource  # noqa: PLC0415 - optional

    for id_, tenant in jobs:
        await log.add(action, Resource("job", id_, tenant))


async def _note_all(log: AuditLog, verb: str, where: Where, done: int) -> None:
    from lamplighter.integrations.audit import Resource  # noqa: PLC0415 - optional

    await log.add(
        "jobs.bulk", Resource("jobs", "many", None), metadata={"deed": verb, "where": where.told(), "done": done}
    )


@asynccontextmanager
async def _log(settings: Settings) -> AsyncIterator[AuditLog | None]:
    """The log, for the person at this command line; None where the service has no tables yet, or never will."""
    if not has("integrations"):
        yield None
        return
    from lamplighter.cli.integrations import as_operator  # noqa: PLC0415 - optional, as what follows
    from lamplighter.integrations.audit import AuditLog  # noqa: PLC0415
    from lamplighter.integrations.service import database_url  # noqa: PLC0415
    from lamplighter.integrations.storage.database import Database  # noqa: PLC0415
    from lamplighter.integrations.storage.migrate import current  # noqa: PLC0415

    try:
        file_must_exist(database_url(settings))
        database = Database(database_url(settings))
    except (ConfigError, StoreUnavailable):  # jobs can be where no tables can
        yield None
        return
    async with database:
        if await current(database) is None:
            yield None
        else:
            with as_operator():
                yield AuditLog(database)
