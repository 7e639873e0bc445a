"""Who is served next: the lines of a queue's tenants (see `memory.lines`, which this agrees with)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heapreplace
from itertools import groupby
from typing import NamedTuple

import msgspec

from lamplighter.core.flow_control import QUEUE, TENANT, charge_for
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, unpack, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow_control import FlowControl
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


Pick = tuple[int, Row]  # a job that is next, as of a tag that its line has when it is served: in order


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

    def __init__(self, flow: FlowControl, class_: Class) -> None:
        self._connection = flow.connection
        self._rules = flow.rules
        self._binds = class_._asdict()
        self._served = 0

    def plan(self, most: int) -> list[Pick]:
        """The jobs that are next, up to so many."""
        self._served = value(self._connection, "served", **self._binds)
        lines = _decode_lines(value(self._connection, "lines", most=most, **self._binds))
        self._rules.load(TENANT, [line.tenant for line in lines])
        if len(lines) == 1:
            return self._alone(lines[0], most)
        turns = self._turns(lines, most)
        jobs = self._first(Counter(tenant for _, tenant, _ in turns))
        return [(start, jobs[tenant][nth]) for start, tenant, nth in turns]

    def take_out(self, taken: Sequence[Pick]) -> None:
        """These are taken: their tenants are charged. Do it before they start, which counts nothing twice."""
        rules, together = self._rules, defaultdict[tuple[int, int], list[str]](list)
        for tenant, n in Counter(job.tenant or "" for _, job in taken).items():
            together[n, n * rules.charge(tenant)].append(tenant)
        for (n, amount), tenants in together.items():
            binds = self._binds | {"n": n, "amount": amount, "tenants": pack(tenants), "served": self._served}
            run(self._connection, "take_out", **binds)
        highest, _ = taken[-1]
        if highest > self._served:
            run(self._connection, "serve", served=highest, **self._binds)

    def _turns(self, lines: list[_Line], most: int) -> list[tuple[int, str, int]]:
        """When whose how manieth job is served, in order, up to so many."""
        heap = [(line.tag, line.tenant, 0, line) for line in lines]  # in order, and so a heap
        turns: list[tuple[int, str, int]] = []
        while heap and len(turns) < most:
            start, tenant, nth, line = heap[0]
            turns.append((start, tenant, nth))
            if nth + 1 < line.queued:
                heapreplace(heap, (self._start(line, nth + 1), tenant, nth + 1, line))
            else:
                heappop(heap)
        return turns

    def _alone(self, line: _Line, most: int) -> list[Pick]:
        """The jobs that are next where there is but one line: the commonest case, made cheap."""
        [jobs] = self._first({line.tenant: most}).values()
        return [(self._start(line, nth), job) for nth, job in enumerate(jobs)]

    def _start(self, line: _Line, nth: int) -> int:
        """The tag that a line has when its nth job from now on is served."""
        return line.tag if nth == 0 else max(line.tag, self._served) + nth * self._rules.charge(line.tenant)

    def _first(self, wanted: Mapping[str, int]) -> dict[str, list[Row]]:
        """So many jobs of each tenant. Those of whom as many are wanted are read together."""
        together: defaultdict[int, list[str]] = defaultdict(list)
        for tenant, n in wanted.items():
            together[n].append(tenant)
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for n, tenants in together.items():
            for row in _decode(value(self._connection, "first", tenants=pack(tenants), most=n, **self._binds)):
                found[row.tenant or ""].append(row)
        return found


def charge_time(flow: FlowControl, ended: Sequence[Moving]) -> None:
    """Charge tenants for how long their jobs ran, in queues where that counts."""
    rules, queues = flow.rules, {job.queue for job in ended}
    rules.load(QUEUE, queues)
    queues = {queue for queue in queues if rules.queue(queue).charge == "time"}
    timed = [job for job in ended if job.queue in queues] if queues else []
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
