"""`/events` and `/jobs/{job}/events`: what changes, as server-sent events, for a page to know when to look again.

Each begins with how things are, so whoever comes back has missed nothing. A stream ends after five minutes, and its
client comes back: so it is seen whether it still may listen.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from time import monotonic

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.core.model import ENDED, JobView, QueueStats
from lamplighter.web.answers import Shown
from lamplighter.web.api.queues import ShownQueue
from lamplighter.web.api.queues import shown as shown_queue
from lamplighter.web.api.showing import ShownJob
from lamplighter.web.api.showing import shown as shown_job
from lamplighter.web.auth import Admission
from lamplighter.web.describing.shows import shows_events
from lamplighter.web.event_stream import KEEP_ALIVE, RETRY, EventStream, event
from lamplighter.web.roles import Caller, Right, needs
from lamplighter.web.watch import Watch, watch_of

SILENCE = 15.0  # seconds, after which something is sent, lest a proxy takes the stream for dead
LONGEST = 300.0  # seconds

router = APIRouter()


class Gone(Shown, frozen=True, kw_only=True):
    """A job that is not kept any more."""

    id: str


@router.get("/events")
@needs(Right.READ)
@shows_events(queues=list[ShownQueue])
async def follow_queues(request: Request, admitted: Admission) -> Response:
    """Which queues have changed, as events `queues`: at first all of them."""
    watch = watch_of(request)
    return _stream(watch, admitted.caller, _queues(watch))


@router.get("/jobs/{job_id}/events")
@needs(Right.READ)
@shows_events(job=ShownJob, gone=Gone)
async def follow_job(request: Request, admitted: Admission) -> Response:
    """How a job is, as events `job`, until it has ended; `gone`: it is not kept any more."""
    watch = watch_of(request)
    return _stream(watch, admitted.caller, _job(watch, admitted.job, admitted.caller))


def _stream(watch: Watch, caller: Caller, events: AsyncGenerator[bytes]) -> Response:
    watch.enter(caller.user_id)
    return EventStream(events, lambda: watch.leave(caller.user_id))


async def _queues(watch: Watch) -> AsyncGenerator[bytes]:
    yield RETRY
    known: Mapping[str, QueueStats] = {}
    version, ends_at = 0, monotonic() + LONGEST
    while monotonic() < ends_at:
        if not await watch.newer_than(version, within=SILENCE):
            yield KEEP_ALIVE
            continue
        version, now = watch.version, watch.queues
        if changed := [one for name, one in now.items() if known.get(name) != one]:
            yield event("queues", version, msgspec.json.encode([shown_queue(one) for one in changed]))
        known = now


async def _job(watch: Watch, job: JobView, caller: Caller) -> AsyncGenerator[bytes]:
    yield RETRY
    told, version, ends_at = b"", 0, monotonic() + LONGEST
    with watch.following(job.id):
        while monotonic() < ends_at:
            if (text := msgspec.json.encode(shown_job(job, caller))) != told:  # what is not shown is no news
                told = text
                yield event("job", version, told)
            if job.state in ENDED:
                return
            if not await watch.newer_than(version, within=SILENCE):
                yield KEEP_ALIVE
                continue
            version, now = watch.version, watch.jobs.get(job.id, job)
            if now is None:
                yield event("gone", version, msgspec.json.encode(Gone(id=job.id)))
                return
            job = now
