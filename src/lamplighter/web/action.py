"""What can be done to many jobs at once, as data: what it is done to, and how far it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Self

from msgspec import Struct
from msgspec.structs import replace

from lamplighter.app import App
from lamplighter.core.clock import to_us
from lamplighter.core.ids import new_id
from lamplighter.core.model import ENDED, LIVE, MOVES, State, Where

SILENT = timedelta(seconds=30)  # since its last batch: then its process is taken for dead
AGAIN = "start it again, and it goes on with what still matches."

Deed = Literal["retry", "cancel", "delete", "purge"]
Standing = Literal["running", "done", "interrupted"]


class Action(Struct, frozen=True, kw_only=True):
    """A deed on its way. `matched`: the jobs that it has come by; `done`: those of them that it was done to.

    `expected`: how many matched before it began, where that was counted to the end.

    `by`: who asked for it; `beat_at`: when its process last wrote that down; `reason`: why it was interrupted.
    """

    id: str
    deed: Deed
    where: Where
    limit: int
    per_second: int | None
    by: str
    started_at: datetime
    beat_at: datetime
    matched: int = 0
    done: int = 0
    expected: int | None = None
    ended_at: datetime | None = None
    reason: str | None = None

    @classmethod
    def of(
        cls,
        deed: Deed,
        where: Where,
        *,
        by: str,
        now: datetime,
        limit: int,
        per_second: int | None = None,
        expected: int | None = None,
    ) -> Self:
        """A new one, which begins now."""
        return cls(
            id=new_id(to_us(now)),
            deed=deed,
            where=where,
            limit=limit,
            per_second=per_second,
            by=by,
            started_at=now,
            beat_at=now,
            expected=expected,
        )

    def seen_at(self, now: datetime) -> Action:
        """The same, and why it does not go on if its process has died."""
        if self.ended_at is None and now - self.beat_at > SILENT:
            return replace(self, reason=f"the process that did it has ended: {AGAIN}")
        return self

    @property
    def state(self) -> Standing:
        """Where it is, as far as `seen_at` can tell."""
        if self.reason is not None:
            return "interrupted"
        return "running" if self.ended_at is None else "done"


class How(NamedTuple):
    """In which states jobs are for it, and what does it to a batch of them; that tells to how many it was done."""

    among: frozenset[State]
    do: Callable[[App[Any], Where], Awaitable[int]]


async def _retry(app: App[Any], where: Where) -> int:
    return len(await app.store.retry(where, limit=len(where.ids), now=app.clock()))


async def _cancel(app: App[Any], where: Where) -> int:
    now = app.clock()
    gone = await app.store.cancel(where, limit=len(where.ids), now=now, keep_until=now + app.settings.keep_failed)
    return len(gone.ended) + len(gone.asked)


async def _delete(app: App[Any], where: Where) -> int:
    return len(await app.store.forget(where, limit=len(where.ids)))


async def _purge(app: App[Any], where: Where) -> int:
    """A job that has begun since it was found goes on."""
    return await _cancel(app, replace(where, states=tuple(sorted(NOT_BEGUN))))


NOT_BEGUN = MOVES["be cancelled"].sources

HOW: dict[Deed, How] = {
    "retry": How(MOVES["be retried"].sources, _retry),
    "cancel": How(LIVE, _cancel),
    "delete": How(ENDED, _delete),
    "purge": How(NOT_BEGUN, _purge),
}
