"""`lamplighter workers`: which workers are alive."""

from __future__ import annotations

from datetime import datetime

import msgspec
import typer

from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_table
from lamplighter.cli.program import Noun
from lamplighter.core.clock import utcnow
from lamplighter.engine.lease import KIND, Presence

group = typer.Typer(cls=Noun, help="See which workers are alive.")


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


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
