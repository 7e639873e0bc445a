"""Queues that are bounded: what does not fit is refused, or pushes out the oldest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lamplighter.core.flow_control import QUEUE, QueueRule
from lamplighter.core.model import NewJob, Record, State
from lamplighter.store.pack import pack
from lamplighter.store.rules import DROPPED, queue_full, read_rule
from lamplighter.store.sqlite.batch import run, unpack, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.moves import Moves, Moving
from lamplighter.store.sqlite.rules import Rules


class _Bound(NamedTuple):
    """So many jobs of a queue may wait, or (with `tenant`) of one tenant in it; so many are to be added."""

    queue: str
    tenant: str | None
    most: int
    new: int
    drop: bool

    def waiting(self, connection: Connection) -> int:
        if self.tenant is None:
            return int(value(connection, "waiting_in", queue=self.queue))
        return int(value(connection, "waiting_of", queue=self.queue, tenant=self.tenant))

    def oldest(self, connection: Connection, n: int) -> list[Moving]:
        if self.tenant is None:
            rows = unpack(connection, "oldest_in", queue=self.queue, most=n)
        else:
            rows = unpack(connection, "oldest_of", queue=self.queue, tenant=self.tenant, most=n)
        return [Moving(*row) for row in rows]


class Bounds:
    """The bounds of the queues that a batch of jobs goes into."""

    def __init__(self, connection: Connection, jobs: Sequence[NewJob]) -> None:
        self._connection = connection
        rules, queues = Rules(connection), {job.queue for job in jobs}
        rules.load(QUEUE, queues)
        self._of = {queue: rule for queue in queues if _is_bounded(rule := rules.queue(queue))}
        self._bounds = list(self._found(jobs)) if self._of else []

    def dropping(self) -> list[str]:
        """The queues in which the oldest jobs make room for the new."""
        return [queue for queue, rule in self._of.items() if rule.drop]

    def refuse(self) -> None:
        """Refuse a batch that does not fit.

        Raises:
            QueueFull: there are too many waiting jobs in a queue, or of a tenant in it.
        """
        for bound in self._bounds:
            if not bound.drop and bound.waiting(self._connection) + bound.new > bound.most:
                raise queue_full(bound.queue, bound.tenant, bound.most)

    def drop_oldest(self, now: int) -> None:
        """Cancel those that wait for the longest, where there are too many now."""
        for bound in self._bounds:
            excess = bound.waiting(self._connection) - bound.most if bound.drop else 0
            if excess > 0:
                moves = Moves(now)
                for job in bound.oldest(self._connection, excess):
                    moves.end(job, State.CANCELLED, reason=DROPPED)
                moves.write(self._connection)

    def _found(self, jobs: Sequence[NewJob]) -> Iterator[_Bound]:
        bounded = {job.id: job for job in reversed(jobs) if job.queue in self._of}
        known = set(unpack(self._connection, "known", ids=pack(list(bounded))))
        new = [job for job in bounded.values() if job.id not in known]
        for queue, n in Counter(job.queue for job in new).items():
            rule = self._of[queue]
            if rule.most is not None:
                yield _Bound(queue, None, rule.most, n, rule.drop)
        for (queue, tenant), n in Counter((job.queue, job.tenant or "") for job in new).items():
            rule = self._of[queue]
            if rule.most_per_tenant is not None:
                yield _Bound(queue, tenant, rule.most_per_tenant, n, rule.drop)


def queue_changed(connection: Connection, name: str, old: str | None, new: Record | None) -> None:
    """The rule of a queue was written or dropped: its jobs note whether the oldest are dropped, if that is new."""
    rule, before = read_rule(new.value if new else None, QueueRule), read_rule(old, QueueRule)
    drops = rule.drop and _is_bounded(rule)
    if drops != (before.drop and _is_bounded(before)):
        run(connection, "mark_drops", queue=name, drops=drops)


def _is_bounded(rule: QueueRule) -> bool:
    return rule.most is not None or rule.most_per_tenant is not None
