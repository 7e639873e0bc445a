"""Statements that take a batch as one JSON value, or give one."""

from __future__ import annotations

import json
from typing import Any

from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.queries import SQL


def run(connection: Connection, name: str, **binds: object) -> int:
    """Execute a statement; returns how many rows it changed."""
    return connection.execute(SQL[name], binds).rowcount


def value(connection: Connection, name: str, **binds: object) -> Any:
    """The first value that a statement gives."""
    return connection.execute(SQL[name], binds).fetchone()[0]


def unpack(connection: Connection, name: str, **binds: object) -> list[Any]:
    """The rows of a statement that gives them as one JSON array."""
    rows: list[Any] = json.loads(value(connection, name, **binds))
    return rows
