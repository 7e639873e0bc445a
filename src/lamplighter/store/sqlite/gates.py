"""The gates that one transaction has to do with: read, asked and told, then written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from lamplighter.core.clock import maybe_to_us
from lamplighter.core.flow_control import LIMIT, Gate, GateRule, Order, Turned, limit_of
from lamplighter.store.pack import Row, pack
from lamplighter.store.sqlite.batch import run, unpack, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.rules import Rules

_decode = msgspec.json.Decoder(list[Gate], strict=False).decode  # SQLite has numbers for what is true or false


class Gates:
    """Load those that you ask about. How many jobs run is counted here as they start, and by triggers as they stop."""

    def __init__(self, connection: Connection, rules: Rules, now: int) -> None:
        self._connection = connection
        self._known = rules
        self._now = now
        self._gates: dict[str, Gate] = {}
        self._rules: dict[str, GateRule] = {}
        self._passed: Counter[str] = Counter()  # how many jobs were let through
        self._paced: set[str] = set()  # those of which only the theoretical arrival time has changed
        self._changed: set[str] = set()

    def load(self, keys: Iterable[str]) -> None:
        """Read gates, and their rules, that are not known yet."""
        new = [key for key in dict.fromkeys(keys) if key not in self._gates]
        if new:
            self._load_rules(new)
            found = {gate.key: gate for gate in _decode(value(self._connection, "gates", keys=pack(new)))}
            self._gates |= {key: found.get(key) or Gate(key=key) for key in new}

    def __getitem__(self, key: str) -> Gate:
        return self._gates[key]

    def rule(self, key: str) -> GateRule:
        """What its limit allows."""
        return self._rules[key]

    def free(self, key: str) -> int:
        """How many jobs it would let through now."""
        return self._gates[key].free(self._rules[key], self._now)

    def look_at(self, key: str) -> int | None:
        """When to see again whether those who wait may go."""
        return self[key].look_at(self._rules[key], self._now)

    def shut(self, keys: Sequence[str]) -> str | None:
        """The first of these that lets nobody through now."""
        return next((key for key in keys if not self.free(key)), None)

    def take(self, keys: Iterable[str], n: int = 1) -> None:
        """Let n jobs through each of these."""
        for key in keys:
            gate, rule = self._gates[key], self._rules[key]
            for _ in range(n):
                gate.take(rule, self._now)
            self._passed[key] += n
            if gate.openings:
                self._changed.add(key)
            elif rule.interval is not None:
                self._paced.add(key)

    def take_all(self, wanted: Mapping[str, int]) -> bool:
        """Let so many jobs through these, if each has room for that many; else none."""
        if any(self.free(key) < n for key, n in wanted.items()):
            return False
        for key, n in wanted.items():
            self.take((key,), n)
        return True

    def settle(self, ended: Sequence[tuple[Sequence[str], bool | None]]) -> None:
        """Jobs of these limits stopped running: well, badly, or (None) so that it says nothing about them.

        Their slots are free already, by a trigger; so only those that judge how jobs end have to know.
        """
        keys = {key for of_one, _ in ended for key in of_one}
        if judging := self._judging(keys):
            self.load(judging)
            oks = Counter(key for of_one, well in ended if well for key in of_one)
            bads = Counter(key for of_one, well in ended if well is False for key in of_one)
            for key in judging:
                self._gates[key].settle(self._rules[key], 0, oks[key], bads[key], self._now)
            self._changed |= judging
        self._look_at_once(keys)

    def obey(self, orders: Sequence[Order]) -> None:
        """Do what gates are told."""
        keys = {order.key for order in orders}
        self.load(keys)
        for order in orders:
            self[order.key].obey(order, maybe_to_us(order.until), self._rules[order.key], self._now)
        self._changed |= keys
        self._look_at_once(keys)

    def turned(self) -> tuple[Turned, ...]:
        """Breakers that opened or closed since this was last asked. Write before you ask."""
        keys = unpack(self._connection, "untold")
        self.load(keys)
        for key in keys:
            self[key].told = self[key].is_open
        self._changed.update(keys)
        return tuple(Turned(key, self[key].told) for key in keys)

    def write(self) -> None:
        """Write those that have changed."""
        if self._passed:
            run(self._connection, "pass_gates", passed=_object(self._passed))
        if paced := self._paced - self._changed:
            run(self._connection, "pace_gates", tats=_object({key: self._gates[key].tat for key in paced}))
        if self._changed:
            run(self._connection, "write_gates", rows=pack([_written(self._gates[key]) for key in self._changed]))
        self._passed.clear()
        self._paced.clear()
        self._changed.clear()

    def _judging(self, keys: set[str]) -> set[str]:
        """Those that have a breaker which counts, or one that is not closed."""
        if not keys:
            return set()
        limits = {limit_of(key) for key in keys}
        self._known.load(LIMIT, limits)
        counting = {limit for limit in limits if self._known.limit(limit).percent is not None}
        judging = {key for key in keys if limit_of(key) in counting} if counting else set()
        return judging.union(unpack(self._connection, "open_gates", keys=pack(list(keys))))

    def _load_rules(self, keys: Iterable[str]) -> None:
        limits = {key: limit_of(key) for key in keys}
        names = set(limits.values())
        self._known.load(LIMIT, names)
        rules = {name: self._known.limit(name) for name in names}
        self._rules |= {key: rules[name] for key, name in limits.items()}

    def _look_at_once(self, keys: Iterable[str]) -> None:
        if keys := list(keys):
            run(self._connection, "look_at_once", keys=pack(keys))


def _object(values: Mapping[str, int]) -> str:
    return msgspec.json.encode(values).decode()


def _written(gate: Gate) -> Row:
    key, _running, *rest = msgspec.structs.astuple(gate)
    return key, *rest


def prune(connection: Connection, most: int, now: int) -> None:
    """Forget gates that are idle, and before which nobody waits."""
    run(connection, "forget_gates", most=most, within=GateRule().within, now=now)


def limit_changed(connection: Connection, name: str) -> None:
    """The rule of a limit was written or dropped: see at once who may go now."""
    if name == limit_of(name):
        run(connection, "look_at_limit", limit=name)
