"""`lamplighter files status`: how far a source of files is, with a bar, until all that is there is listed and read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from lamplighter.cli.file_sources import sources_of
from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import Json, StoreUrl, ago, count, end_by_id, harmless, print_json, say
from lamplighter.cli.progress import Step, progress
from lamplighter.core.clock import utcnow

if TYPE_CHECKING:
    from lamplighter.families.files.file_source import FileSource
    from lamplighter.families.files.file_sources import FileSources
    from lamplighter.integrations.service import Service

LOOK_EVERY = 0.5  # seconds


class Followed(NamedTuple):
    """A source as it was last seen; None: it is not there. `is_over`: there is nothing to do until its next look."""

    source: FileSource | None
    is_over: bool = False


def status(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Which source, by its id.")],
    *,
    wait: Annotated[bool, typer.Option("--wait/--now", help="Whether to watch until all of it is read.")] = True,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0.1, max=86_400, help="Watch no longer than that.")
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Show how far a source is, until all that is there is listed and read.

    It only watches: a worker does it. Ends with 1 if the source is refused or paused, or if it is not over in time.
    """

    async def watch(service: Service) -> Followed:
        with progress() as step:
            return await _follow(sources_of(service), source, step, seconds=seconds if wait else 0)

    found, is_over = with_service(store, watch)
    if found is None:
        end_by_id([source], [], done="there", noun="source", json=json)
        return
    if json:
        print_json({"source": msgspec.to_builtins(found), "over": is_over})
    else:
        _say(found)
    if found.state != "active" or (wait and not is_over):
        raise typer.Exit(1)


async def _follow(sources: FileSources, id_: str, step: Step, *, seconds: float | None) -> Followed:
    """Until it is over, or the time is."""
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    first = found = await sources.get(id_)
    while first is not None and found is not None:
        is_over = _is_over(found, first)
        if is_over or found.state != "active" or (end is not None and loop.time() >= end):
            return Followed(found, is_over)
        step("reading" if found.is_listed else "listing", found.files - found.pending, max(found.files, 1))
        await asyncio.sleep(LOOK_EVERY)
        found = await sources.get(id_)
    return Followed(None)


def _is_over(source: FileSource, first: FileSource) -> bool:
    """Whether it is well and all is read; if a look has come due since it was seen `first`, then after that."""
    was_due = first.next_sync_at <= utcnow() and source.synced_at == first.synced_at
    return source.is_listed and source.failure is None and not source.pending and not was_due


def _say(source: FileSource) -> None:
    say(
        f"{source.name} of {source.tenant_id} is {source.state}: {count(source.files, 'file')}, {source.processed:,} "
        f"read, {source.pending:,} to be read, {source.failed:,} not readable."
    )
    say(f"Looked at {ago(source.synced_at)}, next {ago(source.next_sync_at)}.")
    if source.failure is not None:
        say(f"It says: {harmless(source.failure)}")
