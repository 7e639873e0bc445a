"""The limits and queues that an app declares: told to the store as the app opens, so that every worker goes by them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lamplighter.core.clock import Clock
from lamplighter.core.errors import ConfigError
from lamplighter.core.flow_control import LIMIT, QUEUE, GateRule, QueueRule, limit_of
from lamplighter.store.base import Store
from lamplighter.store.rules import record_of


class Rules:
    """What one app declares. Of two apps on one store that declare the same, the one that opened last counts."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._limits: dict[str, GateRule] = {}
        self._queues: dict[str, QueueRule] = {}

    def limit(self, name: str, rule: GateRule) -> None:
        """Declare a limit."""
        if name in self._limits:
            raise ConfigError(f"two limits are named {name!r}: give one of them another name.")
        self._limits[name] = rule

    def queue(self, name: str, rule: QueueRule) -> None:
        """Declare a queue."""
        if name in self._queues:
            raise ConfigError(f"the queue {name!r} is declared twice: leave one of them out.")
        self._queues[name] = rule

    def check(self, keys: Iterable[str]) -> None:
        """Refuse keys of limits that are not declared: a typing error would let everything through."""
        for name in {limit_of(key) for key in keys} - self._limits.keys():
            near = difflib.get_close_matches(name, self._limits, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"declare it with app.limit({name!r}, ...) first."
            raise ConfigError(f"this app has no limit {name!r}: {hint}")

    async def declare(self) -> None:
        """Tell the store what has changed since it was last told."""
        for kind, rules in ((LIMIT, self._limits), (QUEUE, self._queues)):
            if not rules:
                continue
            told = {record.name: record.value for record in await self._store.records(kind, now=self._clock())}
            for record in (record_of(name, rule) for name, rule in rules.items()):
                if told.get(record.name) != record.value:
                    await self._store.put(record)
