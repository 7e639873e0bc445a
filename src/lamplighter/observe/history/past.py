"""Reading history: a line of points for a queue, or for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from lamplighter.core.clock import Clock
from lamplighter.observe.histogram import Counts, quantile
from lamplighter.observe.history.slot import ALL, Levels, Slot, Tally, total
from lamplighter.observe.history.steps import HOURS, MINUTES, TENS, Step, slots_of, sums
from lamplighter.store.base import Store

Span: TypeAlias = Literal["15m", "24h", "7d"]


class _Kept(NamedTuple):
    """Where a span is read, how long it is, and how long the slots that it is shown in, and told in (seconds)."""

    step: Step
    lasts: int
    shown: int
    told: int


_SPANS: Mapping[Span, _Kept] = {
    "15m": _Kept(TENS, 15 * 60, 10, 60),
    "24h": _Kept(MINUTES, 86_400, 300, 7200),
    "7d": _Kept(HOURS, 7 * 86_400, 3600, 86_400),
}

LONGEST: Span = "7d"


class Point(Struct, frozen=True, kw_only=True):
    """What happened from `at` on for so many seconds, and the most that waited, were delayed and ran then.

    Times in seconds: within them were half, or 95 %, of the attempts that ended. None: there were none, or nobody
    looked.
    """

    at: int
    seconds: int
    done: int
    failed: int
    retried: int
    run_p50: float | None
    run_p95: float | None
    wait_p50: float | None
    wait_p95: float | None
    waiting: int | None
    delayed: int | None
    running: int | None


class Line(Struct, frozen=True, kw_only=True):
    """The points of a span, the oldest first, `step` seconds apart. Where one is missing, nobody worked."""

    since: datetime
    until: datetime
    step: int
    points: Sequence[Point]


class _Read(NamedTuple):
    slots: Mapping[int, Slot]
    until: datetime


class Past:
    """Reads the history of a store. However often it is asked, the store is asked a few times in each step."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._read: dict[Span, _Read] = {}

    async def line(self, span: Span, queue: str | None = None, *, coarse: bool = False) -> Line:
        """What happened in a queue, or in all of them. `coarse`: in steps so few that people read them as a table.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        kept, now = _SPANS[span], self._clock()
        slots = await self._slots(span, now)
        if coarse:
            kept = kept._replace(shown=kept.told)
            slots = sums(slots.items(), kept.shown)
        since = now - timedelta(seconds=kept.lasts)
        name = ALL if queue is None else queue
        shown = [at for at in slots if at >= since.timestamp()]
        points = [_point(at, slots[at], name, _seconds(slots[at], at, kept, is_last=at == shown[-1])) for at in shown]
        return Line(since=since, until=now, step=kept.shown, points=points)

    async def during(self, within: timedelta) -> Slot:
        """All that was done in each queue since then, to the slot: up to 15 minutes back by ten seconds, a day by five
        minutes, a week by hours.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        now, seconds = self._clock(), within.total_seconds()
        span = next((span for span, kept in _SPANS.items() if seconds <= kept.lasts), LONGEST)
        since = now.timestamp() - seconds - _SPANS[span].shown
        return total(slot for at, slot in (await self._slots(span, now)).items() if at > since)

    async def _slots(self, span: Span, now: datetime) -> Mapping[int, Slot]:
        read, kept = self._read.get(span), _SPANS[span]
        if read is None or read.until <= now:
            found = slots_of(await self._store.records(kept.step.kind, now=now))
            good_for = timedelta(seconds=min(kept.shown / 5, 30))
            read = self._read[span] = _Read(sums(found, kept.shown), now + good_for)
        return read.slots


def _seconds(slot: Slot, at: int, kept: _Kept, *, is_last: bool) -> int:
    """How long what is shown took: the last is not over yet."""
    return max(1, min(slot[ALL].until - at, kept.shown)) if is_last and ALL in slot else kept.shown


def _point(at: int, slot: Slot, queue: str, seconds: int) -> Point:
    tally, every = slot.get(queue, Tally()), slot.get(ALL, Tally())
    levels = tally.levels or (Levels() if every.levels else None)
    return Point(
        at=at,
        seconds=seconds,
        done=tally.done,
        failed=tally.failed,
        retried=tally.retried,
        run_p50=_rounded(tally.took, 0.5),
        run_p95=_rounded(tally.took, 0.95),
        wait_p50=_rounded(tally.late, 0.5),
        wait_p95=_rounded(tally.late, 0.95),
        waiting=None if levels is None else levels.waiting,
        delayed=None if levels is None else levels.delayed,
        running=None if levels is None else levels.running,
    )


def _rounded(counts: Counts, share: float) -> float | None:
    seconds = quantile(counts, share)
    return None if seconds is None else float(f"{seconds:.3g}")
