"""The gates that one transaction has to do with: read, asked and told, then written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import astuple

from lamplighter.core.clock import maybe_to_us
from lamplighter.core.flow import LIMIT, Gate, GateRule, Order, Turned, limit_of
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, unpack
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.rules import Rules


class Gates:
    """How many jobs run is counted by triggers as jobs start and stop: here it is only kept in step with them."""

    def __init__(self, connection: Connection, rules: Rules, now: int) -> None:
        self._connection = connection
        self._rules = rules
        self._now = now
        self._gates: dict[str, Gate] = {}
        self._read: dict[str, tuple[Any, ...]] = {}  # as they were, to tell which have changed

    def load(self, keys: Iterable[str]) -> None:
        """Read gates, and their rules, that are not known yet."""
        new = [key for key in dict.fromkeys(keys) if key not in self._gates]
        if not new:
            return
        self._rules.load(LIMIT, map(limit_of, new))
        self._gates |= {key: Gate(key=key) for key in new}
        self._gates |= {row[0]: _gate(*row) for row in unpack(self._connection, "gates", keys=pack(new))}
        self._read |= {key: _written(self._gates[key]) for key in new}

    def __getitem__(self, key: str) -> Gate:
        self.load((key,))
        return self._gates[key]

    def free(self, key: str) -> int:
        """How many jobs it would let through now."""
        return self[key].free(self._rules.gate(key), self._now)

    def look_at(self, key: str) -> int | None:
        """When to see again whether those who wait may go."""
        return self[key].look_at(self._rules.gate(key), self._now)

    def shut(self, keys: Sequence[str]) -> str | None:
        """The first of these that lets nobody through now."""
        return next((key for key in keys if not self.free(key)), None)

    def take(self, keys: Sequence[str]) -> None:
        """Let one job through each of these."""
        for key in keys:
            self[key].take(self._rules.gate(key), self._now)

    def settle(self, ended: Sequence[tuple[Sequence[str], bool | None]]) -> None:
        """Jobs of these limits stopped running: well, badly, or (None) so that it says nothing about them."""
        freed, oks, bads = Counter[str](), Counter[str](), Counter[str]()
        for keys, well in ended:
            freed.update(keys)
            (oks if well else bads).update(keys if well is not None else ())
        self.load(freed)
        for key in freed:  # their slots are free already: by a trigger, when the jobs stopped
            self._gates[key].settle(self._rules.gate(key), 0, oks[key], bads[key], self._now)
        self._look_at_once(freed)

    def obey(self, orders: Sequence[Order]) -> None:
        """Do what gates are told."""
        self.load(order.key for order in orders)
        for order in orders:
            self[order.key].obey(order, maybe_to_us(order.until), self._rules.gate(order.key), self._now)
        self._look_at_once([order.key for order in orders])

    def turned(self) -> tuple[Turned, ...]:
        """Breakers that opened or closed since this was last asked. Write before you ask."""
        keys = unpack(self._connection, "untold")
        self.load(keys)
        for key in keys:
            self[key].told = self[key].is_open
        return tuple(Turned(key, self[key].told) for key in keys)

    def write(self) -> None:
        """Write those that have changed."""
        changed = [row for key, gate in self._gates.items() if (row := _written(gate)) != self._read[key]]
        if changed:
            run(self._connection, "write_gates", rows=pack(changed))
            self._read |= {row[0]: row for row in changed}

    def _look_at_once(self, keys: Iterable[str]) -> None:
        if keys := list(keys):
            run(self._connection, "look_at_once", keys=pack(keys))


def _written(gate: Gate) -> tuple[Any, ...]:
    key, _running, *rest = astuple(gate)
    return key, *rest


def _gate(key: str, *row: Any) -> Gate:
    running, tat, until, openings, probing, held, oks, bads, since, told = row
    return Gate(
        key=key,
        running=running,
        tat=tat,
        until=until,
        openings=openings,
        probing=bool(probing),
        held=bool(held),
        oks=oks,
        bads=bads,
        since=since,
        told=bool(told),
    )


def prune(connection: Connection, most: int, now: int) -> None:
    """Forget gates that are idle, and before which nobody waits."""
    run(connection, "forget_gates", most=most, within=GateRule().within, now=now)


def limit_changed(connection: Connection, name: str) -> None:
    """The rule of a limit was written or dropped: see at once who may go now."""
    if name == limit_of(name):
        run(connection, "look_at_limit", limit=name)
