"""Jobs and queues as people see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from lamplighter.core.clock import from_us, maybe_from_us
from lamplighter.core.flow_control import GateView, ShareView
from lamplighter.core.model import ENDED, LIVE, Arguments, Children, Failure, JobView, QueueStats, State, Unique, Where
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import unpack
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow_control import FlowControl
from lamplighter.store.sqlite.queries import SQL, view

_TABLES = (("live", LIVE - {State.HELD}), ("held", frozenset({State.HELD})), ("ended", ENDED))
_MOMENTS = ("run_at", "created_at", "started_at", "lease_until", "ended_at", "keep_until")


def page(
    connection: Connection,
    where: Where,
    limit: int,
    *,
    before: str | None = None,
    among: frozenset[State] = LIVE | ENDED,
) -> list[JobView]:
    """The newest jobs that match, and are in one of these states."""
    return [_view(*row) for row in _newest(connection, "view", where, limit, before=before, among=among)]


def arguments(connection: Connection, where: Where, limit: int, before: str | None) -> list[Arguments]:
    """See `base.Store.arguments`."""
    return [Arguments(*row) for row in _newest(connection, "arguments", where, limit, before=before)]


def _newest(
    connection: Connection,
    what: str,
    where: Where,
    limit: int,
    *,
    before: str | None,
    among: frozenset[State] = LIVE | ENDED,
) -> list[tuple[Any, ...]]:
    """Rows of the statements that end with `what`; an id comes first in each."""
    states = among.intersection(where.states) if where.states else among
    found: list[tuple[Any, ...]] = []
    for table, those_in_it in _TABLES:
        wanted = states & those_in_it
        if wanted:
            of_states = () if wanted == those_in_it else tuple(wanted)
            for groups in _apart(where.groups):
                some = msgspec.structs.replace(where, states=of_states, groups=groups)
                found += _select(connection, f"{table}_{what}", some, limit, before)
    return sorted(found, reverse=True)[: max(limit, 0)]


def _apart(groups: tuple[str, ...]) -> list[tuple[str, ...]]:
    """One by one, so that each is read in the order of its index."""
    return [(group,) for group in dict.fromkeys(groups)] or [()]


def _select(
    connection: Connection, statement: str, where: Where, limit: int, before: str | None
) -> list[tuple[Any, ...]]:
    several = msgspec.structs.asdict(where).items()
    binds: dict[str, Any] = {name: pack(names) for name, names in several if names and name != "groups"}
    if where.groups:
        [binds["group"]] = where.groups
    if before is not None:
        binds["before"] = before
    return connection.execute(view(statement, list(binds)), {**binds, "limit": limit}).fetchall()


def _view(*row: Any) -> JobView:
    named = dict(zip(JobView.__struct_fields__, row, strict=True))
    for moment in _MOMENTS:
        named[moment] = maybe_from_us(named[moment])
    named["state"] = State(named["state"])
    named["stopping"] = bool(named["stopping"])
    named["limits"] = tuple(json.loads(named["limits"])) if named["limits"] else ()
    key, mode, until = json.loads(named["unique"])
    counted = named["children"]
    named["children"] = None if counted is None else msgspec.json.decode(counted, type=Children)
    named["unique"] = None if key is None else Unique(key, mode, maybe_from_us(until))
    return JobView(**named)


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
    return [QueueStats(queue=queue, paused=queue in paused, **counts[queue]) for queue in sorted(counts)]


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
