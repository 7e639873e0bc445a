"""What time makes true: scheduled jobs come due, and leases run out."""

from __future__ import annotations

from lamplighter.core.clock import from_us
from lamplighter.core.model import Failure, State, Swept
from lamplighter.store.sqlite import children
from lamplighter.store.sqlite.batch import run, unpack, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.moves import Moves, Moving


def next_moment(connection: Connection) -> int | None:
    """When the earliest scheduled job comes due, or the earliest lease runs out; long ago, if a job is to be let go."""
    if children.any_settled(connection):
        return children.EVER
    moments = [value(connection, name) for name in ("next_due", "next_expiry")]
    return min((at for at in moments if at is not None), default=None)


def sweep(connection: Connection, limit: int, now: int) -> Swept:
    """See `base.Store.sweep`."""
    let_go, failed = children.settle(connection, limit, now)
    due = run(connection, "come_due", now=now, limit=limit)
    abandoned = [(Moving(*row), worker) for *row, worker in unpack(connection, "abandoned", now=now, limit=limit)]
    moves = Moves(now)
    for job, worker in abandoned:
        _rescue(moves, job, worker, now)
    moves.write(connection)
    next_at = next_moment(connection)
    again = None if next_at is None else from_us(max(now, next_at))
    return Swept(let_go + due, [job.id for job, _ in abandoned], again, tuple(failed))


def _rescue(moves: Moves, job: Moving, worker: str, now: int) -> None:
    message = f"worker {worker} stopped renewing its lease."
    moves.fail(job, Failure(fence=job.fence, at=from_us(now), kind="crash", error="WorkerLost", message=message))
    if job.stopping:
        moves.end(job, State.CANCELLED, crashed=1, reason="asked to stop")
    else:
        moves.back(job, State.QUEUED, crashed=1)
