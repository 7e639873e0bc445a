"""`lamplighter workers`: which workers are alive, and ending one from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lamplighter.cli.noting import noted
from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.engine.timekeeping import now_by
from lamplighter.store.base import Store

if TYPE_CHECKING:
    from lamplighter.app.why.sight import WorkerSeen

group = typer.Typer(cls=Noun, help="See which workers are alive; drain them.")


@group.command("list")
def list_workers(*, store: StoreUrl = None, json: Json = False) -> None:
    """List workers, with when each last asked the store for jobs."""
    from lamplighter.app.workers import workers_alive  # noqa: PLC0415 - `--help` need not wait for it

    async def look(opened: Store) -> list[WorkerSeen]:
        return await workers_alive(opened, now=await now_by(opened))

    found = with_store(store, look)
    if json:
        print_json({"workers": [{"name": one.name, **msgspec.to_builtins(one.told)} for one in found]})
        return
    rows = [
        (
            one.name,
            one.told.host,
            one.told.pid,
            f"{one.told.running}/{one.told.concurrency}",
            ", ".join(one.told.queues) or "all",
            ago(one.started_at),
            ago(one.claimed_at),
            one.told.stopping,
        )
        for one in found
    ]
    columns = ("name", "host", "pid", "running", "queues", "started", "last claim", "stopping")
    print_table(columns, rows, empty="No worker is alive on this store.")


@group.command()
def drain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which worker, as `workers list` has it.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Have a worker take no more jobs, finish those that run, and end: what SIGTERM does, from elsewhere.

    It hears of it within seconds. Whatever keeps it running may start another.
    """
    from lamplighter.app.workers import drain_worker  # noqa: PLC0415 - `--help` need not wait for it

    async def ask(opened: Store) -> None:
        await drain_worker(opened, name, now=await now_by(opened))

    noted(store, "worker.drain", name, ask)
    if json:
        print_json({"worker": name, "draining": True})
    else:
        say(f"Worker {name} takes no more jobs, and ends when those that run are done.")
