"""What time makes true: held jobs are let go, scheduled ones come due, leases run out, and gates have room again."""

from __future__ import annotations

from lamplighter.core.clock import from_us
from lamplighter.core.model import Failure, State, Swept
from lamplighter.store.sqlite import children
from lamplighter.store.sqlite.batch import run, unpack, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow_control import FlowControl
from lamplighter.store.sqlite.moves import Moves, Moving
from lamplighter.store.sqlite.settle import settle
from lamplighter.store.sqlite.waits import let_go, next_look


def next_moment(connection: Connection) -> int | None:
    """When the earliest scheduled job comes due or lease runs out, or a gate is to be looked at; long ago, if there
    is a held job to settle."""
    if children.any_settled(connection):
        return children.EVER
    moments = [*(value(connection, name) for name in ("next_due", "next_expiry")), next_look(connection)]
    return min((at for at in moments if at is not None), default=None)


def sweep(connection: Connection, limit: int, now: int) -> Swept:
    """See `base.Store.sweep`."""
    came, failed = children.settle_held(connection, limit, now)
    came += run(connection, "come_due", now=now, limit=limit)
    abandoned = _rescue_all(connection, limit, now)
    flow = FlowControl(connection, now)
    settle(flow, [(job, None) for job in abandoned])
    came += let_go(flow)
    turned = flow.gates.turned()
    flow.gates.write()
    next_at = next_moment(connection)
    again = None if next_at is None else from_us(max(now, next_at))
    return Swept(came, [job.id for job in abandoned], again, tuple(failed), turned)


def _rescue_all(connection: Connection, limit: int, now: int) -> list[Moving]:
    found = [(Moving(*row), worker) for *row, worker in unpack(connection, "abandoned", now=now, limit=limit)]
    moves = Moves(now)
    for job, worker in found:
        _rescue(moves, job, worker, now)
    moves.write(connection)
    return [job for job, _ in found]


def _rescue(moves: Moves, job: Moving, worker: str, now: int) -> None:
    message = f"worker {worker} stopped renewing its lease."
    moves.fail(job, Failure(fence=job.fence, at=from_us(now), kind="crash", error="WorkerLost", message=message))
    if job.stopping:
        moves.end(job, State.CANCELLED, crashed=1, reason="asked to stop")
    else:
        moves.back(job, State.QUEUED, crashed=1)
