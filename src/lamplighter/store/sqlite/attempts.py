"""Attempts: kept alive by their worker, and finished."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lamplighter.core.clock import maybe_to_us
from lamplighter.core.flow_control import Order
from lamplighter.core.model import ATTEMPT_ENDS, ENDED, Beat, Beaten, Outcome, State
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow_control import FlowControl
from lamplighter.store.sqlite.moves import Moves, Moving
from lamplighter.store.sqlite.settle import Ended, settle

_decode = msgspec.json.Decoder(list[Moving]).decode


def held(connection: Connection, attempts: list[tuple[str, int]]) -> dict[tuple[str, int], Moving]:
    """Which of these attempts, id and fence, are still their worker's."""
    found = _decode(value(connection, "held", rows=pack(attempts)))
    return {(job.id, job.fence): job for job in found}


def finish(connection: Connection, outcomes: Sequence[Outcome], now: int) -> list[str]:
    """See `base.Store.finish`."""
    mine = held(connection, [(outcome.id, outcome.fence) for outcome in outcomes])
    moves = Moves(now)
    ended: list[Ended] = []
    orders: list[Order] = []
    for outcome in outcomes:
        job = mine.pop((outcome.id, outcome.fence), None)  # of two outcomes of one attempt the first wins
        if job is not None:
            _finish(moves, job, outcome)
            ended.append((job, ATTEMPT_ENDS[outcome.verb].well))
            orders += outcome.orders
    moves.write(connection)
    settle(FlowControl(connection, now), ended, orders)
    return [job.id for job, _ in ended]


def _finish(moves: Moves, job: Moving, outcome: Outcome) -> None:
    _, target, spends = ATTEMPT_ENDS[outcome.verb]
    keep_until = maybe_to_us(outcome.keep_until)
    if outcome.failure:
        moves.fail(job, outcome.failure)
    if target in ENDED:
        moves.end(job, target, failed=spends, keep_until=keep_until, result=outcome.result, reason=outcome.reason)
    elif job.stopping:
        moves.end(job, State.CANCELLED, failed=spends, keep_until=keep_until, reason="asked to stop")
    else:
        moves.back(job, target, failed=spends, run_at=maybe_to_us(outcome.run_at))


def beat(connection: Connection, beats: Sequence[Beat], lease_until: int) -> Beaten:
    """See `base.Store.beat`."""
    progress: dict[tuple[str, int], str | None] = {}
    for one in beats:
        attempt = one.id, one.fence
        progress[attempt] = progress.get(attempt) if one.progress is None else one.progress
    rows = pack([(*attempt, text) for attempt, text in progress.items()])
    run(connection, "beat", rows=rows, lease_until=lease_until)
    mine = held(connection, list(progress))
    stop = [one.id for one in beats if (job := mine.get((one.id, one.fence))) and job.stopping]
    return Beaten(stop, [one.id for one in beats if (one.id, one.fence) not in mine])
