"""`/metrics`: for Prometheus, what this process did and what the store shows.

Whoever asks has to be signed in, on this machine too: behind a proxy here, everybody seems to come from here. However
often it is asked, the store is looked at once in a few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.app import App
from lamplighter.app.crons import overdue
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.analytics.reading import Reading
from lamplighter.integrations.auditing import trouble
from lamplighter.integrations.losing import LAPSING, lapsing
from lamplighter.integrations.refreshing.outage import left_alone
from lamplighter.integrations.service import Service
from lamplighter.observe.sight import Integrating, Sight
from lamplighter.web import answers
from lamplighter.web.describing.shows import shows_text
from lamplighter.web.given import Given, TheGiven
from lamplighter.web.refusals import NotInstalled
from lamplighter.web.roles import Right, needs

GOOD_FOR = 5.0  # seconds
GATES = 1000  # that are looked at: those that are in use, not closed, or waited for

router = APIRouter()


class _Troubles(NamedTuple):
    """What is wrong as one read of the tables has it."""

    down: Mapping[str, datetime]
    lapsing: Mapping[str, int]
    broken: Mapping[str, str]
    unarchived: Mapping[str, timedelta]


class _Seen(NamedTuple):
    sight: Sight
    until: float


@router.get("/metrics")
@needs(Right.READ)
@shows_text
async def get_metrics(request: Request, given: TheGiven) -> Response:
    """Metrics of this process, and of the store, as Prometheus reads them."""
    try:
        from lamplighter.observe.exposing import shown  # noqa: PLC0415 - optional
    except ImportError as error:
        raise NotInstalled("metrics need prometheus_client: run `pip install 'lamplighter[metrics]'`.") from error
    text, media_type = shown(given.app.meter, await _sight(request, given), accept=request.headers.get("Accept", ""))
    return Response(text, headers=answers.HEADERS, media_type=media_type)


async def _sight(request: Request, given: Given) -> Sight:
    """From memory for a moment; whoever asks meanwhile waits for the one that looks."""
    state = request.app.state
    looking: asyncio.Task[_Seen] | None = getattr(state, "sight", None)
    if looking is None or (looking.done() and (looking.exception() or looking.result().until < monotonic())):
        looking = state.sight = asyncio.create_task(_look(given))
    return (await asyncio.shield(looking)).sight


async def _look(given: Given) -> _Seen:
    alerting = given.app.part(Alerting)
    app, ours = given.app, given.integrating and given.integrating.tokens.service
    stats, gates, workers = await asyncio.gather(
        app.store.stats(), app.store.gates(limit=GATES, now=app.clock()), app.workers()
    )
    sight = Sight(
        now=app.clock(),
        stats=stats,
        gates=gates,
        workers=len(workers),
        serving={one.queue: sum(worker.takes(one.queue) for worker in workers) for one in stats},
        overdue={name: late.total_seconds() for name, late in (await overdue(app.store, now=app.clock())).items()},
        integrating=None if ours is None else await _integrating(app, ours),
        alerts=None if alerting is None else await alerting.firing(),
    )
    return _Seen(sight, monotonic() + GOOD_FOR)


async def _integrating(app: App[object], ours: Service) -> Integrating:
    now = app.clock()
    counts, first, providers, seen, rollups = await asyncio.gather(
        ours.integrations.counts(),
        ours.integrations.first_expiry(),
        ours.registrations.all(),
        ours.database.read(
            lambda one: _Troubles(
                left_alone(one), lapsing(one, LAPSING, now), trouble.broken(one), trouble.failing(one, now)
            )
        ),
        Reading(ours.database, clock=app.clock).state(),
    )
    return Integrating(
        by_status={str(status): n for status, n in counts.items()},
        expiry=None if first is None else (first - now).total_seconds(),
        down={one.slug: one.slug in seen.down for one in providers},
        lapsing={one.slug: seen.lapsing.get(one.slug, 0) for one in providers},
        rollup_lag=rollups.lag(now),
        broken=len(seen.broken),
        unarchived=max((span.total_seconds() for span in seen.unarchived.values()), default=0),
    )
