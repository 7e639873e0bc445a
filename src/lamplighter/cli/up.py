"""`lamplighter up`: the demo world, a worker, and a live table of what they do, in one command."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
import typer

from lamplighter.cli.extras import need
from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, count, print_json, say
from lamplighter.cli.work import on_signals
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.observe.log import set_up_logging
from lamplighter.store.open import open_store

if TYPE_CHECKING:
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
        typer.Option("--store", metavar="URL", help="A new SQLite file to keep it in; by default it is thrown away."),
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
    watch, one user withdraws a grant and one provider goes down for a while. Ctrl-C drains and stops. Ends with 1 if
    tokens lapsed that could have been refreshed.
    """
    need("demo", "lamplighter up")
    from lamplighter.demo.show import Show  # noqa: PLC0415 - optional, and slow to import

    level = load().settings.log_level
    set_up_logging("error" if level == "info" else level)  # outages are on the screen already
    with tempfile.TemporaryDirectory(prefix="lamplighter-") as folder:
        url = _new_file(store) if store else f"sqlite:///{folder}/demo.db"
        show = Show(url, faults=faults, token_lifetime=token_lifetime)
        summary: Summary = run_async(_run(show, seconds, quiet=json))
    if json:
        print_json(msgspec.to_builtins(summary))
    else:
        say(_told(summary))
    if summary.lapsed:
        raise typer.Exit(1)


def _new_file(url: str) -> str:
    """The demo's tenants must not get among somebody's own, nor its worker among somebody's jobs."""
    from lamplighter.store.sqlite.url import parse  # noqa: PLC0415 - `--help` need not wait for it

    url = load(flags={"store": url}).settings.store
    open_store(url)  # says what is wrong with a URL; nothing is opened yet
    if urlsplit(url).scheme != "sqlite":
        raise ConfigError("the demo keeps its tables in a SQLite file: give --store sqlite:///new.db, or leave it out.")
    if parse(url).path.exists():
        raise ConfigError(f"{parse(url).path} is there already: name a new file, or leave --store out.")
    return url


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
