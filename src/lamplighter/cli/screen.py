"""What `lamplighter up` shows while it runs: a live table in a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lamplighter.cli.output import count, say
from lamplighter.core.clock import utcnow
from lamplighter.demo.watch import Change, Watch
from lamplighter.integrations.integration import Integration

Seen = Callable[[Watch, list[Change]], None]

COLUMNS = ("integration", "tenant", "provider", "status", "expires in", "next refresh", "last outcome")
NUMBERS = {"expires in", "next refresh"}
STYLES = {"active": "green", "revoked": "red", "expired": "red", "error": "yellow", "pending": "dim"}
COMFORTABLE = 100  # columns of a terminal
HINT = "Ctrl-C drains and stops."


@contextmanager
def screen(*, quiet: bool) -> Iterator[Seen]:
    """Where to show each look at the integrations."""
    if quiet:
        yield lambda _watch, _changes: None
    elif sys.stdout.isatty():
        with Live("Starting ...", console=Console(), auto_refresh=False) as live:
            yield lambda watch, _changes: live.update(_table(watch, live.console.width), refresh=True)
    else:
        yield _Lines().show


def _table(watch: Watch, width: int) -> Table:
    summary = watch.summary()
    tight = width < COMFORTABLE
    table = Table(
        title=f"{summary.refreshed} refreshed, {summary.lapsed} lapsed, {summary.revoked} revoked",
        caption=HINT,
        title_justify="left",
        caption_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1 if tight else 2, 0, 0),
        header_style="bold",
    )
    for column in COLUMNS:
        heading = column.replace(" ", "\n") if tight else column
        table.add_column(heading, justify="right" if column in NUMBERS else "left")
    now = utcnow()
    for one in sorted(watch.integrations, key=lambda one: (one.tenant_id, one.provider_slug)):
        table.add_row(*_cells(one, now))
    return table


def _cells(one: Integration, now: datetime) -> tuple[Text, ...]:
    return (
        Text(one.tenant_id),
        Text(one.provider_slug),
        Text(one.status, STYLES[one.status]),
        Text(_until(one.expires_at, now), no_wrap=True),
        Text(_until(one.refresh_at, now), no_wrap=True),
        Text(_outcome(one)),
    )


def _outcome(one: Integration) -> str:
    return f"down, tried {one.outages:,}x" if one.outages else one.last_outcome or "connected"


class _Lines:
    """Says at once that it works, then what changes."""

    def __init__(self) -> None:
        self._begun = False

    def show(self, watch: Watch, changes: list[Change]) -> None:
        now = utcnow()
        if not self._begun:
            self._begun = True
            tenants = {one.tenant_id for one in watch.integrations}
            integrations = count(len(watch.integrations), "integration")
            say(f"{now:%H:%M:%S} {integrations} of {count(len(tenants), 'tenant')} connected. {HINT}")
        for one, what in changes:
            say(f"{now:%H:%M:%S} {one.tenant_id} {one.provider_slug}: {what}{_outlook(one, now)}")


def _outlook(one: Integration, now: datetime) -> str:
    if one.expires_at is None or one.refresh_at is None:
        return ""
    expires = f"expires in {_until(one.expires_at, now)}" if one.expires_at > now else "expired"
    return f"; {expires}, next refresh {'in ' if one.refresh_at > now else ''}{_until(one.refresh_at, now)}"


def _until(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "-"
    return f"{(moment - now).total_seconds():.0f} s" if moment > now else "now"
