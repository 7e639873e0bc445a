"""`/queues`: how much is in each; one queue: whose turn it is; pause it and let it go on."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.core.flow_control import QUEUE, QueueRule
from lamplighter.core.model import LIVE, QueueStats, Where
from lamplighter.observe.history.past import Span
from lamplighter.store.rules import read_rule
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Queue
from lamplighter.web.given import TheApp
from lamplighter.web.pages.history import SPANS, table
from lamplighter.web.pages.rendering import back, place, render
from lamplighter.web.roles import Right, needs

LINES = 50  # of tenants
JOBS = 10  # that are in it

router = APIRouter()


@router.get("/queues")
@needs(Right.READ)
async def list_queues(request: Request, admitted: Admission, app: TheApp) -> Response:
    """All queues; the price is one read."""
    return render(request, "queues.html", admitted.caller, stats=await app.store.stats())


@router.get("/queues/{queue}")
@needs(Right.READ)
async def see_queue(request: Request, queue: Queue, admitted: Admission, app: TheApp, span: Span = "15m") -> Response:
    """One of them; one that nobody has used yet is empty."""
    store = app.store
    stats, lines, rules, jobs, rows = await asyncio.gather(
        store.stats(),
        store.shares(queue, limit=LINES),
        store.records(QUEUE, now=app.clock()),
        store.page(Where(queues=(queue,), states=tuple(sorted(LIVE))), limit=JOBS),
        table(app, span, queue),
    )
    counts = next((one for one in stats if one.queue == queue), QueueStats(queue=queue, paused=False))
    rule = next((read_rule(one.value, QueueRule) for one in rules if one.name == queue), QueueRule())
    return render(
        request,
        "queue.html",
        admitted.caller,
        queue=counts,
        lines=lines,
        most=LINES,
        rule=rule,
        jobs=jobs,
        span=span,
        spans=SPANS,
        rows=rows,
    )


@router.post("/queues/{queue}/pause")
@needs(Right.OPERATE, notes="queue.pause")
async def pause(request: Request, queue: Queue, app: TheApp) -> Response:
    """Let no worker take jobs from it."""
    await app.pause(queue)
    return back(request, place("queues", queue), "paused")


@router.post("/queues/{queue}/resume")
@needs(Right.OPERATE, notes="queue.resume")
async def resume(request: Request, queue: Queue, app: TheApp) -> Response:
    """Let it go on."""
    await app.resume(queue)
    return back(request, place("queues", queue), "resumed")
