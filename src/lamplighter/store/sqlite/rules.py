"""The rules of flow control, each read once in a transaction."""

from __future__ import annotations

from collections.abc import Iterable

from lamplighter.core.flow_control import LIMIT, QUEUE, TENANT, GateRule, QueueRule, TenantRule, charge_of
from lamplighter.store.pack import pack
from lamplighter.store.rules import read_rule
from lamplighter.store.sqlite.batch import unpack
from lamplighter.store.sqlite.connection import Connection


class Rules:
    """Load the rules that are needed before asking for them: one by one costs a statement each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._texts: dict[tuple[str, str], str | None] = {}  # by kind and name
        self._charges: dict[str, int] = {}

    def load(self, kind: str, names: Iterable[str]) -> None:
        """Read rules that are not known yet."""
        new = [name for name in dict.fromkeys(names) if (kind, name) not in self._texts]
        if new:
            self._texts |= {(kind, name): None for name in new}
            found = unpack(self._connection, "rules", kind=kind, names=pack(new))
            self._texts |= {(kind, name): text for name, text in found}

    def limit(self, name: str) -> GateRule:
        """What a limit allows."""
        return read_rule(self._text(LIMIT, name), GateRule)

    def queue(self, name: str) -> QueueRule:
        """How a queue is shared and bounded."""
        return read_rule(self._text(QUEUE, name), QueueRule)

    def weight(self, tenant: str) -> int:
        """A tenant's weight."""
        return read_rule(self._text(TENANT, tenant), TenantRule).weight

    def charge(self, tenant: str) -> int:
        """What a tenant is charged for a job."""
        if tenant not in self._charges:
            self._charges[tenant] = charge_of(self.weight(tenant))
        return self._charges[tenant]

    def _text(self, kind: str, name: str) -> str | None:
        if (kind, name) not in self._texts:
            self.load(kind, (name,))
        return self._texts[kind, name]
