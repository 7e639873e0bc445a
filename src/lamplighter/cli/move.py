"""`lamplighter jobs move`: empty one store into another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
import typer

from lamplighter.cli.opened import must_exist, run_async
from lamplighter.cli.output import Json, count, print_json, say
from lamplighter.cli.progress import bars
from lamplighter.cli.work import on_signals
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.store.open import open_store

if TYPE_CHECKING:
    from lamplighter.app.move import Moved

Told = Callable[["Moved"], None]


def move(
    *,
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The store that gives up its jobs.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="The store that gets them.")],
    wait: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, max=86_400, help="How long to wait for jobs that run at the source."),
    ] = 60,
    json: Json = False,
) -> None:
    """Move what waits from one store to another: jobs, the memory of schedules, pauses.

    Workers may run on both sides. If it is interrupted, run it again: nothing is lost. Ends with 1 if jobs are left
    at the source, which then still run there.
    """
    source, target = _checked(source), _checked(target)
    must_exist(source)
    moved = run_async(_run(source, target, timedelta(seconds=wait)))
    if json:
        print_json(msgspec.to_builtins(moved))
    else:
        say("\n".join(_told(moved)))
    if moved.running or moved.waiting:
        raise typer.Exit(1)


def _checked(url: str) -> str:
    url = load(flags={"store": url}).settings.store
    open_store(url)  # says what is wrong with a URL; nothing is opened yet
    if urlsplit(url).scheme == "memory":
        raise ConfigError("memory:// ends with its process: name stores that last with --from and --to.")
    return url


async def _run(source: str, target: str, wait: timedelta) -> Moved:
    from lamplighter.app.move import Mover  # noqa: PLC0415 - `--help` need not wait for it

    async with open_store(source) as giving, open_store(target) as getting:
        stats = await giving.stats()
        with _progress(sum(queue.queued + queue.scheduled for queue in stats)) as told:
            mover = Mover(giving, getting, told=told)
            with on_signals(mover.stop):
                return await mover.run(wait=wait)


@contextmanager
def _progress(jobs: int) -> Iterator[Told]:
    with bars() as shown:
        bar = shown.add_task("moving", total=jobs)

        def told(moved: Moved) -> None:
            done = moved.moved + moved.duplicate
            shown.update(bar, completed=done, total=max(jobs, done))

        yield told


def _told(moved: Moved) -> Iterator[str]:
    yield f"{count(moved.moved, 'job')} moved, {count(len(moved.schedules), 'schedule')}."
    for one in moved.duplicates:
        yield f"{one.id} was dropped: {one.held_by} holds its unique key at the target."
    if more := moved.duplicate - len(moved.duplicates):
        yield f"{count(more, 'more job')} were dropped, for others hold their unique keys at the target."
    if moved.paused:
        yield f"Paused at the target, as at the source: {', '.join(moved.paused)}."
    if moved.running or moved.waiting:
        yield f"Left at the source: {moved.running:,} running, {moved.waiting:,} waiting. Run it again to move them."
    if moved.held:
        yield (
            f"{count(moved.held, 'job')} wait there for their children, which stay with them: let workers of the "
            "source go on until those have run."
        )
