"""`/queues/{queue}/shares`: the tenants that have jobs to run in a queue, in the order of their turns."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from lamplighter.core.flow_control import ShareView
from lamplighter.web import answers
from lamplighter.web.answers import Limit, Shown
from lamplighter.web.bodies import Queue
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

router = APIRouter()


class ShownShare(Shown, frozen=True, kw_only=True):
    """The line of a tenant; of jobs without one, `tenant` is null. The lowest tag is next, of the highest priority."""

    tenant: str | None
    priority: int
    queued: int
    tag: int


@router.get("/queues/{queue}/shares")
@needs(Right.READ)
@shows(list[ShownShare])
async def list_shares(queue: Queue, app: TheApp, limit: Limit = 100) -> Response:
    """Who is next, and how many each has; jobs that wait for a limit are not counted."""
    return answers.data([_shown(one) for one in await app.store.shares(queue, limit=limit)])


def _shown(one: ShareView) -> ShownShare:
    return ShownShare(tenant=one.tenant or None, priority=one.priority, queued=one.queued, tag=one.tag)
