"""`lamplighter crons`: which schedules there are and when they fire."""

from __future__ import annotations

import typer

from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_table
from lamplighter.cli.program import Noun
from lamplighter.core.clock import from_us, maybe_from_us, utcnow
from lamplighter.engine.tick import KIND, read_told

group = typer.Typer(cls=Noun, help="See the schedules that workers fire.")


@group.command("list")
def list_crons(*, store: StoreUrl = None, json: Json = False) -> None:
    """List schedules, with when each fires next."""
    records = with_store(store, lambda opened: opened.records(KIND, now=utcnow()))
    known = [(record.name, told) for record in records if (told := read_told(record))]
    if json:
        print_json(
            {
                "crons": [
                    {
                        "name": name,
                        "schedule": told.schedule,
                        "job": told.job,
                        "queue": told.queue,
                        "last_at": maybe_from_us(told.fired),
                        "next_at": from_us(told.next),
                    }
                    for name, told in known
                ]
            }
        )
        return
    rows = [(name, t.schedule, t.job, t.queue, ago(maybe_from_us(t.fired)), ago(from_us(t.next))) for name, t in known]
    print_table(("name", "schedule", "job", "queue", "last", "next"), rows, empty="No worker has had schedules yet.")
