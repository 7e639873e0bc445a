"""What one transaction knows of flow control."""

from __future__ import annotations

from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.gates import Gates
from lamplighter.store.sqlite.rules import Rules


class FlowControl:
    """The rules and the gates that a transaction has to do with, as of one moment."""

    def __init__(self, connection: Connection, now: int) -> None:
        self.connection = connection
        self.now = now
        self.rules = Rules(connection)
        self.gates = Gates(connection, self.rules, now)
