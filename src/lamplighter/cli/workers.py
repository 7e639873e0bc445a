"""`lamplighter workers`: which workers are alive, and ending one from elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
import typer

from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.core.clock import utcnow
from lamplighter.engine.lease import KIND, Presence
from lamplighter.engine.timekeeping import now_by
from lamplighter.store.base import Store

group = typer.Typer(cls=Noun, help="See which workers are alive; drain them.")


@group.command("list")
def list_workers(*, store: StoreUrl = None, json: Json = False) -> None:
    """List workers, with when each last asked the store for jobs."""
    records = with_store(store, lambda opened: opened.records(KIND, now=utcnow()))
    found = [(record.name, msgspec.json.decode(record.value, type=Presence)) for record in records]
    if json:
        print_json({"workers": [{"name": name, **msgspec.to_builtins(told)} for name, told in found]})
        return
    rows = [
        (
            name,
            told.host,
            told.pid,
            f"{told.running}/{told.concurrency}",
            ", ".join(told.queues) or "all",
            ago(_moment(told.started_at)),
            ago(_moment(told.claimed_at)),
            told.stopping,
        )
        for name, told in found
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

    with_store(store, ask)
    if json:
        print_json({"worker": name, "draining": True})
    else:
        say(f"Worker {name} takes no more jobs, and ends when those that run are done.")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
