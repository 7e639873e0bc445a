"""Jobs that are held until their children have ended: who they are, and what becomes of them then."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from lamplighter.core.model import NewJob, State
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, unpack, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.moves import Moves, Moving
from lamplighter.store.sqlite.tally import tally

EVER = -(2**62)  # a moment before any other
FATES = {"failed": "failed", "cancelled": "was cancelled"}


class Families(NamedTuple):
    """The new jobs of a batch that are held or are children, and the orphans in it, by id."""

    new: dict[str, NewJob]
    orphans: set[str]

    @property
    def held(self) -> dict[str, NewJob]:
        """Those that are held."""
        return {id_: job for id_, job in self.new.items() if job.children is not None}


def families(connection: Connection, jobs: Sequence[NewJob], refused: Collection[str]) -> Families:
    """Those of a batch that are held or are children, or orphans. `refused`: whose unique keys were not to be had."""
    found = Families({}, set())
    related = [job for job in jobs if job.group is not None or job.children is not None]
    if not related:
        return found
    known = set(unpack(connection, "known", ids=pack([job.id for job in related])))
    held = set(unpack(connection, "still_held", ids=pack([job.group for job in related if job.group])))
    for job in related:
        if job.id in known or job.id in refused or job.id in found.new:
            continue
        if job.group is not None and job.group not in held:
            found.orphans.add(job.id)
            continue
        found.new[job.id] = job
        if job.children is not None:
            held.add(job.id)
    return found


def note(connection: Connection, new: Families) -> None:
    """Begin to count the children of those that are held, and count those that are added."""
    groups = [(job.id, job.children, job.on_child_failure) for job in new.held.values()]
    if groups:
        run(connection, "begin_groups", rows=pack(groups))
    tally(connection, ((job.group, "added", 1) for job in new.new.values() if job.group))


def any_settled(connection: Connection) -> bool:
    """Whether a held job need not wait any longer."""
    return bool(value(connection, "any_settled"))


def settle_held(connection: Connection, limit: int, now: int) -> tuple[int, list[str]]:
    """Let go the held jobs whose children are settled; returns how many are due by that, and which failed instead."""
    settled = unpack(connection, "settled", limit=limit)
    free = [(id_, run_at) for id_, must_fail, run_at, *_ in settled if not must_fail]
    if free:
        release(connection, [id_ for id_, _ in free], now)
    failing = [Moving(id_, fence, 0, key, None, group) for id_, must_fail, _, fence, key, group in settled if must_fail]
    if failing:
        _fail(connection, failing, now)
    return sum(run_at <= now for _, run_at in free), [job.id for job in failing]


def release(connection: Connection, ids: Sequence[str], now: int = EVER) -> None:
    """Put held jobs among those that wait: for their time, else in line from now on."""
    run(connection, "release", ids=pack(ids), now=now)
    run(connection, "hold_no_longer", ids=pack(ids))


def _fail(connection: Connection, failing: list[Moving], now: int) -> None:
    release(connection, [job.id for job in failing])
    moves = Moves(now)
    for job in failing:
        lost = unpack(connection, "oldest_lost_child", group=job.id)
        why = f"its child {lost[0]} {FATES[lost[1]]}" if lost else "a child of it, now forgotten, failed"
        moves.end(job, State.FAILED, reason=why, keep_until=lost[2] if lost else None)
    moves.write(connection)
