"""`lamplighter queues`: how much is waiting, and pausing it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from lamplighter.cli.noting import noted
from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, print_json, print_table, say
from lamplighter.cli.program import Noun

group = typer.Typer(cls=Noun, help="See how much waits in each queue; pause and resume them.")

COLUMNS = ("queue", "held", "scheduled", "queued", "running", "done", "failed", "cancelled", "paused")
Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="Which queue.")]


@group.command("list")
def list_queues(*, store: StoreUrl = None, json: Json = False) -> None:
    """List queues, with how many jobs of each are in which state."""
    found = with_store(store, lambda opened: opened.stats())
    if json:
        print_json({"queues": [msgspec.to_builtins(stats) for stats in found]})
    else:
        print_table(COLUMNS, [[getattr(stats, name) for name in COLUMNS] for stats in found], empty="No queues yet.")


@group.command()
def shares(
    queue: Queue,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many lines at most.")] = 20,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List the tenants that have jobs to run in a queue, in the order of their turns.

    The tenant with the lowest tag is next; each job that it starts puts its tag up. Jobs that wait for a limit are not
    counted: see `lamplighter limits list`.
    """
    found = with_store(store, lambda opened: opened.shares(queue, limit=limit))
    if json:
        print_json({"queue": queue, "shares": [msgspec.to_builtins(share) for share in found]})
    else:
        rows = [(share.tenant or "(none)", share.priority, share.queued, share.tag) for share in found]
        print_table(("tenant", "priority", "queued", "tag"), rows, empty=f"Nothing is to be run in queue {queue}.")


@group.command()
def pause(queue: Queue, *, store: StoreUrl = None, json: Json = False) -> None:
    """Let no worker take jobs from a queue. Running jobs go on."""
    _set(queue, store, paused=True, json=json)


@group.command()
def resume(queue: Queue, *, store: StoreUrl = None, json: Json = False) -> None:
    """Let a paused queue go on."""
    _set(queue, store, paused=False, json=json)


def _set(queue: str, store: str | None, *, paused: bool, json: bool) -> None:
    action = "queue.pause" if paused else "queue.resume"
    noted(store, action, queue, lambda opened: opened.pause(queue, paused=paused))
    if json:
        print_json({"queue": queue, "paused": paused})
    else:
        say(f"Queue {queue} is {'paused' if paused else 'going on'}.")
