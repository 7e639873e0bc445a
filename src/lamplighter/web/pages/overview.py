"""`/`: how everything is, and what needs a hand."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.app.why.sight import WorkerSeen
from lamplighter.core.flow_control import GateView
from lamplighter.core.model import JobView, QueueStats, State, Where
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.alerting.course import Alert
from lamplighter.observe.history.past import Span
from lamplighter.store.base import Store
from lamplighter.web.auth import Admission
from lamplighter.web.given import MaybeAlerting, TheApp
from lamplighter.web.pages.history import SPANS, table
from lamplighter.web.pages.rendering import place, render
from lamplighter.web.roles import Right, needs

FAILED = 6  # jobs that failed lately
ALERTS = 3  # that are named
GATES = 100  # that are looked at
IN_LINE = 500  # jobs among which the oldest is looked for

router = APIRouter()


class Totals(NamedTuple):
    """Over all queues."""

    waiting: int
    delayed: int
    active: int
    failed: int
    completed: int


class Crew(NamedTuple):
    """The workers that are alive, and their slots."""

    workers: int
    running: int
    concurrency: int


class Oldest(NamedTuple):
    """Since when the job waits that has waited longest. Not `exact`: too many wait to look at each; it is older."""

    since: datetime
    exact: bool


class Trouble(NamedTuple):
    """One thing that needs a hand, and the page where there is one to lend."""

    says: str
    path: str


@router.get("/")
@needs(Right.READ)
async def overview(
    request: Request, admitted: Admission, app: TheApp, alerting: MaybeAlerting, span: Span = "15m"
) -> Response:
    """Everything at a glance."""
    store, now = app.store, app.clock()
    stats = await store.stats()
    workers, gates, failed, oldest, rows = await asyncio.gather(
        app.workers(),
        store.gates(limit=GATES, now=now),
        store.page(Where(states=(State.FAILED,)), limit=FAILED),
        _oldest(store, stats),
        table(app, span),
    )
    crew, firing = _crew(workers), await _firing(alerting)
    return render(
        request,
        "overview.html",
        admitted.caller,
        stats=stats,
        totals=_totals(stats),
        crew=crew,
        failed=failed,
        oldest=oldest,
        troubles=[*_alerts(firing), *_troubles(stats, crew, gates, {one.subject for one in firing})],
        span=span,
        spans=SPANS,
        rows=rows,
    )


def _totals(stats: Sequence[QueueStats]) -> Totals:
    return Totals(
        sum(one.queued for one in stats),
        sum(one.scheduled + one.held for one in stats),
        sum(one.running for one in stats),
        sum(one.failed for one in stats),
        sum(one.done for one in stats),
    )


def _crew(workers: Sequence[WorkerSeen]) -> Crew:
    told = [one.told for one in workers]
    return Crew(len(told), sum(one.running for one in told), sum(one.concurrency for one in told))


async def _oldest(store: Store, stats: Sequence[QueueStats]) -> Oldest | None:
    """Few are looked at; of very many, the counts tell the oldest in line, and others wait before limits."""
    if not (queued := sum(one.queued for one in stats)):
        return None
    told = min((one.oldest for one in stats if one.oldest is not None), default=None)
    if queued > IN_LINE and told is not None:
        return Oldest(told, exact=False)
    found: list[JobView] = await store.page(Where(states=(State.QUEUED,)), limit=IN_LINE)
    return Oldest(min(one.run_at for one in found), queued <= len(found)) if found else None


async def _firing(alerting: Alerting | None) -> list[Alert]:
    """What fires, and is not silenced."""
    if alerting is None:
        return []
    return [one for one, silenced in (await alerting.shown()).live() if one.state == "firing" and not silenced]


def _alerts(firing: Sequence[Alert]) -> list[Trouble]:
    """Of much, the first."""
    shown = [Trouble(f"Alert {one.rule}: {one.says}", "alerts") for one in firing[:ALERTS]]
    more = len(firing) - len(shown)
    return [*shown, Trouble(f"{more:,} more alerts fire.", "alerts")] if more else shown


def _troubles(
    stats: Sequence[QueueStats], crew: Crew, gates: Sequence[GateView], alerted: Collection[str]
) -> Iterator[Trouble]:
    """What no alert tells of already."""
    waiting = sum(one.queued for one in stats)
    if waiting and not crew.workers:
        yield Trouble(f"No worker is alive, and {waiting:,} jobs wait: start `lamplighter work`.", "workers")
    for one in stats:
        if one.paused:
            yield Trouble(f"Queue {one.queue} is paused; {one.queued:,} jobs wait in it.", place("queues", one.queue))
    for gate in gates:
        if gate.state != "closed" and gate.key not in alerted:
            yield Trouble(f"The breaker of {gate.key} is {gate.state}; {gate.waiting:,} jobs wait for it.", "limits")
