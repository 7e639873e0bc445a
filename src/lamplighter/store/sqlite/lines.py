"""Who is served next: the lines of a queue's tenants (see `memory.lines`, which this agrees with)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby, islice
from typing import NamedTuple

import msgspec

from lamplighter.core.flow import QUEUE, TENANT, charge_for
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, unpack, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow import Flow
from lamplighter.store.sqlite.moves import Moving


class Class(NamedTuple):
    """A queue and a priority."""

    queue: str
    priority: int


class Row(NamedTuple):
    """A job that may be claimed."""

    id: str
    fence: int
    name: str
    queue: str
    tenant: str | None
    args: str
    priority: int
    run_at: int
    created_at: int
    failures: int
    crashes: int
    has_pending_key: int | None
    limits: tuple[str, ...] | None
    let_go: str | None
    place: int | None


class Pick(NamedTuple):
    """A job that is next, as of a tag that its line has when it is served."""

    start: int
    job: Row


class _Line(NamedTuple):
    tenant: str
    tag: int
    queued: int


_decode = msgspec.json.Decoder(list[Row]).decode
_decode_lines = msgspec.json.Decoder(list[_Line]).decode


def any_class(connection: Connection, queues: Sequence[str]) -> bool:
    """Whether there is a job to claim."""
    return bool(unpack(connection, "classes", queues=pack(queues)))


def classes(connection: Connection, queues: Sequence[str]) -> Iterator[Class]:
    """Queues and priorities that have jobs to claim, the highest priority first, then the earliest due job that is next
    in its class."""
    found = [Class(*row) for row in unpack(connection, "classes", queues=pack(queues))]
    found.sort(key=lambda class_: class_.priority, reverse=True)
    for priority, of_it in groupby(found, key=lambda class_: class_.priority):
        names = [class_.queue for class_ in of_it]
        if len(names) > 1:
            names = _by_head(connection, priority, names)
        yield from (Class(queue, priority) for queue in names)


def _by_head(connection: Connection, priority: int, queues: list[str]) -> list[str]:
    heads = unpack(connection, "heads", priority=priority, queues=pack(queues))
    return [queue for queue, _ in sorted(heads, key=lambda pair: (pair[1], pair[0]))]


class Lines:
    """The lines of one queue and priority."""

    def __init__(self, flow: Flow, class_: Class) -> None:
        self._connection = flow.connection
        self._rules = flow.rules
        self._binds = class_._asdict()
        self._served = 0

    def plan(self, most: int) -> list[Pick]:
        """The jobs that are next, up to so many."""
        self._served = value(self._connection, "served", **self._binds)
        lines = _decode_lines(value(self._connection, "lines", most=most, **self._binds))
        self._rules.load(TENANT, [line.tenant for line in lines])
        turns = list(islice(merge(*(self._turns(line) for line in lines)), most))
        waiting = self._first(Counter(tenant for _, tenant, _ in turns))
        return [Pick(start, next(waiting[tenant])) for start, tenant, _ in turns]

    def serve(self, taken: Sequence[Pick]) -> None:
        """These were taken: their tenants are charged."""
        amounts = [
            (tenant, n * self._rules.charge(tenant)) for tenant, n in Counter(p.job.tenant or "" for p in taken).items()
        ]
        run(self._connection, "charge_lines", rows=pack(amounts), served=self._served, **self._binds)
        highest = max(pick.start for pick in taken)
        if highest > self._served:
            run(self._connection, "serve", served=highest, **self._binds)

    def _turns(self, line: _Line) -> Iterator[tuple[int, str, int]]:
        """When its jobs would be served, one after the other."""
        yield line.tag, line.tenant, 0
        begins, charge = max(line.tag, self._served), self._rules.charge(line.tenant)
        for nth in range(1, line.queued):
            yield begins + nth * charge, line.tenant, nth

    def _first(self, wanted: Counter[str]) -> dict[str, Iterator[Row]]:
        """So many jobs of each tenant. Those of whom as many are wanted are read together."""
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for n, tenants in _together(wanted):
            for row in _decode(value(self._connection, "first", tenants=pack(tenants), most=n, **self._binds)):
                found[row.tenant or ""].append(row)
        return {tenant: iter(rows) for tenant, rows in found.items()}


def _together(wanted: Counter[str]) -> Iterator[tuple[int, list[str]]]:
    tenants: defaultdict[int, list[str]] = defaultdict(list)
    for tenant, n in wanted.items():
        tenants[n].append(tenant)
    yield from tenants.items()


def charge_time(flow: Flow, ended: Sequence[Moving]) -> None:
    """Charge tenants for how long their jobs ran, in queues where that counts."""
    rules = flow.rules
    rules.load(QUEUE, [job.queue for job in ended])
    timed = [job for job in ended if rules.queue(job.queue).charge == "time"]
    rules.load(TENANT, [job.tenant for job in timed])
    amounts = Counter[tuple[str, str, int]]()
    for job in timed:
        if job.started_at is not None:
            ran = flow.now - job.started_at
            amounts[job.queue, job.tenant, job.priority] += charge_for(ran, rules.weight(job.tenant))
    if amounts:
        run(flow.connection, "charge_time", rows=pack([(*line, amount) for line, amount in amounts.items()]))


def prune(connection: Connection, most: int) -> None:
    """Forget what makes no difference any more."""
    run(connection, "reset_lines", most=most)
    run(connection, "forget_lines")
    run(connection, "forget_classes")
