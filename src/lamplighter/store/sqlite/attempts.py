"""Attempts: claimed by a worker, kept alive by it, and finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from lamplighter.core.clock import from_us, maybe_to_us
from lamplighter.core.model import ATTEMPT_ENDS, ENDED, Beat, Beaten, Claimed, Outcome, State
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, unpack
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.moves import Moves, Moving
from lamplighter.store.sqlite.queries import SQL, claim_from

MOST_QUEUES = 400  # queues in one statement: SQLite joins at most 500 SELECTs


class _Row(NamedTuple):
    id: str
    fence: int
    name: str
    queue: str
    tenant: str | None
    args: str
    priority: int
    run_at: int
    created_at: int
    failures: int
    crashes: int


_decode = msgspec.json.Decoder(list[_Row]).decode


def claimable(connection: Connection, queues: Sequence[str]) -> list[str]:
    """Which of these queues (none: of all) have jobs to claim."""
    eligible = [queue for (queue,) in connection.execute(SQL["claimable"])]
    return [queue for queue in eligible if queue in queues] if queues else eligible


def claim(
    connection: Connection, queues: Sequence[str], limit: int, *, worker: str, lease_until: int, now: int
) -> list[Claimed]:
    """See `base.Store.claim`."""
    found, with_pending_keys = _most_urgent(connection, claimable(connection, queues), limit)
    ids = pack([row.id for row in found])
    if with_pending_keys:
        run(connection, "let_go_pending_keys", ids=ids)
    run(connection, "start", ids=ids, worker=worker, lease_until=lease_until, now=now)
    return [Claimed(*row[:7], from_us(row.run_at), from_us(row.created_at), *row[9:]) for row in found]


def _most_urgent(connection: Connection, queues: list[str], limit: int) -> tuple[list[_Row], bool]:
    """The most urgent jobs, and whether any of them may hold a key only while it waits."""
    found: list[_Row] = []
    with_pending_keys = False
    for start in range(0, len(queues), MOST_QUEUES):
        some = queues[start : start + MOST_QUEUES]
        rows, pending = connection.execute(claim_from(len(some)), (*some, limit)).fetchone()
        found += _decode(rows)
        with_pending_keys |= bool(pending)
    found.sort(key=lambda row: (-row.priority, row.run_at, row.id))
    return found[:limit], with_pending_keys


def held(connection: Connection, attempts: list[tuple[str, int]]) -> dict[tuple[str, int], Moving]:
    """Which of these attempts, id and fence, are still their worker's."""
    found = [Moving(*row) for row in unpack(connection, "held", rows=pack(attempts))]
    return {(job.id, job.fence): job for job in found}


def finish(connection: Connection, outcomes: Sequence[Outcome], now: int) -> list[str]:
    """See `base.Store.finish`."""
    mine = held(connection, [(outcome.id, outcome.fence) for outcome in outcomes])
    moves = Moves(now)
    won: list[str] = []
    for outcome in outcomes:
        job = mine.pop((outcome.id, outcome.fence), None)  # of two outcomes of one attempt the first wins
        if job is not None:
            _finish(moves, job, outcome)
            won.append(job.id)
    moves.write(connection)
    return won


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
