"""Who waits before which gate, and is let go when it has room (see `memory.waits`, which this agrees with)."""

from __future__ import annotations

from lamplighter.core.flow_control import AT_ONCE, MOST_LET_GO, TENANT
from lamplighter.store.pack import Row as Packed
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, unpack
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow_control import FlowControl
from lamplighter.store.sqlite.lines import Row
from lamplighter.store.sqlite.queries import SQL


def let_go(flow: FlowControl) -> int:
    """Have jobs stand in their lines again whose gates have room for them; returns how many."""
    connection, rules, gates = flow.connection, flow.rules, flow.gates
    waits = unpack(connection, "to_look_at", now=flow.now)
    if not waits:
        return 0
    gates.load(key for key, *_ in waits)
    looked: list[Packed] = []
    gone: list[str] = []
    for key, queue, already, served in waits:
        room = min(gates.free(key) - already, MOST_LET_GO)
        first = unpack(connection, "first_before", gate=key, queue=queue, most=room) if room > 0 else []
        rules.load(TENANT, [tenant for *_, tenant in first])
        highest = max([served, *(place + rules.charge(tenant) for _, place, tenant in first)])
        looked.append((key, queue, highest, AT_ONCE if len(first) == MOST_LET_GO else gates.look_at(key)))
        gone += [id_ for id_, *_ in first]
    run(connection, "unpark", ids=pack(gone))
    run(connection, "looked", rows=pack(looked))
    return len(gone)


class Parking:
    """Jobs that a claim found to be before a shut gate."""

    def __init__(self, flow: FlowControl) -> None:
        self._connection = flow.connection
        self._gates = flow.gates
        self._rules = flow.rules
        self._last: dict[tuple[str, str, int, str], int | None] = {}  # places of a tenant before a gate
        self._served: dict[tuple[str, str], int] = {}
        self._parked: list[Packed] = []

    def park(self, job: Row, key: str) -> None:
        """One is to wait. If it was let go, and came too late, it has its place again."""
        line = key, job.queue, job.priority, job.tenant or ""
        last = self._last_place(line)
        if job.let_go == key and job.place is not None:
            place = job.place
        elif last is None:
            place = self._served[key, job.queue]
        else:
            place = last + self._rules.charge(line[-1])
        self._last[line] = place if last is None else max(last, place)
        self._parked.append((job.id, key, place))

    def write(self) -> None:
        """Have them wait."""
        if not self._parked:
            return
        run(self._connection, "park", rows=pack(self._parked))
        looks = [(key, queue, self._gates.look_at(key)) for key, queue in self._served]
        run(self._connection, "parked", rows=pack(looks))
        self._parked = []

    def _last_place(self, line: tuple[str, str, int, str]) -> int | None:
        if line not in self._last:
            binds = dict(zip(("gate", "queue", "priority", "tenant"), line, strict=True))
            self._last[line], served = self._connection.execute(SQL["last_place"], binds).fetchone()
            self._served.setdefault(line[:2], served)
        return self._last[line]


def next_look(connection: Connection) -> int | None:
    """When a gate is to be looked at, or (at once) a sweep has to tell of a breaker."""
    [untold] = connection.execute(SQL["any_untold"]).fetchone()
    [at] = connection.execute(SQL["next_look"]).fetchone()
    return AT_ONCE if untold else at
