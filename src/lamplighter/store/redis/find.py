"""Finding jobs: the newest first, a stretch at a time, so that no script holds up the server for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from lamplighter.core.model import ENDED, LIVE, State, Where
from lamplighter.store.redis.link import Link
from lamplighter.store.redis.rows import LETTERS, pack
from lamplighter.store.redis.scripts import script

STRETCH = 1000  # ids that one script looks at
FEW_RUNNING = 5000  # ids that are fetched at once
FEW_LINES = 32  # lines of single queues that are read apart, instead of all ended jobs of a state

_ANY: frozenset[State] = frozenset()
V = TypeVar("V")
Found = tuple[bytes, bytes]  # an id, and the job


async def find(
    link: Link, where: Where, *, limit: int, among: frozenset[State] = LIVE | ENDED, before: str | None = None
) -> list[Found]:
    """The newest jobs that match, and are in one of these states."""
    states = among.intersection(where.states) if where.states else among
    if limit <= 0 or not states:
        return []
    ids = where.ids or (() if where.groups else await _running(link, states))
    if ids:
        some = sorted({id_ for id_ in ids if before is None or id_ < before}, reverse=True)
        return await _among_ids(link, some, _filters(where, states, LIVE | ENDED), limit)
    start = "+" if before is None else f"({before}"
    places = _places(where, states)
    found = await asyncio.gather(*(_in_place(link, place, filters, start, limit) for place, filters in places))
    return sorted((one for some in found for one in some), reverse=True)[:limit]


def pairs(flat: Sequence[bytes]) -> Iterator[Found]:
    """An answer of `id, job, id, job, ...`, two by two."""
    return zip(flat[::2], flat[1::2], strict=True)


async def _running(link: Link, states: frozenset[State]) -> Sequence[str]:
    """The ids of the running jobs, if only they are wanted: they are few among all that live."""
    if states != {State.RUNNING}:
        return ()
    ids = await link.run(script("running"), FEW_RUNNING, again=True)
    return [id_.decode() for id_ in ids or ()]


async def _among_ids(link: Link, ids: list[str], filters: bytes, limit: int) -> list[Found]:
    found: list[Found] = []
    for some in batched(ids, STRETCH):
        _, *flat = await link.run(script("page"), "", "", limit - len(found), STRETCH, filters, *some, again=True)
        found += pairs(flat)
        if len(found) >= limit:
            break
    return found


async def _in_place(link: Link, place: str, filters: bytes, start: str, limit: int) -> list[Found]:
    found: list[Found] = []
    while len(found) < limit:
        args: tuple[Any, ...] = place, start, limit - len(found), STRETCH, filters
        last, *flat = await link.run(script("page"), *args, again=True)
        found += pairs(flat)
        if not last:
            break
        start = b"(" + last
    return found


def _places(where: Where, states: frozenset[State]) -> list[tuple[str, bytes]]:
    """The indexes of ids to read, each with the filters that are needed there."""
    if where.groups:
        anywhere = _filters(where, states, LIVE | ENDED)
        return [(f"children:{group}", anywhere) for group in dict.fromkeys(where.groups)]
    places = [("live", _filters(where, states & LIVE, LIVE))] if states & LIVE else []
    ended = states & ENDED
    if where.queues and len(set(where.queues)) * len(ended) <= FEW_LINES:
        by_queue = Where(names=where.names, tenants=where.tenants)
        lines = [f"ended:{LETTERS[state]}:{queue}" for state in ended for queue in set(where.queues)]
        return places + [(line, _filters(by_queue)) for line in lines]
    return places + [(state.value, _filters(where)) for state in ended]


def _filters(where: Where, states: frozenset[State] = _ANY, there: frozenset[State] = _ANY) -> bytes:
    """The filters as `page.lua` has them; none on the state where jobs are in no others than the wanted ones."""
    letters = [] if states == there else [LETTERS[state] for state in states]
    return pack((letters, where.queues, where.names, where.tenants, where.groups), "a filter")


def batched(values: Iterable[V], size: int) -> Iterator[list[V]]:
    """So many at a time."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some
