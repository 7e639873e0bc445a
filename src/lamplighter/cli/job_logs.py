"""`lamplighter jobs logs`: what a job logged, and what it logs now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import typer

from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, print_json, say
from lamplighter.cli.which import find_job
from lamplighter.core.log_line import LogLine, LogPlace
from lamplighter.core.model import ENDED
from lamplighter.store.base import Store

LOOK_EVERY = 1.0  # seconds: workers tell of lines with their beats, some seconds apart
MOST = 1000  # lines in one look


def logs(
    job: Annotated[str, typer.Argument(metavar="ID", help="Which job.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="The last N lines.")] = 100,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Show what a job logged with `ctx.log`, the last lines of it.

    With --follow and --json each line is an object of its own.
    """
    if follow:
        with_store(store, lambda opened: _follow(opened, job, limit, as_json=json))
        return
    lines = with_store(store, lambda opened: _look(opened, job, limit))
    if json:
        print_json({"lines": [_plain(line) for line in lines]})
    elif not lines:
        say("It logged nothing, or that is not kept.")
    for line in () if json else lines:
        say(_told(line))


async def _look(store: Store, job: str, limit: int) -> list[LogLine]:
    await find_job(store, job)
    return await store.logs(job, limit=limit)


async def _follow(store: Store, job: str, limit: int, *, as_json: bool) -> None:
    async for line in _lines(store, job, limit):
        if as_json:
            print_json(_plain(line))
        else:
            say(_told(line))


async def _lines(store: Store, job: str, limit: int) -> AsyncIterator[LogLine]:
    view = await find_job(store, job)
    lines = await store.logs(job, limit=limit)
    after = LogPlace()
    while True:
        for line in lines:
            yield line
            after = line.place
        if view.state in ENDED and not lines:
            return
        if not lines:
            await asyncio.sleep(LOOK_EVERY)
        view = await find_job(store, job)  # before its lines: those of one that has ended are all there
        lines = await store.logs(job, limit=MOST, after=after)


def _plain(line: LogLine) -> dict[str, Any]:
    return {
        "attempt": line.fence,
        "n": line.n,
        "at": line.at,
        "level": line.level,
        "message": line.message,
        "fields": msgspec.Raw(line.fields.encode()),
    }


def _told(line: LogLine) -> str:
    fields = "".join(f" {name}={value}" for name, value in msgspec.json.decode(line.fields).items())
    return f"{line.at:%Y-%m-%d %H:%M:%S} {line.level:<7} #{line.fence} {line.message}{fields}"
