"""`lamplighter jobs why` and `crons why`: what keeps a job from running, and a schedule from making one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, print_json, say
from lamplighter.core.errors import UnknownJob
from lamplighter.engine.timekeeping import now_by
from lamplighter.store.base import Store

if TYPE_CHECKING:
    from lamplighter.app.why import Blocker, Sight
    from lamplighter.engine.tick import Told


def why(
    job: Annotated[str, typer.Argument(metavar="ID", help="Which job.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Say why a job does not run: all that is in its way, and what to do about it first.

    Ends with 1 if there is no such job.
    """
    from lamplighter.app.why import blockers  # noqa: PLC0415 - `--help` need not wait for it

    sight = with_store(store, lambda opened: _look(opened, job))
    found = blockers(sight)
    if (view := sight.view) is None:
        raise UnknownJob(found[0].says)
    if json:
        print_json({"id": view.id, "name": view.name, "queue": view.queue, "state": view.state, **_plain(found)})
        return
    say(f"{view.name} {view.id}, in queue {view.queue}, is {view.state}.")
    _tell(found)
    if not found:
        say("Nothing is in its way: the next free slot takes it.")


def why_cron(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which schedule.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Say why a schedule makes no job, or makes one that does not run.

    Ends with 1 if no worker has had a schedule of that name.
    """
    told, found = with_store(store, lambda opened: _look_at_schedule(opened, name))
    if json:
        print_json({"name": name, "schedule": told.schedule, "job": told.job, "queue": told.queue, **_plain(found)})
        return
    say(f"{name} ({told.schedule}) makes jobs {told.job} in queue {told.queue}.")
    _tell(found)


def _plain(found: list[Blocker]) -> dict[str, Any]:
    return {"blockers": [msgspec.to_builtins(blocker) for blocker in found]}


def _tell(found: list[Blocker]) -> None:
    for number, blocker in enumerate(found, 1):
        say(f"{number}. {blocker.says}")


async def _look_at_schedule(store: Store, name: str) -> tuple[Told, list[Blocker]]:
    from lamplighter.app.why.schedule import find_schedule, why_schedule  # noqa: PLC0415

    now = await now_by(store)
    told = await find_schedule(store, name, now=now)
    if told is None:
        raise UnknownJob(f"no worker has had a schedule {name!r}: `lamplighter crons list` shows those there are.")
    return told, await why_schedule(store, name, told, now=now)


async def _look(store: Store, job: str) -> Sight:
    from lamplighter.app.why import look  # noqa: PLC0415

    return await look(store, job, now=await now_by(store))
