"""`lamplighter up`: the demo world, a worker, and a live table of what they do, in one command."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lamplighter.cli.extras import need
from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, count, print_json, say
from lamplighter.cli.stage import stage
from lamplighter.cli.work import on_signals
from lamplighter.core.config import load
from lamplighter.observe.log import set_up_logging

if TYPE_CHECKING:
    from lamplighter.app import App
    from lamplighter.demo.show import Show
    from lamplighter.demo.watch import Summary
    from lamplighter.engine.worker import Worker


def up(
    *,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=1, max=86_400, help="Stop after so long.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            help="Where to play it, by default in a file that is thrown away. A file, or the ?schema= of PostgreSQL or "
            "?prefix= of Redis that it names, must be new, and is kept; without these one is made up, and thrown away.",
        ),
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults/--no-faults", help="Whether a grant is withdrawn and a provider goes down.")
    ] = True,
    token_lifetime: Annotated[
        int | None,
        typer.Option(
            "--token-lifetime",
            metavar="SECONDS",
            min=2,
            max=86_400,
            help="Of all access tokens; by default their providers' own, 20 to 45.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show it at work: tokens of demo tenants, kept alive.

    It starts a world of providers on 127.0.0.1 with real OAuth, connects tenants to them, and runs a worker. While you
    watch, one user withdraws a grant and one provider goes down for a while. It also serves the dashboard, and says by
    which link to sign in. Ctrl-C drains and stops. Ends with 1 if tokens lapsed that could have been refreshed.
    """
    need("demo", "lamplighter up")
    from lamplighter.demo.show import Show  # noqa: PLC0415 - optional, and slow to import

    settings = load().settings
    level = settings.log_level
    set_up_logging("error" if level == "info" else level, settings.log_format)  # outages are on the screen already

    async def run() -> Summary:
        async with stage(store, Path(folder)) as made:
            show = Show(
                made.store,
                database=made.database,
                folder=made.folder,
                faults=faults,
                token_lifetime=token_lifetime,
                beside=nullcontext if json else _dashboard,
            )
            return await _run(show, seconds, quiet=json)

    with tempfile.TemporaryDirectory(prefix="lamplighter-") as folder:
        summary = run_async(run())
    if json:
        print_json(msgspec.to_builtins(summary))
    else:
        say(_told(summary))
    if summary.lapsed:
        raise typer.Exit(1)


@asynccontextmanager
async def _dashboard(app: App[None]) -> AsyncIterator[None]:
    from lamplighter.web.serve import serving  # noqa: PLC0415 - optional, and slow to import

    async with serving(app, host="127.0.0.1", port=0) as site:
        assert site.login_link is not None, "a loopback address is found by browsers here"
        say(f"The dashboard is open, once and within ten minutes, at {site.login_link.reveal()}")
        yield


async def _run(show: Show, seconds: float | None, *, quiet: bool) -> Summary:
    from lamplighter.cli.screen import screen  # noqa: PLC0415 - only where there is something to see

    def started(worker: Worker, world_url: str) -> None:
        if not quiet:
            say(f"The providers are at {world_url}.")
        if asked.is_set():
            worker.stop()
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, worker.stop)
        workers.append(worker)

    def ask() -> None:
        asked.set()
        for worker in workers:
            worker.stop()

    asked, workers = asyncio.Event(), list["Worker"]()
    with on_signals(ask), screen(quiet=quiet) as seen:
        return await show.run(seen, started)


def _told(summary: Summary) -> str:
    counted = (
        f"{count(summary.integrations, 'integration')}: {count(summary.refreshed, 'refresh', 'es')}, "
        f"{summary.lapsed:,} lapsed, {summary.failed:,} failed, {summary.revoked:,} revoked by their user"
    )
    if not summary.refreshed:
        return f"{counted}."
    return f"{counted}; 99 of 100 refreshes began within {summary.p99_lateness_ms:g} ms of their time."
