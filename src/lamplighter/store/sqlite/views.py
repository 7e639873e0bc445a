"""Queues, and what holds jobs up, as people see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamplighter.core.clock import from_us, maybe_from_us, to_us
from lamplighter.core.flow_control import GateView, ShareView
from lamplighter.core.model import MOST_LINES, EndedJob, EndedPlace, Failure, QueueStats, State
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import unpack
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow_control import FlowControl
from lamplighter.store.sqlite.queries import SQL


def ended(connection: Connection, after: EndedPlace, limit: int) -> list[EndedJob]:
    """See `base.Store.ended`."""
    binds = {"ended_at": to_us(after.ended_at), "id": after.id, "limit": limit}
    return [_ended(*row) for row in connection.execute(SQL["ended_after"], binds)]


def failures(connection: Connection, job: str) -> list[Failure]:
    """See `base.Store.failures`."""
    return [
        Failure(fence=fence, at=from_us(at), kind=kind, error=error, message=message, traceback=traceback)
        for fence, at, kind, error, message, traceback in connection.execute(SQL["failures"], (job,))
    ]


def stats(connection: Connection) -> list[QueueStats]:
    """See `base.Store.stats`."""
    counts: dict[str, dict[str, int]] = {name: {} for (name,) in connection.execute(SQL["paused"])}
    paused = set(counts)
    for queue, state, n in connection.execute(SQL["counts"]):
        counts.setdefault(queue, {})[state] = n
    oldest = dict(unpack(connection, "oldest", queues=pack(sorted(counts)), most=MOST_LINES))
    return [
        QueueStats(queue=queue, paused=queue in paused, **counts[queue], oldest=maybe_from_us(oldest[queue]))
        for queue in sorted(counts)
    ]


def gates(connection: Connection, keys: Sequence[str], limit: int, now: int) -> list[GateView]:
    """See `base.Store.gates`."""
    if keys:
        shown = sorted(set(keys))[: max(limit, 0)]
    else:
        shown = [key for (key,) in connection.execute(SQL["busy_gates"], {"now": now, "limit": limit})]
    flow = FlowControl(connection, now)
    flow.gates.load(shown)
    waiting = dict(unpack(connection, "waiting", keys=pack(shown)))
    return [flow.gates[key].view(flow.gates.rule(key), waiting[key] or 0, now) for key in shown]


def shares(connection: Connection, queue: str, limit: int) -> list[ShareView]:
    """See `base.Store.shares`."""
    rows = connection.execute(SQL["shares"], {"queue": queue, "limit": limit})
    names = ("queue", "priority", "tenant", "queued", "tag")
    return [ShareView(**dict(zip(names, row, strict=True))) for row in rows]


def _ended(*row: Any) -> EndedJob:
    named = dict(zip(EndedJob.__struct_fields__, row, strict=True))
    for moment in ("run_at", "created_at", "started_at", "ended_at"):
        named[moment] = maybe_from_us(named[moment])
    return EndedJob(**named | {"state": State(named["state"])})
