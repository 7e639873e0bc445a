"""How finely, and for how long, history is kept; and one step of adding it up."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from lamplighter.core.clock import from_us
from lamplighter.core.model import Record
from lamplighter.observe.history.slot import Slot, read, total

_log = logging.getLogger("lamplighter.history")


class Step(NamedTuple):
    """Slots of so many seconds, each a record of that kind until it is so many seconds old."""

    kind: str
    seconds: int
    kept: int

    def begin(self, at: float) -> int:
        """When the slot begins that a moment is in."""
        return int(at) // self.seconds * self.seconds


PARTS = Step("history.part", 10, 5 * 60)  # of one process each
TENS = Step("history.10s", 10, 20 * 60)
MINUTES = Step("history.1m", 60, 26 * 3600)
HOURS = Step("history.1h", 3600, 8 * 86400)

LEVELS = ((PARTS, TENS, 10), (TENS, MINUTES, 10), (MINUTES, HOURS, 600))
"""Of the former, the latter are made, every so many seconds."""


def record_of(step: Step, begin: int, text: str, *, of: str = "") -> Record:
    """A slot, or (`of` a process) a part of it, on its way to the store."""
    name = f"{begin:012d}{of and ' '}{of}"
    return Record(kind=step.kind, name=name, value=text, expires_at=from_us((begin + step.kept) * 1_000_000))


def slots_of(records: Iterable[Record], *, since: float = 0) -> list[tuple[int, Slot]]:
    """The slots, or parts of slots, that were read, with when they begin. One that cannot be read is left out."""
    found = []
    for record in records:
        try:
            if (begin := begin_of(record)) >= since:
                found.append((begin, read(record.value)))
        except (ValueError, msgspec.MsgspecError):
            _log.warning("The record %s %s cannot be read: it is left out.", record.kind, record.name)
    return found


def begin_of(record: Record) -> int:
    """When its slot begins. Raises ValueError if its name does not say so."""
    return int(record.name.partition(" ")[0])


def sums(slots: Iterable[tuple[int, Slot]], seconds: int) -> dict[int, Slot]:
    """The same in longer slots."""
    among: defaultdict[int, list[Slot]] = defaultdict(list)
    for begin, slot in slots:
        among[begin // seconds * seconds].append(slot)
    return {begin: total(several) for begin, several in sorted(among.items())}
