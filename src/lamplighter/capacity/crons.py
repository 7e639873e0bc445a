"""What an app's schedules make over a time: how many jobs each, and which come together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import groupby

from msgspec import Struct

from lamplighter.engine.tick import Entry

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MOST_PILES = 5


class Made(Struct, frozen=True, kw_only=True):
    """The jobs of one schedule."""

    schedule: str
    when: str
    job: str
    queue: str
    jobs: int
    most_in_a_minute: int


class Pile(Struct, frozen=True, kw_only=True):
    """Schedules that come in the same minute: `jobs` in such a minute, `times` that it happens, the `first` of them."""

    schedules: tuple[str, ...]
    jobs: int
    times: int
    first: datetime


class Slots(Struct, frozen=True, kw_only=True):
    """All that an app's schedules make. `per_hour`: jobs of each hour from `start` on."""

    start: datetime
    made: tuple[Made, ...]
    piles: tuple[Pile, ...]
    per_hour: tuple[int, ...]

    @property
    def jobs(self) -> int:
        """Of all schedules."""
        return sum(one.jobs for one in self.made)


class _Count:
    """What has been seen so far."""

    def __init__(self, entries: Sequence[Entry], start: datetime, duration: timedelta) -> None:
        self.jobs = Counter({entry.name: 0 for entry in entries})
        self.most = Counter({entry.name: 0 for entry in entries})
        self.piles: dict[frozenset[str], Pile] = {}
        self.per_hour = [0] * -(-duration // HOUR)
        self._start = start

    def add(self, minute: datetime, names: Iterable[str]) -> None:
        """The slots of one minute."""
        here = Counter(names)
        self.jobs += here
        self.most |= here
        self.per_hour[(minute - self._start) // HOUR] += here.total()
        if len(here) > 1:
            self._pile(minute, here)

    def _pile(self, minute: datetime, here: Counter[str]) -> None:
        before = self.piles.get(frozenset(here))
        self.piles[frozenset(here)] = Pile(
            schedules=tuple(sorted(here)),
            jobs=max(here.total(), before.jobs if before else 0),
            times=1 + (before.times if before else 0),
            first=before.first if before else minute,
        )


def count_slots(
    entries: Sequence[Entry],
    start: datetime,
    duration: timedelta,
    *,
    step: Callable[[float], None] = lambda _: None,
) -> Slots:
    """The slots of these schedules in [start, start + duration), each asked of the schedule itself. No job is run.

    `step` is called now and then with the share of the time that is done.
    """
    end = start + duration
    count = _Count(entries, start, duration)
    moments = merge(*(_slots(entry, start, end) for entry in entries))
    for minute, slots in groupby(moments, key=lambda slot: start + (slot[0] - start) // MINUTE * MINUTE):
        count.add(minute, (name for _, name in slots))
        if minute.minute == 0:
            step((minute - start) / duration)
    return Slots(
        start=start,
        made=tuple(_made(entry, count) for entry in entries),
        piles=tuple(sorted(count.piles.values(), key=_worst_first)[:MOST_PILES]),
        per_hour=tuple(count.per_hour),
    )


def _slots(entry: Entry, start: datetime, end: datetime) -> Iterator[tuple[datetime, str]]:
    slot = entry.schedule.after(start - timedelta(microseconds=1))
    while slot < end:
        yield slot, entry.name
        slot = entry.schedule.after(slot)


def _made(entry: Entry, count: _Count) -> Made:
    return Made(
        schedule=entry.name,
        when=entry.schedule.text,
        job=entry.draft.definition.name,
        queue=entry.draft.options.get("queue", entry.draft.definition.queue),
        jobs=count.jobs[entry.name],
        most_in_a_minute=count.most[entry.name],
    )


def _worst_first(pile: Pile) -> tuple[int, int, int, datetime]:
    return -len(pile.schedules), -pile.jobs, -pile.times, pile.first
