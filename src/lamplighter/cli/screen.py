"""What `lamplighter up` shows while it runs: a live table in a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lamplighter.cli.output import say
from lamplighter.core.clock import utcnow
from lamplighter.demo.watch import Change, Watch
from lamplighter.integrations.integration import Integration

Seen = Callable[[Watch, list[Change]], None]

COLUMNS = ("integration", "tenant", "provider", "status", "expires in", "next refresh", "last outcome")
COLORS = {"active": "green", "revoked": "red", "expired": "red", "error": "yellow", "pending": "dim"}


@contextmanager
def screen(*, quiet: bool) -> Iterator[Seen]:
    """Where to show each look at the integrations."""
    if quiet:
        yield lambda _watch, _changes: None
    elif sys.stdout.isatty():
        with Live(console=Console(), auto_refresh=False) as live:
            yield lambda watch, _changes: live.update(_table(watch), refresh=True)
    else:
        yield _lines


def _table(watch: Watch) -> Table:
    summary = watch.summary()
    table = Table(
        title=f"{summary.refreshed} refreshed, {summary.lapsed} lapsed, {summary.revoked} revoked",
        caption="Ctrl-C drains and stops",
        title_justify="left",
        caption_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for column in COLUMNS:
        table.add_column(column, no_wrap=True, justify="right" if column in {"expires in", "next refresh"} else "left")
    now = utcnow()
    for one in sorted(watch.integrations, key=lambda one: (one.tenant_id, one.provider_slug)):
        table.add_row(*_cells(one, now), style="dim" if one.status == "revoked" else None)
    return table


def _cells(one: Integration, now: datetime) -> tuple[str, ...]:
    return (
        _account(one),
        one.tenant_id,
        one.provider_slug,
        f"[{COLORS[one.status]}]{one.status}[/]",
        _until(one.expires_at, now),
        _until(one.refresh_at, now),
        _outcome(one),
    )


def _outcome(one: Integration) -> str:
    return f"down, {one.outages} tries" if one.outages else one.last_outcome or "connected"


def _lines(_watch: Watch, changes: list[Change]) -> None:
    now = utcnow()
    for one, what in changes:
        place = f"{one.tenant_id} {one.provider_slug} {_account(one)}"
        say(
            f"{now:%H:%M:%S} {place}: {what}; {one.status}, expires in {_until(one.expires_at, now)}, "
            f"next refresh in {_until(one.refresh_at, now)}"
        )


def _account(one: Integration) -> str:
    return str(one.metadata.get("account", one.id))


def _until(moment: datetime | None, now: datetime) -> str:
    return "-" if moment is None else f"{(moment - now).total_seconds():.0f} s"
