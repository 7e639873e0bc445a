"""`/workers`: who works, where, on what, and since when; drain one."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import Response

from lamplighter.app.why.sight import WorkerSeen
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.bodies import Name
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

router = APIRouter()


class ShownWorker(Shown, frozen=True, kw_only=True):
    """A worker as it told of itself at its last beat. No `queues`: all. `jobs`: the oldest that run, 20 at most."""

    name: str
    host: str
    pid: int
    started_at: datetime
    beat_at: datetime
    claimed_at: datetime | None
    queues: tuple[str, ...]
    concurrency: int
    running: int
    stopping: bool
    jobs: tuple[str, ...]


@router.get("/workers")
@needs(Right.READ)
@shows(list[ShownWorker])
async def list_workers(app: TheApp) -> Response:
    """Those that are alive, by name."""
    return answers.data([_shown(one) for one in await app.workers()])


@router.post("/workers/{name}/drain")
@needs(Right.OPERATE, notes="worker.drain")
@shows()
async def drain(name: Name, app: TheApp) -> Response:
    """Have it claim nothing more, finish what runs, and end, as SIGTERM does; it hears of it within seconds."""
    await app.drain(name)
    return answers.nothing()


def _shown(one: WorkerSeen) -> ShownWorker:
    told = one.told
    return ShownWorker(
        name=one.name,
        host=told.host,
        pid=told.pid,
        started_at=one.started_at,
        beat_at=one.beat_at,
        claimed_at=one.claimed_at,
        queues=tuple(told.queues),
        concurrency=told.concurrency,
        running=told.running,
        stopping=told.stopping,
        jobs=tuple(told.jobs),
    )
