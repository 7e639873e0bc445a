"""`/queues`: how much is in each, whose turn it is; pause them and let them go on."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from lamplighter.core.model import QueueStats
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.bodies import Queue
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

router = APIRouter()


class ShownQueue(Shown, frozen=True, kw_only=True):
    """How many jobs are in which state; of those that have ended, as far as they are kept."""

    queue: str
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    held: int
    cancelled: int
    paused: bool


@router.get("/queues/stats")
@needs(Right.READ)
@shows(list[ShownQueue])
async def list_queues(app: TheApp) -> Response:
    """All queues; the price is one read, however many jobs there are."""
    return answers.data([shown(one) for one in await app.store.stats()])


@router.post("/queues/{queue}/pause")
@needs(Right.OPERATE, notes="queue.pause")
@shows()
async def pause(queue: Queue, app: TheApp) -> Response:
    """Let no worker take jobs from it; running ones go on."""
    await app.pause(queue)
    return answers.nothing()


@router.post("/queues/{queue}/resume")
@needs(Right.OPERATE, notes="queue.resume")
@shows()
async def resume(queue: Queue, app: TheApp) -> Response:
    """Let it go on."""
    await app.resume(queue)
    return answers.nothing()


def shown(one: QueueStats) -> ShownQueue:
    """As the API shows it."""
    return ShownQueue(
        queue=one.queue,
        waiting=one.queued,
        active=one.running,
        completed=one.done,
        failed=one.failed,
        delayed=one.scheduled,
        held=one.held,
        cancelled=one.cancelled,
        paused=one.paused,
    )
