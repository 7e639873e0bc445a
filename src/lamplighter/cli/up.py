"""`lamplighter up`: the demo world, a worker, and a live table of what they do, in one command."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, print_json, say
from lamplighter.cli.work import on_signals
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.observe.log import set_up_logging

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
        str | None, typer.Option("--store", metavar="URL", help="A new SQLite file; by default one to throw away.")
    ] = None,
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="One grant revoked, one provider down.")] = True,
    json: Json = False,
) -> None:
    """Show it all at work: providers on 127.0.0.1, tenants connected to them, a worker that keeps their tokens alive.

    While you watch, one user withdraws a grant and one provider goes down for a while. Ctrl-C drains and stops. Ends
    with 1 if tokens lapsed that could have been refreshed.
    """
    try:
        from lamplighter.demo.show import Show  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise ConfigError(f"`lamplighter up` needs {error.name}: install lamplighter[demo].") from error
    set_up_logging("error" if load().settings.log_level == "info" else load().settings.log_level)
    with tempfile.TemporaryDirectory(prefix="lamplighter-") as folder:
        show = Show(store or f"sqlite:///{folder}/demo.db", faults=faults)
        summary: Summary = run_async(_run(show, seconds, quiet=json))
    if json:
        print_json(msgspec.to_builtins(summary))
    else:
        say(_told(summary))
    if summary.lapsed:
        raise typer.Exit(1)


async def _run(show: Show, seconds: float | None, *, quiet: bool) -> Summary:
    from lamplighter.cli.screen import screen  # noqa: PLC0415 - only where there is something to see

    def started(worker: Worker) -> None:
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
    return (
        f"{summary.integrations} integrations: {summary.refreshed} refreshes, {summary.lapsed} lapsed, "
        f"{summary.failed} failed, {summary.revoked} revoked by their user; "
        f"99 of 100 refreshes began within {summary.p99_lateness_ms:g} ms of their time."
    )
