"""`lamplighter crons`: which schedules there are and when they fire; pausing them, and running one now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.cli.noting import noted, noting
from lamplighter.cli.opened import run_async, with_store
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.cli.work import find_app
from lamplighter.core.clock import from_us, maybe_from_us, utcnow
from lamplighter.engine.pause import pauses
from lamplighter.engine.tick import KIND, Told, read_told
from lamplighter.engine.timekeeping import now_by
from lamplighter.store.base import Store

if TYPE_CHECKING:
    from lamplighter.app import Handle

group = typer.Typer(cls=Noun, help="See the schedules that workers fire; pause and run them.")

COLUMNS = ("name", "schedule", "job", "queue", "last", "next", "paused")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Which schedule.")]


@group.command("list")
def list_crons(*, store: StoreUrl = None, json: Json = False) -> None:
    """List schedules, with when each fires next."""
    known = with_store(store, _look)
    if json:
        print_json({"crons": [_plain(name, told, paused=paused) for name, told, paused in known]})
        return
    rows = [
        (name, t.schedule, t.job, t.queue, ago(maybe_from_us(t.fired)), ago(from_us(t.next)), paused)
        for name, t, paused in known
    ]
    print_table(COLUMNS, rows, empty="No worker has had schedules yet.")


@group.command()
def pause(name: Name, *, store: StoreUrl = None, json: Json = False) -> None:
    """Let the slots of a schedule pass, until it is resumed. What passed is not made up for."""
    _set(name, store, paused=True, json=json)


@group.command()
def resume(name: Name, *, store: StoreUrl = None, json: Json = False) -> None:
    """Let a paused schedule go on with its next slot."""
    _set(name, store, paused=False, json=json)


@group.command()
def run(
    target: Annotated[str, typer.Argument(metavar="MODULE:APP", help="Where its app is, e.g. shop.jobs:app.")],
    name: Name,
    *,
    json: Json = False,
) -> None:
    """Enqueue the job of a schedule now, beside its slots, and even while it is paused."""
    handle = run_async(_run(find_app(target), name))
    if json:
        print_json({"id": handle.id, "created": handle.created})
    else:
        say(
            f"Job {handle.id} is enqueued." if handle.created else f"Job {handle.id} holds its unique key: no other is."
        )


async def _look(store: Store) -> list[tuple[str, Told, bool]]:
    paused = {name for name, one in (await pauses(store, now=utcnow())).items() if one.until is None}
    records = await store.records(KIND, now=utcnow())
    return [(one.name, told, one.name in paused) for one in records if (told := read_told(one))]


def _plain(name: str, told: Told, *, paused: bool) -> dict[str, Any]:
    return {
        "name": name,
        "schedule": told.schedule,
        "job": told.job,
        "queue": told.queue,
        "last_at": maybe_from_us(told.fired),
        "next_at": from_us(told.next),
        "paused": paused,
    }


def _set(name: str, store: str | None, *, paused: bool, json: bool) -> None:
    from lamplighter.app.crons import Crons  # noqa: PLC0415 - `--help` need not wait for it

    async def act(opened: Store) -> None:
        now = await now_by(opened)
        crons = Crons(opened, lambda: now)
        await (crons.pause(name) if paused else crons.resume(name))

    noted(store, "cron.pause" if paused else "cron.resume", name, act)
    if json:
        print_json({"cron": name, "paused": paused})
    else:
        say(f"Schedule {name} is {'paused' if paused else 'going on'}.")


async def _run(app: Any, name: str) -> Handle[Any]:
    async with app, noting(app.settings, "cron.run", name):
        handle: Handle[Any] = await app.run_cron(name)
    return handle
