"""The newest jobs that match: where the order of ids might lead past a million others, by an index that has them side
by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice, product
from operator import itemgetter
from typing import Any

import msgspec

from lamplighter.core.clock import maybe_from_us
from lamplighter.core.model import ENDED, LIVE, Arguments, Children, JobView, State, Unique, Where
from lamplighter.store.carried import parted
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.queries import SQL, view

Filters = dict[str, Any]
Row = tuple[Any, ...]

_TABLES = (("live", LIVE - {State.HELD}), ("held", frozenset({State.HELD})), ("ended", ENDED))
_COLUMNS = JobView.__struct_fields__[:-1]  # the last, its trace, comes out of the arguments
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
    rows = _newest(connection, "arguments", where, limit, before=before)
    return [Arguments(id_, parted(args)[0]) for id_, args in rows]


def _newest(
    connection: Connection,
    what: str,
    where: Where,
    limit: int,
    *,
    before: str | None,
    among: frozenset[State] = LIVE | ENDED,
) -> Iterator[Row]:
    """Rows of the statements that end with `what`; an id comes first in each."""
    states = among.intersection(where.states) if where.states else among
    binds = {"limit": limit} if before is None else {"limit": limit, "before": before}
    parts = [
        _select(connection, f"{table}_{what}", binds | filters)
        for table, wanted, some in _tables(where, states)
        for filters in _side_by_side(connection, table, some, wanted, limit)
    ]
    newest_first = merge(*parts, key=itemgetter(0), reverse=True)  # which reads no row before it is next
    return islice(newest_first, max(limit, 0))


def _tables(where: Where, states: frozenset[State]) -> Iterator[tuple[str, list[State], Where]]:
    """Where jobs of these states are: with the states there, as a filter only if it has others too."""
    for table, those_in_it in _TABLES:
        wanted = sorted(states & those_in_it)
        of_states = () if len(wanted) == len(those_in_it) else tuple(wanted)
        if wanted:
            yield table, wanted, msgspec.structs.replace(where, states=of_states)


def _side_by_side(
    connection: Connection, table: str, where: Where, wanted: list[State], limit: int
) -> Iterator[Filters]:
    """For each part of what is wanted that an index has in the order of ids: the filters that make it out."""
    ended = table == "ended"
    if where.ids:
        yield _rest(where)
    elif where.groups:
        yield from (_rest(where, "groups") | {"group": group} for group in dict.fromkeys(where.groups))
    elif where.tenants and ended:
        rest = _rest(where, "tenants", "states")
        yield from (rest | {"tenant": name, "state": state} for name, state in product(set(where.tenants), wanted))
    elif where.tenants:
        yield from (_rest(where, "tenants") | {"tenant": name} for name in set(where.tenants))
    elif where.queues or where.states:
        binds = {"queues": pack(where.queues) if where.queues else None, "states": pack(wanted)}
        lines = connection.execute(SQL["filled"], binds).fetchall()
        yield from _of_ended(where, lines) if ended else _of_live(where, lines, limit)
    else:
        yield _rest(where)


def _of_ended(where: Where, lines: Iterable[Row]) -> Iterator[Filters]:
    rest = _rest(where, "queues", "states")
    yield from (rest | {"queue": queue, "state": state} for queue, state, _ in lines)


def _of_live(where: Where, lines: Iterable[Row], limit: int) -> Iterator[Filters]:
    """These have no index by queue, which each claim would have to keep: but no more are looked for than there are."""
    there = sum(n for *_, n in lines)
    if where.states == (State.RUNNING,):
        yield _rest(where, "states") | {"running": True}
    elif there:
        yield _rest(where) | {"limit": min(limit, there)}


def _rest(where: Where, *but: str) -> Filters:
    """The filters that name several, without those that an index answers."""
    several = msgspec.structs.asdict(where).items()
    return {name: pack(values) for name, values in several if values and name not in but}


def _select(connection: Connection, statement: str, binds: Filters) -> Iterator[Row]:
    filters = [name for name in binds if name != "limit"]
    return connection.execute(view(statement, filters), binds)


def _view(*row: Any) -> JobView:
    named = dict(zip(_COLUMNS, row, strict=True))
    named["args"], named["trace"] = parted(named["args"])
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
