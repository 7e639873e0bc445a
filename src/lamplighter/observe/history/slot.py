"""What happened in a stretch of time, so kept that any two add up to what happened in both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from lamplighter.core.model import QueueStats
from lamplighter.observe.histogram import Counts

ALL = ""  # stands for all queues together
MOST_QUEUES = 50  # that are kept of one slot, the busiest


class Levels(Struct, frozen=True, array_like=True):
    """The most jobs of a queue that waited, were delayed (or held), and ran at any moment that was looked at."""

    waiting: int = 0
    delayed: int = 0
    running: int = 0


class Tally(Struct, frozen=True, array_like=True):
    """What happened in one queue: attempts by how they ended, how long they took, how late they had begun.

    `levels` is None where nobody looked. `until`: up to when all is counted, in seconds since 1970.
    """

    done: int = 0
    failed: int = 0
    retried: int = 0
    took: Counts = {}
    late: Counts = {}
    levels: Levels | None = None
    until: int = 0

    @property
    def weight(self) -> int:
        """How much is lost if it is left out."""
        levels = self.levels or Levels()
        return self.done + self.failed + self.retried + levels.waiting + levels.delayed + levels.running


Slot = Mapping[str, Tally]  # by queue, and of all

_decode = msgspec.json.Decoder(dict[str, Tally]).decode


def write(slot: Slot) -> str:
    """As text; the same slot is always the same text."""
    return msgspec.json.encode(dict(sorted(slot.items()))).decode()


def read(text: str) -> Slot:
    """What `write` wrote. Raises msgspec.MsgspecError for anything else."""
    return _decode(text)


def total(slots: Iterable[Slot]) -> Slot:
    """What happened in all of these; of the queues the busiest."""
    tallies: dict[str, list[Tally]] = {}
    for slot in slots:
        for queue, tally in slot.items():
            tallies.setdefault(queue, []).append(tally)
    return bounded({queue: _sum(several) for queue, several in tallies.items()})


def bounded(slot: Slot) -> Slot:
    """Only the busiest queues; all of them are in what stands for all."""
    if len(slot) <= MOST_QUEUES:
        return slot
    kept = nlargest(MOST_QUEUES, slot, key=lambda queue: (queue == ALL, slot[queue].weight, queue))
    return {queue: slot[queue] for queue in kept}


def levels_of(stats: Sequence[QueueStats]) -> Slot:
    """A slot in which nothing happened, with these levels; queues in which nothing is are left out."""
    slot = {one.queue: Levels(one.queued, one.scheduled + one.held, one.running) for one in stats}
    waiting, delayed, running = (sum(numbers) for numbers in zip((0, 0, 0), *map(astuple, slot.values()), strict=True))
    levels = {queue: one for queue, one in slot.items() if one != Levels()} | {ALL: Levels(waiting, delayed, running)}
    return {queue: Tally(levels=one) for queue, one in levels.items()}


def closed(slot: Slot, until: int) -> Slot:
    """The same, said to be of all that happened up to then."""
    return {**slot, ALL: replace(slot.get(ALL, Tally()), until=until)}


def _sum(tallies: Sequence[Tally]) -> Tally:
    if len(tallies) == 1:
        return tallies[0]
    levels = [one.levels for one in tallies if one.levels is not None]
    return Tally(
        sum(one.done for one in tallies),
        sum(one.failed for one in tallies),
        sum(one.retried for one in tallies),
        _added(one.took for one in tallies),
        _added(one.late for one in tallies),
        Levels(*map(max, zip(*map(astuple, levels), strict=True))) if levels else None,
        max(one.until for one in tallies),
    )


def _added(several: Iterable[Counts]) -> Counts:
    sums: dict[int, int] = {}
    for counts in several:
        for bucket, n in counts.items():
            sums[bucket] = sums.get(bucket, 0) + n
    return dict(sorted(sums.items()))  # or the same numbers would not be the same text
