"""Listing folders that are known by their ids, several at once, with a cursor that stays small."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from msgspec import Struct

from lamplighter.families.files.source import Entry

AT_ONCE = 8
MOST = 1000  # entries of a page


class Pending(Struct, frozen=True, array_like=True):
    """A folder that is still to be listed, from `marker` on. `limit`: how many at a time, the same to its end."""

    folder: str
    marker: str | None = None
    limit: int = 0


class Part(NamedTuple):
    """Some of what is in a folder, and where the rest of it begins."""

    entries: Sequence[Entry]
    marker: str | None


Look = Callable[[Pending], Awaitable[Part]]


async def look_at_some(pending: Sequence[Pending], look: Look) -> tuple[list[Entry], list[Pending]]:
    """What is in the next folders, and what is pending then: new folders before what was already waiting.

    The rest of a long folder comes after the folders of its first part, so that few folders wait at any time.
    """
    some = _that_fit([one if one.limit else _limited(one, len(pending)) for one in pending[:AT_ONCE]])
    parts = await asyncio.gather(*(look(one) for one in some))
    entries = [entry for part in parts for entry in part.entries]
    new = [
        after
        for one, part in zip(some, parts, strict=True)
        for after in (
            *(Pending(entry.id) for entry in part.entries if entry.is_folder),
            *([Pending(one.folder, part.marker, one.limit)] if part.marker else []),
        )
    ]
    return entries, [*new, *pending[len(some) :]]


def _limited(one: Pending, waiting: int) -> Pending:
    return Pending(one.folder, one.marker, max(1, MOST // min(waiting, AT_ONCE)))


def _that_fit(some: list[Pending]) -> list[Pending]:
    """The first of them, at least one, whose parts make no more than a page together."""
    fit, total = [some[0]], some[0].limit
    for one in some[1:]:
        total += one.limit
        if total > MOST:
            break
        fit.append(one)
    return fit
